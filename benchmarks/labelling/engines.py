"""The labelling benchmark's comparison: the same stages (labeling/stages/steps.py) under other engines.

An engine is a `map` over tasks. Many small scenes are done whole, a task each; a scene that all cores share
is cut into blocks. Threads keep its layers in memory, processes in files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.labelling.way import Job
from labeling.grid import Block, blocks
from labeling.ice.profile import load_profile
from labeling.ice.scene_sums import SceneSums
from labeling.results.output import SceneOutput
from labeling.scenes.contract.scene import SceneInfo
from labeling.scenes.open import open_scene
from labeling.stages import steps
from labeling.stages.planes import FilePlanes, MemoryPlanes, Planes
from labeling.stages.steps import Recipe
from labeling.stages.whole import label_whole

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@contextmanager
def pool(job: Job, cores: int) -> Iterator[Callable[[], None]]:
    """A plain pool of `cores` processes."""
    with ProcessPoolExecutor(cores, initializer=_one_thread) as executor:
        list(executor.map(_nothing, range(cores)))
        yield partial(label, executor.map, job, cores)


@contextmanager
def dask_threads(job: Job, cores: int) -> Iterator[Callable[[], None]]:
    """Dask's scheduler for threads, `cores` of them."""
    import dask

    _one_thread()

    def mapped(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        tasks = [dask.delayed(work, pure=False)(item) for item in items]
        found: Iterable[Any] = dask.compute(*tasks, scheduler="threads", num_workers=cores)
        return found

    yield partial(label, mapped, job, cores, shared_memory=True)


@contextmanager
def dask_processes(job: Job, cores: int) -> Iterator[Callable[[], None]]:
    """Dask's cluster of this machine, `cores` processes of one thread."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=cores, threads_per_worker=1, dashboard_address=None, memory_limit=0
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(_one_thread)

        def mapped(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
            found: Iterable[Any] = client.gather(client.map(work, list(items), pure=False))
            return found

        yield partial(label, mapped, job, cores)


def _one_thread() -> None:
    cv2.setNumThreads(1)  # the engine has a worker on every core already


def _nothing(_: object) -> None:
    """Start a worker."""


def label(mapped: Map, job: Job, cores: int, *, shared_memory: bool = False) -> None:
    """Label the scenes with the tasks that `mapped` runs on `cores` workers."""
    if len(job.scenes) >= cores and not job.cut:
        list(mapped(partial(_label_whole, job), job.scenes))
        return
    for scene in job.scenes:
        _label_cut(mapped, job, cores, shared_memory, scene)


def _label_whole(job: Job, path: Path) -> None:
    recipe = Recipe(load_profile(job.profile))
    opened = partial(open_scene, str(path), recipe.profile.rendering)
    with opened() as scene:
        info = scene.info
    cut = [Block(0, 0, info.height, info.width)]
    label_whole(path.stem, info, opened, cut, recipe, output_of(job, path))


def _label_cut(mapped: Map, job: Job, cores: int, shared_memory: bool, path: Path) -> None:
    recipe = Recipe(load_profile(job.profile))
    with open_scene(str(path), recipe.profile.rendering) as scene:
        info = scene.info
    cut = cut_of(job, info)
    planes = _planes(job, info, shared_memory)
    states = np.sum(list(mapped(partial(_decode, str(path), planes, recipe), cut)), axis=0)
    excluded = steps.exclude(info, cut, states, planes, recipe)
    sums = SceneSums.none()
    if recipe.profile.thin_clouds:
        compare = partial(steps.compare_block, layer=excluded.layer, planes=planes, recipe=recipe)
        sums = sum(mapped(partial(compare, info), cut), start=sums)
    steps.write(path.stem, info, cut, excluded, sums, planes, recipe, output_of(job, path), threads=cores)


def _decode(uri: str, planes: Planes, recipe: Recipe, block: Block) -> NDArray[np.int64]:
    with open_scene(uri, recipe.profile.rendering) as scene:
        return steps.decode(scene, block, planes, recipe, preview=False)


def _planes(job: Job, info: SceneInfo, shared_memory: bool) -> Planes:
    shape = {"height": info.height, "width": info.width}
    if shared_memory:
        return MemoryPlanes(**shape)
    side = side_of(job)
    return FilePlanes(job.out / "scratch", **shape, rows=side, columns=side)


def cut_of(job: Job, info: SceneInfo) -> list[Block]:
    """Return the blocks of a scene that all cores share."""
    return list(blocks(height=info.height, width=info.width, size=side_of(job)))


def side_of(job: Job) -> int:
    """Return the side of a block in pixels: whole tiles of the file, some blocks for every core."""
    return 256 if job.cut else 2048


def output_of(job: Job, path: Path) -> SceneOutput:
    """Return where a scene's labels go."""
    return SceneOutput(job.folder(path), "labels.tif", "labels", "polynya", quicklook=False)
