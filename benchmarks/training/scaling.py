"""Times training on one rank and on two, a thread each: same global batch, same chips, same loss curve.

    .venv/bin/python -m benchmarks.training.scaling
    .venv/bin/python -m benchmarks.training.scaling --cycle-ms 1 10 25 --rounds 2      # tunes Horovod
    .venv/bin/python -m benchmarks.training.scaling --rounds 0 --step 0.05 --links 12.5 150   # predicts only

Every figure comes from `jobs.train` itself, input pipeline included, on noise over patches of the classes.
Runs alternate, each in new processes; the first epoch, which compiles, does not count. Dropout is off,
because ranks drop different units. Two trainings of one rank at the same time, which know nothing of each
other, show what the machine's cores lend each other: no way to share a training can be more efficient. A last
run writes Horovod's timeline. The threads of the last two ranks before it are watched.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from rich.box import MARKDOWN
from rich.table import Table

from benchmarks.training.cores import Cores, Rank
from benchmarks.training.ring import PUBLISHED, Job, Link, rate_for, times_faster
from benchmarks.training.runs import Epoch, Tuning, curve_distance, settled, show, spread, train
from benchmarks.training.timeline import Shares, read_steps, shares_of
from labeling.settings import load_settings
from training.settings.config import TrainConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips

GOAL = 0.95
_PREDICTED = (2, 4, 8, 16, 64)

Runs = Mapping[Tuning | None, Sequence[Sequence[Epoch]]]
"""Rounds of epochs on two ranks with a tuning, or, under None, on one."""

Pairs = Sequence[Sequence[Sequence[Epoch]]]
"""Rounds of two trainings at the same time."""


def main() -> None:
    """Measure and print, in Markdown."""
    given = options().parse_args()
    tunings = [Tuning(cycle, given.fusion_mb) for cycle in given.cycle_ms]
    step = given.step
    if given.rounds:
        with tempfile.TemporaryDirectory() as folder:
            runs, pairs, shares, ranks = measured(given, tunings, Path(folder))
        show(scaling_table(runs, pairs, given))
        print(communication(shares, tunings[0]))
        print(lack_of_cores(ranks))
        step = step or given.batch_size / rate(runs[None])
    if step is None:
        raise SystemExit("give --rounds or --step: a prediction starts from the time of a step")
    show(prediction_table(Job(step, gradient_bytes(given.config)), given.links))


def options() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--config", type=Path, default=Path("jobs/conf/train.yaml"))
    found.add_argument("--batch-size", dest="batch_size", type=int, default=8, help="over all ranks; even")
    found.add_argument("--side", type=int, default=256, help="of a chip, pixels")
    found.add_argument("--updates", type=int, default=10, help="in an epoch")
    found.add_argument("--epochs", type=int, default=3, help="in a run, the first of which does not count")
    found.add_argument("--gpus", action="store_true", help="a GPU a rank; else a thread of the processor")
    found.add_argument("--rounds", type=int, default=3, help="runs of each kind; 0: only predict")
    found.add_argument(
        "--cycle-ms",
        type=float,
        nargs="+",
        default=[Tuning().cycle_ms],
        help="Horovod's cycle time; each is tried",
    )
    found.add_argument("--fusion-mb", type=int, default=128, help="Horovod's fusion threshold")
    found.add_argument("--step", type=float, help="seconds of a step to predict from; default: as measured")
    found.add_argument(
        "--links", type=float, nargs="+", default=[0.125, 1.25, 12.5, 100.0], help="GB/s to predict for"
    )
    return found


def measured(
    given: argparse.Namespace, tunings: Sequence[Tuning], folder: Path
) -> tuple[Runs, Pairs, Shares, list[Rank]]:
    """Alternate one rank, two for each tuning, and two apart, then look at the first tuning's timeline.

    The threads of each two ranks are watched, and of the last ones is told: Horovod's timeline has one of its
    own, which never rests.
    """
    values = settings(given, folder)
    half = values | {"batch_size": given.batch_size // 2}
    kinds: list[Tuning | None] = [None, *tunings]
    runs: dict[Tuning | None, list[list[Epoch]]] = {kind: [] for kind in kinds}
    pairs, told = [], list[Rank]()
    for _ in range(given.rounds):
        for kind in kinds:
            ranks, shared = (2, half) if kind else (1, values | {"batch_size": given.batch_size})
            with Cores() as cores:
                runs[kind].append(train(folder / "run", ranks, shared, tuning=kind or tunings[0]))
            told = cores.ranks()
        pairs.append(apart(folder, half, tunings[0]))
    timeline = folder / "timeline.json"
    train(folder / "run", 2, half, tuning=tunings[0], timeline=timeline)
    return runs, pairs, shares_of(read_steps(timeline)[given.updates :]), told


def apart(folder: Path, values: dict[str, Any], tuning: Tuning) -> list[list[Epoch]]:
    """Run two trainings of one rank at the same time, each on all chips, in batches of a rank of two."""

    def one(number: int) -> list[Epoch]:
        # Each takes the first GPU that it is shown.
        more = {} if values["gpus"] == "none" else {"CUDA_VISIBLE_DEVICES": str(number)}
        return train(folder / f"run {number}", 1, values, tuning=tuning, more=more)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(2)))


def settings(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the chips and return the configuration."""
    count = given.batch_size * given.updates
    chips = write_chips(folder / "chips", train=count, val=0, size=given.side, per_file=64)
    base = load_settings(TrainConfig, given.config, {"chips": chips, "out": folder}).model_dump(mode="json")
    del base["out"]
    device = {"gpus": "required"} if given.gpus else {"gpus": "none", "threads": 1}
    return base | device | {"epochs": given.epochs, "dropout": [0.0] * base["depth"]}


def rate(rounds: Sequence[Sequence[Epoch]]) -> float:
    """Return the median chips a second of all epochs that count."""
    return median(epoch.rate for epochs in rounds for epoch in settled(epochs))


def efficiencies(runs: Runs, tuning: Tuning) -> list[float]:
    """Return for each round how much of twice the speed of one rank two reach."""
    pairs = zip(runs[None], runs[tuning], strict=True)
    return [rate([two]) / rate([one]) / 2 for one, two in pairs]


def bounds(runs: Runs, pairs: Pairs) -> list[float]:
    """Return the same of two trainings that know nothing of each other."""
    rounds = zip(runs[None], pairs, strict=True)
    return [sum(rate([each]) for each in pair) / rate([one]) / 2 for one, pair in rounds]


def scaling_table(runs: Runs, pairs: Pairs, given: argparse.Namespace) -> Table:
    """Return speeds, efficiency and loss curves."""
    title = (
        f"Training, {given.config.name}: {given.batch_size} chips of {given.side} x {given.side} an update, "
        f"1 thread a rank, {given.rounds} rounds in turn: median (least to greatest)"
    )
    table = Table(
        "ranks", "cycle, ms", "fusion, MB", "chips/s", f"efficiency (goal {GOAL:g})",
        "last loss", "curves differ by", title=title, box=MARKDOWN,
    )  # fmt: skip
    for kind, rounds in runs.items():
        rates = spread([rate([epochs]) for epochs in rounds])
        last = f"{rounds[0][-1].loss:.6f}"
        if kind is None:
            table.add_row("1", "", "", rates, "", last, "")
            continue
        differing = max(curve_distance(runs[None][0], epochs) for epochs in rounds)
        table.add_row(
            "2", f"{kind.cycle_ms:g}", str(kind.fusion_mb), rates, spread(efficiencies(runs, kind), 3),
            last, f"{differing:.1e}",
        )  # fmt: skip
    rates = spread([sum(rate([each]) for each in pair) for pair in pairs])
    table.add_row("1 and 1, apart", "", "", rates, spread(bounds(runs, pairs), 3), "", "")
    return table


def communication(shares: Shares, tuning: Tuning) -> str:
    """Return sentences on what a step of two ranks is spent on, and which of them was waited for."""
    waits = spread([1000 * wait for wait in shares.waits], 0)
    late = ", ".join(f"rank {rank} in {count}" for rank, count in shares.late.items())
    return (
        f"\nOf a step of two ranks ({tuning.cycle_ms:g} ms cycle), by Horovod's timeline of rank 0: "
        f"{shares.reducing:.1%} reducing gradients, {shares.waiting:.1%} between the first rank's readiness "
        f"and the last one's. The last one was {late} of {len(shares.waits)} steps, and the other waited "
        f"{waits} ms."
    )


def lack_of_cores(ranks: Sequence[Rank]) -> str:
    """Return a sentence on what the ranks' threads lacked."""
    each = (
        f"one's busiest thread ran {rank.running:.1%} of the time and was ready without a core for "
        f"{rank.waiting:.1%}, while its other threads ran {rank.others:.1%}"
        for rank in ranks
    )
    return f"\nOf the ranks {'; '.join(each)}."


def gradient_bytes(file: Path) -> int:
    """Return the size of a configuration's gradients, float32."""
    from training.prepare import make_network

    config = load_settings(TrainConfig, file, {"chips": "chips", "out": "out"})
    return 4 * int(make_network(config, "float32").count_params())


def prediction_table(job: Job, links: Sequence[float]) -> Table:
    """Return the times faster that a ring of ranks is, for links of so many GB/s."""
    title = (
        f"Prediction: ranks of {job.step:.3f} s a step, {job.bytes / 1e6:.1f} MB of gradients, no overlap. "
        f"Published on 8: {PUBLISHED} x, which {rate_for(job, 8, PUBLISHED) / 1e9:.2g} GB/s would give"
    )
    table = Table("ranks", *(f"{link:g} GB/s" for link in links), title=title, box=MARKDOWN)
    for ranks in _PREDICTED:
        cells = (f"{times_faster(job, Link(link * 1e9), ranks):.2f} x" for link in links)
        table.add_row(str(ranks), *cells)
    return table


if __name__ == "__main__":
    main()
