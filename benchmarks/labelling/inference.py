"""Times maps against a bare pass of Keras over the same pixels, in turns, in one run.

    .venv/bin/python -m benchmarks.labelling.inference --side 4096 --workers 1 2

The network is that of Iqrah et al. 2024 (depth 6, width 16, on colours) with random weights, the scene
simulated. "Bare" gives it windows of 512 pixels side by side from memory: no overlap, nothing read, nothing
written. "Map" is what a worker of jobs.infer does with `--network alone`: reads the file, sweeps, keeps the
layers, writes the map. A worker has one thread. Loading TensorFlow and planning a network are apart: both are
done before the clock starts. Seconds on the processor say more than the clock where others share the machine.
The second table says on which stages of a map they are spent; the third how fast the sweep alone is: each
pixel that it is given, those around the scene included, against one of the bare pass.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from labeling.grid import Block
from labeling.scenes.bands import swept_width
from labeling.scenes.open import open_scene
from labeling.simulation.scene import SceneSpec, write_scene
from labeling.stages.planes import FilePlanes
from pipelines.infer import plan_work
from pipelines.infer_worker import InferJob, predict_tasks
from pipelines.infer_worker import write_scene as write_map
from pipelines.map_sources import NETWORK, MapRow
from pipelines.worker_gpu import predictor
from training.folder.card import model_digest, read_model_card
from training.predict import Predictor, band_rows, sweep_columns

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from model_factory import write_model

WINDOW: Final = 512

READ: Final = "read bands"
SWEEP: Final = "network"
KEEP: Final = "keep layers between tasks"
OTHER: Final = "classes, states, previews"
WRITE: Final = "write the map"


class Took(NamedTuple):
    """What a way took, all workers together."""

    clock: float
    cpu: float
    peak: int
    """Peak resident memory in bytes of the largest worker."""
    stages: Counter[str]
    """Seconds on the processor by stage of a map, all workers together; empty for the bare pass."""
    swept: int
    """Pixels that the network was given."""


class Watched:
    """A network that tells what a sweep takes: itself, and what gives it the picture."""

    def __init__(self, network: Predictor) -> None:
        self.network, self.margin, self.rows = network, network.margin, network.rows
        self.stages: Counter[str] = Counter()
        self.swept = 0

    def sweep(self, bands: Iterable[NDArray[np.uint8]], **picture: Any) -> Iterator[NDArray[np.float32]]:
        """See labeling.scenes.bands.Sweeper."""
        found = self.network.sweep(self._read(bands), **picture)
        while True:
            began, read = time.process_time(), self.stages[READ]
            rows = next(found, None)
            self.stages[SWEEP] += time.process_time() - began - (self.stages[READ] - read)
            if rows is None:
                return
            yield rows

    def _read(self, bands: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        given = iter(bands)
        while True:
            began = time.process_time()
            band = next(given, None)
            self.stages[READ] += time.process_time() - began
            if band is None:
                return
            self.swept += band.shape[0] * band.shape[1]
            yield band

    def keep(self, keep: Callable[..., None]) -> Callable[..., None]:
        """Return what keeps layers between the tasks, watched."""

        def watched(*args: Any, **arrays: Any) -> None:
            began = time.process_time()
            keep(*args, **arrays)
            self.stages[KEEP] += time.process_time() - began

        return watched


class Given(NamedTuple):
    """What a worker has to do."""

    job: InferJob
    row: MapRow
    tasks: list[dict[str, Any]]


def bare(given: Given) -> Callable[[], object]:
    """Prepare a pass of windows side by side over the tasks' pixels, as far as windows fit."""
    network = predictor(given.job.model, given.job.model_digest, given.job.precision)
    info = given.row.info
    cut = [Block(**block) for task in given.tasks for block in task["blocks"]]
    pixels = sum(block.height * block.width for block in cut)
    with open_scene(info.uri, given.job.rendering) as scene:
        window = scene.read(Block(0, 0, WINDOW, WINDOW)).rgb.transpose(1, 2, 0)[np.newaxis]
    network.predict(window)
    return lambda: [network.predict(window) for _ in range(max(1, round(pixels / WINDOW**2)))]


def mapped(given: Given) -> Callable[[], Watched]:
    """Prepare the tasks of a map: the network is planned for their width by a low picture."""
    job = given.job
    network = predictor(job.model, job.model_digest, job.precision)
    info, rows = given.row.info, network.rows
    width = swept_width(info.width, job.columns_of(info), network, cell=job.cell)
    bands = np.zeros((network.margin // rows + 3, rows, width, 3), np.uint8)
    height = len(bands) * rows
    list(network.sweep(bands, first=0, height=height, width=width, wanted=range(height)))

    def do() -> Watched:
        watched = Watched(network)
        with (
            patch("pipelines.infer_worker.predictor", lambda *_: watched),
            patch.object(FilePlanes, "put", watched.keep(FilePlanes.put)),
            patch.object(FilePlanes, "note", watched.keep(FilePlanes.note)),
        ):
            for frame in predict_tasks((pd.DataFrame([task]) for task in given.tasks), job):
                if frame["error"][0]:
                    raise RuntimeError(frame["error"][0])
        return watched

    return do


def work(prepare: Callable[[Given], Callable[[], object]], given: Given, ready: Barrier, told: Any) -> None:
    """Do a worker's share when all are ready, and tell what it took."""
    do = prepare(given)
    ready.wait()
    began = time.process_time()
    found = do()
    seconds = time.process_time() - began
    # Of this program alone: what getrusage says began with the process that this one was copied from.
    status = Path("/proc/self/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    stages, swept = (found.stages, found.swept) if isinstance(found, Watched) else (Counter(), 0)
    if swept:
        stages[OTHER] = seconds - stages.total()
    told.put((seconds, int(peak) << 10, stages, swept))


def timed(prepare: Callable[[Given], Callable[[], object]], row: MapRow, job: InferJob, workers: int) -> Took:
    """Time a way with so many workers; a map is put together by this process at the end."""
    tasks = plan_work([row], job, workers)
    spawning = multiprocessing.get_context("spawn")
    ready, told = spawning.Barrier(workers + 1), spawning.Queue()
    shares = [Given(job, row, tasks[number::workers]) for number in range(workers)]
    processes = [spawning.Process(target=work, args=(prepare, share, ready, told)) for share in shares]
    for process in processes:
        process.start()
    ready.wait()
    clock, cpu = time.perf_counter(), time.process_time()
    found = [told.get() for _ in processes]
    if prepare is mapped:
        done = pd.DataFrame([{**task, "error": None} for task in tasks])
        (outcome,) = write_map(done, job).to_dict("records")
        if outcome["error"]:
            raise RuntimeError(outcome["error"])
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    for process in processes:
        process.join()
    seconds, peaks, stages, swept = zip(*found, strict=True)
    total = sum(stages, Counter({WRITE: cpu} if prepare is mapped else {}))
    return Took(clock, cpu + sum(seconds), max(peaks), total, sum(swept))


def main() -> None:
    """Time and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--side", type=int, default=4096, help="pixels")
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    options.add_argument("--depth", type=int, default=6)
    options.add_argument("--width", type=int, default=16)
    given = options.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    table = Table("way", "workers", "Mpx a second", "of bare", "by processor", "peak memory, GiB")
    spent = Table("workers", "stage of a map", "seconds on the processor", "share")
    alone = Table("workers", "pixels swept, of the scene's", "the sweep alone, of bare, by processor")
    with TemporaryDirectory() as folder:
        root = Path(folder)
        scene = write_scene(root, SceneSpec(scene_id="scene", height=given.side, width=given.side, seed=1))
        sizes = {"depth": given.depth, "width": given.width, "dropout": (0.0,) * given.depth}
        model = write_model(root / "model", channels="rgb", **sizes)
        card = read_model_card(model)
        with open_scene(str(scene), card.rendering) as opened:
            row = MapRow("scene", opened.info, NETWORK, None)
        pixels = given.side**2 / 1e6
        for workers in given.workers:
            best: dict[str, Took] = {}
            for turn in range(given.rounds):
                for name, prepare in (("bare", bare), ("map", mapped)):
                    job = InferJob(
                        model, model_digest(model), card.rendering, band_rows(card),
                        sweep_columns(card, memory=2 << 30), card.multiple,
                        root / f"maps-{workers}-{turn}", root / "labels", root / "scratch", "polynya",
                        precision=given.precision,
                    )  # fmt: skip
                    found = timed(prepare, row, job, workers)
                    best[name] = min(best.get(name, found), found, key=lambda took: took.cpu)
            for name, took in best.items():
                table.add_row(
                    name, str(workers), f"{pixels / took.clock:.2f}",
                    f"{best['bare'].clock / took.clock:.2f}", f"{best['bare'].cpu / took.cpu:.2f}",
                    f"{took.peak / 2**30:.2f}",
                )  # fmt: skip
            drawn, passed = best["map"], best["bare"]
            for stage, seconds in drawn.stages.most_common():
                spent.add_row(str(workers), stage, f"{seconds:.2f}", f"{seconds / drawn.cpu:.1%}")
            rate = drawn.swept / drawn.stages[SWEEP] / (given.side**2 / passed.cpu)
            alone.add_row(str(workers), f"{drawn.swept / given.side**2:.2f}", f"{rate:.2f}")
    for each in (table, spent, alone):
        Console().print(each)


if __name__ == "__main__":
    main()
