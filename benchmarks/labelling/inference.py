"""Times maps against a bare pass of Keras over the same pixels, in turns, in one run.

    .venv/bin/python -m benchmarks.labelling.inference --side 4096 --workers 1 2

The network is that of Iqrah et al. 2024 (depth 6, width 16, on colours) with random weights, the scene
simulated. "Bare" gives it windows of 512 pixels side by side from memory: no overlap, nothing read, nothing
written. "Map" is what a worker of jobs.infer does with `--network alone`: reads the file, sweeps, keeps the
layers, writes the map. A worker has one thread. Loading TensorFlow and planning a network are apart: both are
done before the clock starts. Seconds on the processor say more than the clock where others share the machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from labeling.grid import Block
from labeling.scenes.open import open_scene
from labeling.simulation.scene import SceneSpec, write_scene
from pipelines.infer import plan_work
from pipelines.infer_worker import InferJob, predict_tasks
from pipelines.infer_worker import write_scene as write_map
from pipelines.map_sources import NETWORK, MapRow
from pipelines.worker_gpu import predictor
from training.folder.card import model_digest, read_model_card
from training.predict import band_rows, sweep_columns

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from model_factory import write_model

WINDOW: Final = 512


class Took(NamedTuple):
    """What a way took, all workers together."""

    clock: float
    cpu: float
    peak: int
    """Peak resident memory in bytes of the largest worker."""


class Given(NamedTuple):
    """What a worker has to do."""

    job: InferJob
    row: MapRow
    tasks: list[dict[str, Any]]


def bare(given: Given) -> Callable[[], object]:
    """Prepare a pass of windows side by side over the tasks' pixels, as far as windows fit."""
    network = predictor(given.job.model, given.job.model_digest)
    info = given.row.info
    cut = [Block(**block) for task in given.tasks for block in task["blocks"]]
    pixels = sum(block.height * block.width for block in cut)
    with open_scene(info.uri, given.job.rendering) as scene:
        window = scene.read(Block(0, 0, WINDOW, WINDOW)).rgb.transpose(1, 2, 0)[np.newaxis]
    network.predict(window)
    return lambda: [network.predict(window) for _ in range(round(pixels / WINDOW**2))]


def mapped(given: Given) -> Callable[[], object]:
    """Prepare the tasks of a map: the network is planned for their width by a first band."""
    network = predictor(given.job.model, given.job.model_digest)
    [block] = {block["width"] for task in given.tasks for block in task["blocks"]}
    width = -(-(block + 2 * network.margin) // given.job.cell) * given.job.cell
    list(network.sweep(np.zeros((2, network.rows, width, 3), np.uint8)))
    return lambda: list(predict_tasks((pd.DataFrame([task]) for task in given.tasks), given.job))


def work(prepare: Callable[[Given], Callable[[], object]], given: Given, ready: Barrier, told: Any) -> None:
    """Do a worker's share when all are ready, and tell what it took."""
    do = prepare(given)
    ready.wait()
    began = time.process_time()
    do()
    # Of this program alone: what getrusage says began with the process that this one was copied from.
    status = Path("/proc/self/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    told.put((time.process_time() - began, int(peak) << 10))


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
    return Took(clock, cpu + sum(seconds for seconds, _ in found), max(peak for _, peak in found))


def main() -> None:
    """Time and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--side", type=int, default=4096, help="pixels")
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--depth", type=int, default=6)
    options.add_argument("--width", type=int, default=16)
    given = options.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    table = Table("way", "workers", "Mpx a second", "of bare", "by processor", "peak memory, GiB")
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
                    )  # fmt: skip
                    found = timed(prepare, row, job, workers)
                    best[name] = min(best.get(name, found), found, key=lambda took: took.cpu)
            for name, took in best.items():
                table.add_row(
                    name, str(workers), f"{pixels / took.clock:.2f}",
                    f"{best['bare'].clock / took.clock:.2f}", f"{best['bare'].cpu / took.cpu:.2f}",
                    f"{took.peak / 2**30:.2f}",
                )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
