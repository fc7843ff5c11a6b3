"""Compares the precisions of training: time of a step, peak memory, and what is learned.

    .venv/bin/python -m benchmarks.training.precision
    .venv/bin/python -m benchmarks.training.precision --precisions float32 bfloat16 float16 \\
        --batch-size 32   # GPU

Each measurement is a process of its own. Memory is the peak of the GPU's allocator where there is one, else
of the process. What is learned is the validation mean IoU of short trainings on small chips, which differ by
seed: a precision is as good as float32 when it lies within float32's own spread. What the network needs is
arithmetic: weights, gradients, the optimiser's moments, and every layer's output for the backward pass.
float16 is left out unless asked for, because most CPUs have no fast arithmetic for it.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from labeling.settings import load_settings
from training.settings.config import Precision, TrainConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips


def measure_step(config: TrainConfig, rounds: int) -> dict[str, float]:
    """Return the best seconds of a training step, the peak memory, and what there must be, in bytes."""
    import tensorflow as tf

    from benchmarks.training.input import stepper
    from training.prepare import build, open_splits
    from training.ranks import collectives
    from training.ranks.device import limit_threads, take_gpu

    world = collectives.start()
    limit_threads(config.threads)
    take_gpu(config.gpus, world.local_rank)
    training = build(config, world, *open_splits(config))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    step = stepper(training)
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - started)
    if tf.config.list_physical_devices("GPU"):
        peak, before = tf.config.experimental.get_memory_info("GPU:0")["peak"], 0
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    needs = needed(training.model, training.optimizer, config.batch_size, training.train.card.size)
    return {"seconds": best, "bytes": peak, "before": before, "needs": needs}


def needed(model: Any, optimizer: Any, chips: int, side: int) -> int:
    """Return the bytes that a step of so many chips, of so many pixels a side, cannot do without."""
    import keras

    chip = keras.Input((side, side, model.input_shape[-1]))
    outputs = sum(
        math.prod(layer.output.shape[1:]) * (2 if layer.compute_dtype in ("float16", "bfloat16") else 4)
        for layer in keras.models.clone_model(model, input_tensors=chip).layers
    )
    variables = [*model.weights, *model.trainable_weights, *optimizer.variables]  # the second for gradients
    return chips * outputs + 4 * sum(math.prod(each.shape) for each in variables)


def learn(config: TrainConfig) -> dict[str, float]:
    """Train and return the validation mean IoU of the best epoch."""
    from training.fit import run

    card = run(config, overwrite=True)
    return {"mean_iou": card.metrics["mean_iou"] if card and card.metrics else float("nan")}


def apart(work: str, rounds: int, values: dict[str, Any]) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.training.precision", "--work", work, "--rounds", str(rounds)]
    done = subprocess.run(
        [*command, "--values", json.dumps(values, default=str)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure every precision and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--precisions", nargs="+", default=["float32", "bfloat16"], choices=get_args(Precision)
    )
    options.add_argument("--config", type=Path, default=Path("jobs/conf/train.yaml"))
    options.add_argument("--batch-size", dest="batch_size", type=int, default=8)
    options.add_argument("--side", type=int, default=256, help="of a chip, pixels")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seeds", type=int, default=3, help="short trainings of each precision; 0: none")
    options.add_argument("--work", choices=("step", "learn"), help=argparse.SUPPRESS)
    options.add_argument("--values", type=json.loads, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.work:
        config = TrainConfig.model_validate(given.values)
        print(json.dumps(measure_step(config, given.rounds) if given.work == "step" else learn(config)))
        return
    with tempfile.TemporaryDirectory() as folder:
        Console().print(compared(given, Path(folder)))


def compared(given: argparse.Namespace, folder: Path) -> Table:
    """Measure every precision and return the table."""
    large = write_chips(folder / "large", train=given.batch_size, val=0, size=given.side)
    small = write_chips(folder / "small", train=48, val=12, size=64)
    title = f"U-Net of {given.config.name}, {given.batch_size} chips of {given.side} x {given.side}"
    memory = ("peak, MB", "before, MB", "needs, MB")
    table = Table("precision", "s/step", *memory, "mean IoU by seed", "mean", title=title)
    for precision in given.precisions:
        values = {"precision": precision, "threads": given.threads, "out": folder / precision}
        base = load_settings(TrainConfig, given.config, values | {"chips": large}).model_dump(mode="json")
        step = apart("step", given.rounds, base | {"batch_size": given.batch_size})
        short = {"chips": small, "depth": 3, "width": 8, "dropout": None, "epochs": 8, "batch_size": 2}
        found = [apart("learn", 1, base | short | {"seed": seed})["mean_iou"] for seed in range(given.seeds)]
        table.add_row(
            precision,
            f"{step['seconds']:.3f}",
            *(f"{step[name] / 1e6:.0f}" for name in ("bytes", "before", "needs")),
            " ".join(f"{value:.4f}" for value in found),
            f"{mean(found):.4f}" if found else "",
        )
    return table


if __name__ == "__main__":
    main()
