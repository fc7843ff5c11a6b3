"""The first hour with GPUs: does NCCL add up, how fast are 1, 2, 4 and 8, are their weights those of one?

    .venv/bin/python -m benchmarks.training.gpu_check
    .venv/bin/python -m benchmarks.training.gpu_check --devices cpu      # tries the check itself without GPUs

On one machine. For each number of GPUs `jobs.train` runs twice, as a user starts it: with few chips and one
global batch for all, by gradient descent without dropout, so that the weights must be those of one GPU; and
with the network of jobs/conf/train.yaml and a full batch on each GPU, for the speed. Each learns from noise
over patches of the classes, from files, and the first epoch, which compiles, does not count.

Exit code: 0 all is well, 1 something is not, 2 there is nothing to check.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.table import Table

from benchmarks.training.runs import LOG, Tuning, settled, show, train
from training.folder.card import MODEL_FILE

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips

ROOT: Final = Path(__file__).parents[2]

RANKS: Final = (1, 2, 4, 8)

TOLERANCE: Final = 1e-5
"""Largest difference of a weight, as a share of its tensor's largest: sums are rounded in another order."""

LEAST: Final = 0.8
"""Share of N times one GPU's speed that N must reach; eight GPUs of a DGX were published at 0.9."""

FACTS: Final = """
import json, os, platform
import tensorflow as tf
from training.ranks.collectives import has_nccl
from training.ranks.gpus import unseen
names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
         for gpu in tf.config.list_physical_devices("GPU")]
print(json.dumps({"host": platform.node(), "tensorflow": tf.__version__, "gpus": names, "nccl": has_nccl(),
                  "unseen": unseen(os.environ, cuda=tf.test.is_built_with_cuda())}))
"""
"""Asked in a process of its own, which leaves no memory of a GPU taken."""

Weights = Mapping[str, NDArray[np.float32]]


class Found(NamedTuple):
    """What a number of ranks did."""

    ranks: int
    rate: float
    """Chips a second, over all ranks."""
    distance: float
    """Of its weights from those of one rank."""
    log: str
    """What its ranks printed."""


class Verdict(NamedTuple):
    """One line of the page's end."""

    well: bool
    text: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print a page and return the exit code."""
    given = options().parse_args(arguments)
    facts = about_machine()
    if given.devices == "gpu" and not facts["gpus"]:
        reason = facts["unseen"] or f"{facts['host']} has no GPU; --devices cpu tries the check without"
        print(f"gpu_check: {reason}", file=sys.stderr)
        return 2
    most = len(facts["gpus"]) if given.devices == "gpu" else max(given.ranks or (2,))
    ranks = [count for count in given.ranks or RANKS if count <= most]
    if given.devices == "gpu":
        os.environ["NCCL_DEBUG"] = "INFO"  # what it says of itself is evidence that it is used
    if not ranks or any(max(ranks) % count for count in ranks):
        print(f"gpu_check: give --ranks up to {most}, which divide the most of them", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="polynya-") as folder:
        try:
            found = measured(given, ranks, Path(folder))
        except RuntimeError as error:
            print(f"gpu_check: {error}", file=sys.stderr)
            return 1
    show(page(given, facts, found))
    verdicts = judged(given, found)
    for verdict in verdicts:
        print(f"{'well' if verdict.well else 'NOT WELL'}: {verdict.text}")
    return 0 if all(verdict.well for verdict in verdicts) else 1


def options() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--devices", choices=["gpu", "cpu"], default="gpu")
    found.add_argument("--ranks", type=int, nargs="+", help=f"default: {RANKS}, or as many as there are GPUs")
    found.add_argument("--precision", default="float32", help="of the runs for speed")
    found.add_argument("--batch-size", type=int, default=32, help="chips of a rank, for speed")
    found.add_argument("--side", type=int, default=256, help="of a chip, pixels, for speed")
    found.add_argument("--updates", type=int, default=8, help="of the most ranks in an epoch, for speed")
    found.add_argument("--epochs", type=int, default=3, help="for speed; the first does not count")
    found.add_argument("--tolerance", type=float, default=TOLERANCE, help="of weights")
    found.add_argument("--least", type=float, default=LEAST, help="efficiency that is well")
    return found


def about_machine() -> dict[str, Any]:
    """Return what TensorFlow and Horovod say of this machine."""
    done = subprocess.run(
        [sys.executable, "-c", FACTS], cwd=ROOT, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def measured(given: argparse.Namespace, ranks: Sequence[int], folder: Path) -> list[Found]:
    """Run all trainings; RuntimeError with the output of one that fails."""
    # Horovod's own pause: what the processor's ranks need is slow for GPUs.
    tuning = Tuning(cycle_ms=1) if given.devices == "gpu" else Tuning()
    device = {"gpus": "required"} if given.devices == "gpu" else {"gpus": "none", "threads": 1}
    most = max(ranks)
    few = write_chips(folder / "few", train=4 * most, val=0, size=64)
    exact = device | {
        "chips": few, "depth": 3, "width": 8, "dropout": [0.0] * 3, "augment": False, "optimizer": "sgd",
        "learning_rate": 0.05, "epochs": 3, "absent_classes": "allow", "keep": "last",
    }  # fmt: skip
    many = write_chips(
        folder / "many", train=given.batch_size * most * given.updates, val=0, size=given.side, per_file=64
    )
    fast = device | {
        "chips": many, "batch_size": given.batch_size, "precision": given.precision, "epochs": given.epochs,
        "absent_classes": "allow",
    }  # fmt: skip
    train(folder / "one", 1, exact | {"batch_size": most}, tuning=tuning)
    one = weights(folder / "one/model")
    found = []
    for count in ranks:
        train(folder / "exact", count, exact | {"batch_size": most // count}, tuning=tuning)
        epochs = train(folder / "fast", count, fast, tuning=tuning)
        rate = median(epoch.rate for epoch in settled(epochs))
        log = (folder / "fast" / LOG).read_text()
        found.append(Found(count, rate, distance(one, weights(folder / "exact/model")), log))
    return found


def weights(folder: Path) -> Weights:
    """Return all arrays of a model folder's network by their places in its file."""
    found: dict[str, NDArray[np.float32]] = {}

    def keep(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with (
        zipfile.ZipFile(folder / MODEL_FILE) as archive,
        archive.open("model.weights.h5") as stream,
        h5py.File(stream, "r") as file,
    ):
        file.visititems(keep)
    return found


def distance(one: Weights, other: Weights) -> float:
    """Return the largest difference of two weights, as a share of the largest weight of their tensor.

    ValueError where they are not of one network.
    """
    if one.keys() != other.keys():
        raise ValueError("the weights are of different networks")
    return max(
        float(np.max(np.abs(array - other[name])) / max(float(np.max(np.abs(array))), 1e-12))
        for name, array in one.items()
    )


def nccl_ranks(log: str) -> int:
    """Return how many ranks NCCL connected, by its own words (NCCL_DEBUG=INFO); 0 where it was not used."""
    return max(map(int, re.findall(r"NCCL INFO .*\bnranks (\d+) .*Init COMPLETE", log)), default=0)


def nccl_links(log: str) -> str:
    """Return over what NCCL's channels go, the most frequent first: P2P is NVLink or PCIe, SHM is memory."""
    found = Counter(re.findall(r"NCCL INFO Channel .* via (P2P|SHM|NET/\w+)", log))
    return ", ".join(name for name, _ in found.most_common())


def page(given: argparse.Namespace, facts: Mapping[str, Any], found: Sequence[Found]) -> Table:
    """Return the table of what was measured."""
    names = ", ".join(f"{count} x {name}" for name, count in Counter(facts["gpus"]).items())
    by = "NCCL" if facts["nccl"] and given.devices == "gpu" else "Gloo"
    title = (
        f"{facts['host']}: {names if given.devices == 'gpu' else 'processors, a thread a rank'}; TensorFlow "
        f"{facts['tensorflow']}, Horovod with {by}. Speed: {given.batch_size} chips of {given.side} x "
        f"{given.side} a rank, {given.precision}"
    )
    table = Table(
        "ranks",
        "chips/s",
        "efficiency",
        "weights differ by",
        "NCCL ranks",
        "links",
        title=title,
        box=MARKDOWN,
    )
    for each in found:
        table.add_row(
            str(each.ranks), f"{each.rate:.1f}", f"{efficiency(found, each):.2f}", f"{each.distance:.1e}",
            str(nccl_ranks(each.log) or ""), nccl_links(each.log),
        )  # fmt: skip
    return table


def efficiency(found: Sequence[Found], each: Found) -> float:
    """Return the speed of a rank as a share of that of one rank of the fewest that were tried."""
    return each.rate / each.ranks / (found[0].rate / found[0].ranks)


def judged(given: argparse.Namespace, found: Sequence[Found]) -> list[Verdict]:
    """Return what is well and what is not."""
    farthest = max(found, key=lambda each: each.distance)
    slowest = min(found, key=lambda each: efficiency(found, each))
    verdicts = [
        Verdict(
            farthest.distance <= given.tolerance,
            f"all have the weights of one within {farthest.distance:.1e} (at most {given.tolerance:g})",
        )
    ]
    if given.devices == "gpu":  # processors share memory, and this machine's may be few
        verdicts += [
            Verdict(
                nccl_ranks(each.log) == each.ranks,
                f"NCCL connected {nccl_ranks(each.log)} of {each.ranks} ranks, over {nccl_links(each.log)}",
            )
            for each in found
            if each.ranks > 1
        ]
        reached = efficiency(found, slowest)
        verdicts.append(
            Verdict(
                reached >= given.least,
                f"{slowest.ranks} ranks have {reached:.0%} of their speed alone (at least {given.least:.0%})",
            )
        )
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
