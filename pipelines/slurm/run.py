"""A job of Spark as a job of Slurm: look at the nodes, bring Spark up, submit, and be queued again where asked to end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pipelines
from labeling.files.storage import AnyPath
from pipelines.engine.outcome import ExitCode
from pipelines.slurm.allocation import Allocation
from pipelines.slurm.cluster import Needs, spark_cluster
from pipelines.slurm.submit import ASKED, submit
from training.ranks.stop import REQUEUE

CODE: Final = Path(pipelines.__file__).parents[1]
"""Where the project lies, on every node."""


class Order(NamedTuple):
    """What is to be run, and how."""

    main: Path
    """Main file of the job."""
    arguments: Sequence[str]
    out: AnyPath
    """Run folder."""
    needs: Needs
    logs: Path
    """Folder for those of Spark."""
    requeues: int
    """How often the job may queue itself again."""
    accept: bool
    """Whether exit code 3, some scenes failed, becomes 0."""


def run(order: Order) -> int:
    """Run a job on all nodes of this allocation and return the exit code.

    ConfigError where the nodes cannot do it, SparkError where Spark does not come up or is lost.
    """
    allocation = Allocation.here()
    # Each start of the job has logs of its own.
    folder = order.logs / f"{allocation.job}.{allocation.restarts}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    addresses = {node: allocation.address(node) for node in allocation.nodes}
    with spark_cluster(addresses, order.needs, folder, CODE) as cluster:
        code = submit(cluster, order.main, order.arguments, addresses[allocation.nodes[0]], CODE)
    if code == ASKED:
        again = allocation.again(order.requeues)
        _tell(order, f"asked to end; {'queued again' if again else 'not queued again'} to do what is missing")
        return REQUEUE
    if code == ExitCode.SOME_FAILED and order.accept:
        _tell(order, f"some scenes failed, which is accepted; {order.out}/failures.jsonl says which and why")
        return ExitCode.DONE
    return code


def _tell(order: Order, text: str) -> None:
    print(f"{order.main.stem}: {text}", file=sys.stderr, flush=True)
