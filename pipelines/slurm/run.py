"""A job of Spark as a job of Slurm: look at the nodes, bring Spark up, submit, and queue again where asked to end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pipelines
from pipelines.slurm.allocation import Allocation
from pipelines.slurm.cluster import Needs, spark_cluster
from pipelines.slurm.submit import submit
from training.ranks.stop import REQUEUE

CODE = Path(pipelines.__file__).parents[1]


def run(main: Path, arguments: Sequence[str], needs: Needs, logs: Path, requeues: int) -> int:
    allocation = Allocation.here()
    folder = logs.absolute() / f"{allocation.job}-{allocation.restarts}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    addresses = {node: allocation.address(node) for node in allocation.nodes}
    here = addresses[allocation.nodes[0]]
    with spark_cluster(addresses, needs, folder, CODE) as cluster:
        code = submit(cluster, main, arguments, here, CODE)
    if code == 143:
        if allocation.again(requeues):
            print("asked to end; queued again", file=sys.stderr)
        return REQUEUE
    return code
