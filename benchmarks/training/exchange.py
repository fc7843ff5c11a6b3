"""Times steps whose gradients travel in 1, 2, 4 and 8 groups, between two hosts on a link of a given rate.

    sudo .venv/bin/python -m benchmarks.training.exchange                       # 1gbit
    sudo .venv/bin/python -m benchmarks.training.exchange --rate 200mbit --groups 1 4
    .venv/bin/python -m benchmarks.training.exchange --rate none                # this machine's own loopback
    python -m jobs.launch --ranks 8 python -m benchmarks.training.exchange --rank    # on any machine's ranks

The hosts are network namespaces, joined by a pair of interfaces that `tc tbf` slows, which takes root on
Linux. Everything is measured in the same two processes, in turn: the step with each number of groups; the
step whose gradients stay where they are, in which no rank waits for another; the exchange by itself. One
group hides nothing, as it sets out when the last gradient is there. So what hides is the share of the
exchange by which a step is shorter than one group's in the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest import mock

from rich.box import MARKDOWN
from rich.table import Table

from benchmarks.training.runs import show, spread
from labeling.settings import load_settings
from training.launch.environment import places, rank_environment
from training.launch.processes import Rank, end
from training.launch.rendezvous import Rendezvous
from training.launch.store import Store
from training.settings.config import TrainConfig

ALONE: Final = "no exchange"
BARE: Final = "exchange by itself"
ONE: Final = "1"

ADDRESSES: Final = ("10.213.0.1", "10.213.0.2")
"""Of the two hosts, which nothing else can reach."""

NAMESPACES: Final = Path("/etc/netns")
"""Where `ip netns exec` finds a namespace's own /etc/hosts."""

INTERFACE: Final = "polynya"

Times = Mapping[str, Sequence[float]]
"""Seconds of a step in each round, by what was done."""


def main() -> None:
    """Measure and print, in Markdown."""
    given = options().parse_args()
    if given.rank:
        times = measured(given)
        if times is not None:
            print(json.dumps(times), flush=True)
        return
    if given.inside:
        raise SystemExit(started(given, given.inside))
    show(page(between_hosts(sys.argv[1:], given.rate), given))


def options() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--config", type=Path, default=Path("jobs/conf/train-iqrah-2024.yaml"))
    found.add_argument(
        "--rate", default="1gbit", help="of the link, each way, as tc writes it; none: no link"
    )
    found.add_argument("--groups", type=int, nargs="+", default=[1, 2, 4, 8], help="1 always too")
    found.add_argument("--half", type=int, default=4, help="groups tried as float16 too; 0: not")
    found.add_argument("--batch-size", dest="batch_size", type=int, default=16, help="chips of a rank")
    found.add_argument("--side", type=int, default=128, help="of a chip, pixels")
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--rounds", type=int, default=7)
    found.add_argument("--steps", type=int, default=3, help="of each kind in a round")
    found.add_argument("--rank", action="store_true", help="be one rank of a job; rank 0 prints the times")
    found.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    return found


def between_hosts(flags: Sequence[str], rate: str) -> Times:
    """Measure with these flags on two ranks, on hosts of their own unless the link's rate is "none"."""
    command = [sys.executable, "-m", "benchmarks.training.exchange", *flags]
    if rate == "none":
        found = output([sys.executable, "-m", "jobs.launch", "--ranks", "2", *command, "--rank"])
    else:
        with two_hosts(rate) as hosts:
            found = output(["ip", "netns", "exec", hosts[0], *command, "--inside", *hosts])
    times: Times = json.loads(found)
    return times


def output(command: Sequence[str]) -> str:
    """Run a job and return its last line, without the rank's mark."""
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.splitlines()[-1].removeprefix("[0] ")


@contextmanager
def two_hosts(rate: str) -> Iterator[list[str]]:
    """Join two network namespaces by a link of this rate while the block lasts; yields their names."""
    names = [f"polynya-{os.getpid()}-{host}" for host in range(2)]

    def run(command: str) -> None:
        subprocess.run(command.split(), check=True)

    try:
        for name, address in zip(names, ADDRESSES, strict=True):
            run(f"ip netns add {name}")
            # Horovod adds up over the address of the machine's name, whatever interface it is told.
            hosts = NAMESPACES / name / "hosts"
            hosts.parent.mkdir(parents=True)
            hosts.write_text(f"127.0.0.1 localhost\n{address} {platform.node()}\n")
        one, other = names
        run(f"ip link add {INTERFACE} netns {one} type veth peer name {INTERFACE} netns {other}")
        for name, address in zip(names, ADDRESSES, strict=True):
            run(f"ip -n {name} address add {address}/24 dev {INTERFACE}")
            run(f"tc -n {name} qdisc add dev {INTERFACE} root tbf rate {rate} burst 256kb limit 20mb")
            run(f"ip -n {name} link set lo up")
            run(f"ip -n {name} link set {INTERFACE} up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False)
            shutil.rmtree(NAMESPACES / name, ignore_errors=True)


def started(given: argparse.Namespace, hosts: Sequence[str]) -> int:
    """Start a rank on each host, from the first of them, and return the worse exit code."""
    options = sys.argv[1 : sys.argv.index("--inside")]
    command = [sys.executable, "-m", "benchmarks.training.exchange", *options, "--rank"]
    meeting = Rendezvous(Store(), address=ADDRESSES[0], interface=INTERFACE, hosts=ADDRESSES)
    ranks: list[Rank] = []
    with meeting as rendezvous:
        try:
            for place, host in zip(places(dict.fromkeys(hosts, 1)), hosts, strict=True):
                environment = rank_environment(place, rendezvous.meeting)
                ranks.append(Rank(["ip", "netns", "exec", host, *command], environment, str(place.rank)))
            while any(rank.code() is None for rank in ranks) and not any(rank.code() for rank in ranks):
                time.sleep(0.1)
        finally:
            end(ranks)
    return max(rank.code() or 0 for rank in ranks)


def measured(given: argparse.Namespace) -> Times | None:
    """Time all kinds in turn, as one rank of several; None but on rank 0."""
    import tensorflow as tf

    from training.ranks import collectives
    from training.ranks.device import limit_threads, take_gpu

    world = collectives.start()
    limit_threads(given.threads)
    take_gpu("auto", world.local_rank)
    tf.get_logger().setLevel("ERROR")  # it finds so many graphs suspicious
    kinds = steps(given, world.size)
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(given.rounds + 1):
        for name, step in kinds.items():
            step()  # compiles, and in later rounds brings the ranks to one moment
            collectives.wait("round")
            begun = time.perf_counter()
            for _ in range(given.steps):
                step()
            taken = (time.perf_counter() - begun) / given.steps
            slowest = max(collectives.gathered(taken, "taken"))
            if number:
                times[name].append(slowest)
    return times if world.leads else None


def steps(given: argparse.Namespace, ranks: int) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name, for this rank's batch of noise."""
    import numpy as np
    import tensorflow as tf

    from training import step as training_step
    from training.network.inputs import CHANNEL_COUNT
    from training.network.losses import make_loss
    from training.prepare import POLICIES, make_network
    from training.ranks.collectives import Flags, Sums, sum_step
    from training.ranks.exchange import Exchange

    changed = {"chips": "chips", "out": "out", "batch_size": given.batch_size}
    config = load_settings(TrainConfig, given.config, changed)
    model = make_network(config, POLICIES[config.precision])
    optimizer = training_step.make_optimizer(config.optimizer, config.learning_rate, model)
    shape = (given.batch_size, given.side, given.side)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.random((*shape, CHANNEL_COUNT[config.channels]), np.float32))
    labels = tf.constant(rng.integers(0, 3, shape, np.uint8))

    def made(exchange: Exchange) -> Callable[[], Any]:
        step = training_step.make_train_step(model, optimizer, make_loss("crossentropy"), exchange=exchange)
        return lambda: step(images, labels, Flags(stop=False, trouble=False))

    def kept() -> Any:
        with mock.patch.object(training_step, "sum_step", lambda own, flags, _: (own, flags)):
            return alone()

    def travelled() -> Any:
        # Not constants, whose sum TensorFlow would work out once.
        values = [each.value + 0.0 for each in model.trainable_variables]
        sums, _ = sum_step(Sums(values, tf.zeros(()), tf.zeros(())), tf.zeros(2), Exchange())
        return sums.loss

    alone, bare = made(Exchange()), tf.function(travelled)
    half = Exchange.of(
        config.model_copy(update={"exchange_groups": given.half or 1, "exchange_precision": "float16"}),
        ranks=ranks, pixels=given.side**2,
    )  # fmt: skip
    found = {ALONE: kept, BARE: lambda: bare().numpy()}
    found |= {str(groups): made(Exchange(groups)) for groups in dict.fromkeys([1, *given.groups])}
    return found | ({f"{given.half}, float16": made(half)} if given.half else {})


def page(times: Times, given: argparse.Namespace) -> Table:
    """Return the table."""
    title = (
        f"{given.config.name}: {given.batch_size} chips of {given.side} x {given.side} a rank, link "
        f"{given.rate}, {given.threads} threads a rank, {given.rounds} rounds in turn: median (least to "
        "greatest)"
    )
    table = Table("groups", "s a step", "of one group's step", "hidden", title=title, box=MARKDOWN)
    for name, seconds in times.items():
        if name in (ALONE, BARE):
            table.add_row(name, spread(seconds, 3), "", "")
            continue
        ratios = [one / other for one, other in zip(seconds, times[ONE], strict=True)]
        table.add_row(name, spread(seconds, 3), spread(ratios, 2), f"{hidden(times, name):.2f}")
    return table


def hidden(times: Times, name: str) -> float:
    """Return the share of the exchange that hides behind the step, by medians; above 1 it is noise."""
    shorter = median(one - other for one, other in zip(times[ONE], times[name], strict=True))
    return shorter / median(times[BARE])


if __name__ == "__main__":
    main()
