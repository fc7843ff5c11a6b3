"""One table of what a training's pace is made of, measured where it is called, on GPUs where there are any.

    .venv/bin/python -m benchmarks.training.pace                            # 15 minutes on two free cores
    .venv/bin/python -m benchmarks.training.pace --batch-size 16 --rounds 3 # 32 chips an update of two ranks
    .venv/bin/python -m benchmarks.training.pace --only host exchange --step 0.05 --links 12.5 150

Input is what one rank's pipeline gives when nothing else wants it; host, what the loop does between two
steps (host.py); step, that of one rank on a batch from memory, and its memory (precision.py); exchange, what
two ranks' gradients cost and how much of it hides (exchange.py); efficiency, what two ranks reach of twice
the speed of one with their whole batch, beside two trainings that know nothing of each other (scaling.py).
Of these only the last are whole trainings. The prediction for eight GPUs is arithmetic (ring.py): nothing of
the exchange is taken to hide. `benchmarks.training.gpu_check` measures 4 and 8 GPUs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from rich.box import MARKDOWN
from rich.table import Table

from benchmarks.training import exchange, host, precision, scaling
from benchmarks.training.gpu_check import about_machine
from benchmarks.training.ring import Job, Link, times_faster
from benchmarks.training.runs import Tuning, show, spread
from labeling.settings import load_settings
from training.settings.config import TrainConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips

PARTS: Final = ("input", "host", "step", "exchange", "efficiency")

EIGHT: Final = 8

Row = tuple[str, str, str]
"""What, how much, and the goal."""


def main() -> None:
    """Measure and print, in Markdown."""
    given = options().parse_args()
    if given.work:
        print(json.dumps({"input": input_rate, "host": between}[given.work](given)))
        return
    facts = about_machine()
    given.gpus = bool(facts["gpus"])
    names = ", ".join(f"{count} x {name}" for name, count in Counter(facts["gpus"]).items())
    device = names or f"processors, {given.threads} thread(s) a rank"
    title = (
        f"{given.config.name}: {given.batch_size} chips of {given.side} x {given.side} a rank, all measured "
        f"on {device}, TensorFlow {facts['tensorflow']}"
    )
    table = Table("what", "measured here", "goal", title=title, box=MARKDOWN)
    steps: list[float] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for row in rows(given, Path(folder), steps, gpus=len(facts["gpus"])):
                print(f"{row[0]}: {row[1]}", file=sys.stderr, flush=True)  # as it may take a while
                table.add_row(*row)
    finally:
        show(table)  # what there is, where a part ends with an error
    if given.step or steps:
        show(predicted(given, given.step or steps[0], "given" if given.step else f"measured on {device}"))


def options() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--config", type=Path, default=Path("jobs/conf/train.yaml"))
    found.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    found.add_argument("--batch-size", dest="batch_size", type=int, default=4, help="chips of a rank")
    found.add_argument("--memory-batch", type=int, default=32, help="chips of a rank whose memory is told")
    found.add_argument("--side", type=int, default=256, help="of a chip, pixels")
    found.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    found.add_argument("--threads", type=int, default=1, help="of a rank on processors")
    found.add_argument("--updates", type=int, default=10, help="in an epoch of a training")
    found.add_argument("--epochs", type=int, default=3, help="of a training; the first does not count")
    found.add_argument("--rounds", type=int, default=3)
    found.add_argument("--rate", default="none", help="of a link between two hosts; see exchange.py")
    found.add_argument(
        "--step", type=float, help="seconds of a GPU's step to predict from; default: measured"
    )
    found.add_argument("--links", type=float, nargs="+", default=[1.25, 12.5, 100.0], help="GB/s, likewise")
    found.add_argument("--work", choices=("input", "host"), help=argparse.SUPPRESS)
    return found


def rows(given: Namespace, folder: Path, steps: list[float], *, gpus: int) -> Iterator[Row]:
    """Measure and yield row after row; `steps` gets the seconds of a step."""
    if "input" in given.only:
        found = alone("input")
        makers = f"{found['feeders']:.0f} process(es)" if found["feeders"] else "a thread"
        yield f"input of a rank that is alone here, by {makers}", f"{found['rate']:.0f} chips/s", "the step's"
    if "host" in given.only:
        found = alone("host")
        text = f"{found['wall']:.2f} ms ({found['processor']:.2f} ms of processor time)"
        yield "host between two steps", text, f"{host.GOAL_MS:g} ms"
    if "step" in given.only:
        yield from step_rows(given, folder, steps)
    for part, measure in (("exchange", exchange_rows), ("efficiency", efficiency_rows)):
        if part in given.only and gpus == 1:
            yield part, "left out: two ranks take two GPUs, and there is one", ""
        elif part in given.only:
            yield from measure(given, folder)


def alone(work: str) -> dict[str, float]:
    """Do one of `--work` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.training.pace", *sys.argv[1:], "--work", work]
    found: dict[str, float] = json.loads(exchange.output(command))
    return found


def input_rate(given: Namespace) -> dict[str, float]:
    """Return the chips a second of later epochs' input, made as for a training on this machine."""
    from benchmarks.training.input import best_rate, drain
    from training.feeding import feeding, keep_unpacked
    from training.prepare import build, open_splits
    from training.ranks import collectives

    with tempfile.TemporaryDirectory() as folder:
        chips = write_chips(Path(folder), train=256, val=0, size=given.side, per_file=64)
        changed = {"chips": chips, "out": folder, "batch_size": given.batch_size}
        config = load_settings(TrainConfig, given.config, changed)
        world = collectives.start()
        whole = build(config, world, *open_splits(config))
        keep_unpacked(config, world, whole.train)
        gpu = config.gpus != "none" and bool(about_machine()["gpus"])
        with feeding(config, world, whole.train, gpu=gpu) as feeders:
            training = replace(whole, feeders=feeders)
            drain(training)
            rate = best_rate(lambda: drain(training, 4), given.rounds)
        return {"rate": rate, "feeders": len(feeders) if feeders else 0}


def between(given: Namespace) -> dict[str, float]:
    """Return what an update costs beside its step."""
    return host.measured(1000)._asdict()


def step_rows(given: Namespace, folder: Path, steps: list[float]) -> Iterator[Row]:
    """Yield seconds of a step and the memory that one takes, by precision."""
    chips = write_chips(folder / "few", train=given.memory_batch, val=0, size=given.side, per_file=64)
    device = {} if given.gpus else {"threads": given.threads, "gpus": "none"}
    changed = {"chips": chips, "out": folder, **device}
    base = load_settings(TrainConfig, given.config, changed).model_dump(mode="json")
    for name in given.precisions:
        values = base | {"precision": name}
        found = precision.apart("step", given.rounds, values | {"batch_size": given.batch_size})
        steps.append(found["seconds"])
        rate = given.batch_size / found["seconds"]
        yield f"step of one rank, {name}", f"{found['seconds']:.3f} s, {rate:.1f} chips/s", ""
        found = precision.apart("step", 1, values | {"batch_size": given.memory_batch})
        peak, before, needs = (found[key] / 1e9 for key in ("bytes", "before", "needs"))
        text = f"{peak:.2f} GB, {before:.2f} of it before the first step; the network needs {needs:.2f}"
        yield f"memory at {given.memory_batch} chips, {name}", text, ""


def exchange_rows(given: Namespace, _: Path) -> Iterator[Row]:
    """Yield what two ranks' exchange costs."""
    default = TrainConfig.model_fields["exchange_groups"].default
    flags = ["--config", given.config, "--rate", given.rate, "--batch-size", given.batch_size]
    flags += ["--side", given.side, "--threads", given.threads, "--rounds", given.rounds]
    flags += ["--groups", 1, default, "--half", 0]
    times = exchange.between_hosts(list(map(str, flags)), given.rate)
    link = "no link" if given.rate == "none" else f"a link of {given.rate}"
    for name in (exchange.ALONE, exchange.BARE, "1", str(default)):
        title = f"step of two ranks, {name} group(s)" if name.isdigit() else f"two ranks, {name}"
        yield f"{title}, {link}", f"{spread(times[name], 3)} s", ""
    yield "hidden of the exchange", f"{exchange.hidden(times, str(default)):.2f}", ""


def efficiency_rows(given: Namespace, folder: Path) -> Iterator[Row]:
    """Yield what two ranks reach of twice the speed of one, and of what it falls short."""
    tuning = Tuning(cycle_ms=1) if given.gpus else Tuning()
    both = Namespace(**vars(given) | {"batch_size": 2 * given.batch_size})
    runs, pairs, shares, ranks = scaling.measured(both, [tuning], folder)
    chips = f"{both.batch_size} chips an update"
    yield f"one rank, {chips}", f"{scaling.rate(runs[None]):.2f} chips/s", ""
    yield (
        f"efficiency of two ranks, {chips}",
        spread(scaling.efficiencies(runs, tuning), 3),
        f"{scaling.GOAL:g}",
    )
    yield f"efficiency of two trainings apart, {chips}", spread(scaling.bounds(runs, pairs), 3), ""
    yield "of a step: from the first rank's readiness to the last one's", f"{shares.waiting:.1%}", ""
    yield "of a step: adding up gradients", f"{shares.reducing:.1%}", ""
    waiting = " and ".join(f"{rank.waiting:.1%}" for rank in ranks)
    yield "of the time: a rank's busiest thread is ready and has no core", waiting, ""
    others = " and ".join(f"{rank.others:.1%}" for rank in ranks)
    yield "of the time: its other threads run", others, ""


def predicted(given: Namespace, step: float, whence: str) -> Table:
    """Return how many times faster eight GPUs are."""
    job = Job(step, scaling.gradient_bytes(given.config))
    title = (
        f"Prediction, not a measurement: {EIGHT} ranks of {step:.3f} s a step ({whence}), "
        f"{job.bytes / 1e6:.1f} MB of gradients, nothing of their exchange hidden"
    )
    table = Table("ranks", *(f"{link:g} GB/s" for link in given.links), title=title, box=MARKDOWN)
    table.add_row(
        str(EIGHT), *(f"{times_faster(job, Link(1e9 * link), EIGHT):.2f} x" for link in given.links)
    )
    return table


if __name__ == "__main__":
    main()
