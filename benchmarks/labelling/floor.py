"""What no way to label scenes can do without: reading them, writing labels, and the filter's two kernels.

The floor reads with our reader and writes the labels that are expected anyway with our writer: the same
tiles, compression and overviews. It knows the labels beforehand, from memory-mapped files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.labelling.engines import cut_of
from benchmarks.labelling.way import Job
from labeling.files.cogs.legend import class_legend
from labeling.files.cogs.write import write_codes
from labeling.grid import Block
from labeling.ice.label import prepare
from labeling.ice.median import median_background
from labeling.ice.profile import LabelingProfile, ThinCloudSettings, load_profile
from labeling.results.status import grid_of
from labeling.scenes.contract.scene import SceneInfo
from labeling.scenes.open import open_scene


@contextmanager
def floor(job: Job, cores: int) -> Iterator[Callable[[], None]]:
    """Read and write with `cores` processes."""
    with ProcessPoolExecutor(cores) as executor:
        list(executor.map(abs, range(cores)))
        yield partial(_read_and_write, executor, job, cores)


def _read_and_write(executor: ProcessPoolExecutor, job: Job, cores: int) -> None:
    if len(job.scenes) >= cores and not job.cut:
        list(executor.map(partial(_whole, job), job.scenes))
        return
    for path in job.scenes:
        info = _info(path)
        cut = cut_of(job, info)
        shares = [
            cut[worker * len(cut) // cores : (worker + 1) * len(cut) // cores] for worker in range(cores)
        ]
        list(executor.map(partial(_read, path), shares))
        _write(job, path, info, cut, threads=cores)


def _whole(job: Job, path: Path) -> None:
    info = _info(path)
    whole = [Block(0, 0, info.height, info.width)]
    _read(path, whole)
    _write(job, path, info, whole, threads=1)


def _info(path: Path) -> SceneInfo:
    with open_scene(str(path)) as scene:
        return scene.info


def _read(path: Path, blocks: list[Block]) -> None:
    with open_scene(str(path)) as scene:
        for block in blocks:
            scene.read(block)


def _write(job: Job, path: Path, info: SceneInfo, cut: list[Block], threads: int) -> None:
    labels = np.load(job.expected / f"{path.stem}.npy", mmap_mode="r")
    write_codes(
        job.folder(path) / "labels.tif",
        ((block.window, labels[block.slices]) for block in cut),
        class_legend(),
        **grid_of(info),
        threads=threads,
    )


@contextmanager
def bare_filter(job: Job, cores: int) -> Iterator[Callable[[], None]]:
    """Dilate and take the median with `cores` threads, of grey pictures that lie in memory beforehand."""
    cv2.setNumThreads(1)
    profile = load_profile("iqrah-2024")
    tasks = [(grey, block) for grey, cut in _greys(job, cores, profile) for block in cut]
    _dilate_and_median(profile, (np.zeros((256, 256), np.uint8), Block(0, 0, 256, 256)))  # compiles
    with ThreadPoolExecutor(cores) as executor:
        yield lambda: list(executor.map(partial(_dilate_and_median, profile), tasks)).clear()


def _greys(job: Job, cores: int, profile: LabelingProfile) -> Iterator[tuple[NDArray[np.uint8], list[Block]]]:
    """Yield what the filter works on, a scene at a time, with its cut."""
    for path in job.scenes:
        with open_scene(str(path)) as scene:
            info = scene.info
            whole = Block(0, 0, info.height, info.width)
            rgb, valid, _ = scene.read(whole)
        many = len(job.scenes) >= cores and not job.cut
        yield prepare(rgb, valid, profile).value, [whole] if many else cut_of(job, info)


def _dilate_and_median(profile: LabelingProfile, task: tuple[NDArray[np.uint8], Block]) -> None:
    settings, (grey, block) = profile.thin_clouds or ThinCloudSettings(), task
    height, width = grey.shape
    outer = block.grow(settings.halo, height=height, width=width)
    dilated = cv2.dilate(grey[outer.slices], np.ones((settings.dilate, settings.dilate), np.uint8))
    median_background(np.asarray(dilated, np.uint8), settings.median // 2, block.inside(outer))
