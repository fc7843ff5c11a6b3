"""Spark's Worker on one node of an allocation, for as long as standard input is open.

    srun … python -m pipelines.slurm.worker ORDER.json

The job that starts it holds the other end of standard input and writes nothing. Its end, however it came
about, ends the Worker with all executors, so no Java outlives the job. A Worker that dies is started again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from select import select
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from pipelines.slurm.daemons import daemon_command, daemon_environment, end

STARTS: Final = 4
"""How often a Worker that dies is started in all: one that cannot live must not keep the job for ever."""

ASKED: Final = 128 + signal.SIGTERM
"""Exit code when Slurm asks its steps to end, and not the batch script: when a job is preempted."""

LOOK_S: Final = 0.2
"""Seconds between looks at the Worker."""

DAEMON: Final = 512
"""Memory of a Master or Worker itself, MiB."""


class Order(BaseModel):
    """What Workers are to be; the job writes it to a file of its folder."""

    model_config = ConfigDict(frozen=True)

    master: str = Field(description="spark://ADDRESS:PORT")
    properties: Path = Field(description="file with the secret")
    addresses: dict[str, str] = Field(description="each node's address, by its name in Slurm")
    heap: int = Field(description="memory of an executor's Java, MiB")
    task_memory: int = Field(description="memory of a task's Python, MiB")
    kept: dict[str, int] = Field(description="memory that other processes of the job take, by node, MiB")
    folder: Path = Field(description="the job's folder, for logs")


def main(arguments: list[str]) -> int:
    """Be the Worker of this node until standard input ends: 0 then, ASKED on SIGTERM, 1 if it cannot live."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ASKED))
    order = Order.model_validate_json(Path(arguments[0]).read_bytes())
    node = os.environ["SLURMD_NODENAME"]
    cores = cores_for(os.environ, order.heap + DAEMON + order.kept.get(node, 0), order.task_memory)
    # Blocks that do not stay in memory lie on the node's own disk; logs of executors stay with the job's.
    with TemporaryDirectory(prefix="polynya-", ignore_cleanup_errors=True) as local:
        for start in range(STARTS):
            if start:
                print(f"the Worker of {node} ended; starting it again", flush=True)
            if _serve(order, node, cores, local):
                return 0
    print(f"the Worker of {node} ended {STARTS} times", flush=True)
    return 1


def cores_for(environment: Mapping[str, str], taken: int, task: int) -> int:
    """Return how many tasks a node can do at a time: a core each, and memory where Slurm limits it.

    `taken` is what other processes of the job need there, `task` what each task needs, both MiB.
    """
    cores = int(environment.get("SLURM_CPUS_ON_NODE", 1))
    if "SLURM_MEM_PER_NODE" in environment:
        memory = int(environment["SLURM_MEM_PER_NODE"])
    elif "SLURM_MEM_PER_CPU" in environment:
        memory = cores * int(environment["SLURM_MEM_PER_CPU"])
    else:
        return cores
    return max(1, min(cores, (memory - taken) // task))


def _serve(order: Order, node: str, cores: int, local: str) -> bool:
    """Run a Worker until it ends; True when standard input ended first."""
    command = daemon_command(
        "worker.Worker", order.addresses[node], order.properties,
        "--cores", str(cores), "--memory", f"{order.heap}m",
        "--work-dir", str(order.folder / f"executors-{node}"), order.master,
    )  # fmt: skip
    environment = daemon_environment(order.addresses[node]) | {"SPARK_LOCAL_DIRS": local}
    with (order.folder / f"worker-{node}.log").open("ab") as log:
        worker = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
        )
        try:
            while worker.poll() is None:
                if sys.stdin in select([sys.stdin], [], [], LOOK_S)[0] and not os.read(0, 1 << 10):
                    return True
            return False
        finally:
            end(worker)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
