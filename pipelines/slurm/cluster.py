"""Spark's Master on the first node of an allocation and a Worker on each, while a block runs.

    with spark_cluster(nodes, needs, folder) as cluster:
        …  cluster.master, cluster.properties

Nothing is left afterwards, however the block ends. Who does not know the job's own secret is not heard.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from labeling.errors import PolynyaError
from pipelines.engine import java
from pipelines.secure.properties import write_properties
from pipelines.slurm.daemons import GRACE_S, daemon_command, daemon_environment, end
from pipelines.slurm.worker import ASKED, DAEMON, LOOK_S, Order
from training.launch.processes import Signals

T = TypeVar("T")

PATIENCE_S: Final = 600.0
"""Seconds until all Workers must have come to the Master."""


class Needs(NamedTuple):
    """Memory of the job's processes, MiB."""

    heap: int
    """Java of an executor."""
    driver: int
    """Java of the driver."""
    task: int
    """Python of a task."""


class Cluster(NamedTuple):
    """A Spark cluster that is there."""

    master: str
    """spark://ADDRESS:PORT"""
    properties: Path
    """What spark-submit needs to know, the secret too."""
    trouble: Callable[[], str | None]
    """Says in a sentence why it is no cluster any more, None while it is one; AskedError as below."""


class AskedError(PolynyaError):
    """The job was asked to end."""


class SparkError(PolynyaError):
    """Spark could not be brought up in the allocation, or was lost; jobs exit with code 1."""


@contextmanager
def spark_cluster(
    addresses: Mapping[str, str], needs: Needs, folder: Path, *, code: Path, signals: Signals
) -> Iterator[Cluster]:
    """Yield a cluster on nodes, whose addresses are given by their names; the first is this node.

    Logs go to `folder`, which all nodes see; workers import the project from `code`. SparkError where Master
    or Workers do not come up, AskedError where a signal came before.
    """
    here = next(iter(addresses.values()))
    properties, log = folder / "spark.conf", folder / "master.log"
    properties.unlink(missing_ok=True)
    write_properties(properties, _settings(here, needs, code))
    master: subprocess.Popen[bytes] | None = None
    workers: subprocess.Popen[bytes] | None = None
    try:
        with log.open("wb") as output:
            master = subprocess.Popen(
                daemon_command("master.Master", here, properties, "--port", "0"),
                env=daemon_environment(here),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0,
            )  # fmt: skip
        url = _wait(
            lambda: _started(log),
            lambda: _ended(master, "Master", log),
            signals,
            lambda: f"the Master; see {log}",
        )
        workers = _start_workers(url, properties, addresses, needs, folder)
        _wait(
            lambda: set(addresses.values()) <= _registered(log),
            lambda: _trouble(master, workers, folder),
            signals,
            lambda: (
                f"all of {len(addresses)} Workers: the Master at {url} has heard of "
                f"{len(_registered(log))}; see worker-*.log in {folder}, and whether nodes may connect to "
                "each other on any port"
            ),
        )
        yield Cluster(url, properties, lambda: _trouble(master, workers, folder))
    finally:
        if workers is not None:
            _end_workers(workers)
        if master is not None:
            end(master)
        properties.unlink(missing_ok=True)


def _settings(here: str, needs: Needs, code: Path) -> dict[str, str]:
    """Return what driver and executors are told besides the secret."""
    return {
        "spark.driver.host": here,
        "spark.driver.memory": f"{needs.driver}m",
        "spark.driver.extraJavaOptions": java.options(),
        "spark.executor.memory": f"{needs.heap}m",
        "spark.executor.extraJavaOptions": java.QUICK,
        "spark.executorEnv.PYTHONPATH": str(code),
        "spark.python.daemon.module": "pipelines.engine.daemon",
    }


def _start_workers(
    url: str, properties: Path, addresses: Mapping[str, str], needs: Needs, folder: Path
) -> subprocess.Popen[bytes]:
    """Start a Worker on each node, which live as long as the step's standard input is open."""
    order = Order(
        master=url,
        properties=properties,
        addresses=dict(addresses),
        heap=needs.heap,
        task_memory=needs.task,
        kept={next(iter(addresses)): needs.driver + DAEMON},
        folder=folder,
    )
    file = folder / "order.json"
    file.write_text(order.model_dump_json(indent=2))
    count = str(len(addresses))
    return subprocess.Popen(
        [
            # All of what the job has on a node, beside its other steps.
            *("srun", "--overlap", "--mem=0", "--kill-on-bad-exit=0", "--wait=0"),
            # Which srun does not take over from sbatch.
            *(["--cpus-per-task", cores] if (cores := os.environ.get("SLURM_CPUS_PER_TASK")) else []),
            *("--nodes", count, "--ntasks", count, "--ntasks-per-node", "1"),
            *(sys.executable, "-m", "pipelines.slurm.worker", str(file)),
        ],
        stdin=subprocess.PIPE,
        process_group=0,  # what is sent to the job's group is the job's to answer
    )


def _end_workers(workers: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        workers.stdin.close()  # type: ignore[union-attr]  # it is a pipe
    with suppress(subprocess.TimeoutExpired):
        workers.wait(3 * GRACE_S)
    end(workers)


def _started(log: Path) -> str | None:
    found = re.search(r"Starting Spark master at (spark://\S+)", log.read_text(errors="replace"))
    return found[1] if found else None


def _registered(log: Path) -> set[str]:
    """Return the addresses of the Workers that a Master's log says have come."""
    return set(re.findall(r"Registering worker ([\d.]+):\d+ with", log.read_text(errors="replace")))


def _trouble(master: subprocess.Popen[bytes], workers: subprocess.Popen[bytes], folder: Path) -> str | None:
    """Return why this is no cluster any more; AskedError where it was the Workers that were asked to end."""
    if workers.poll() == ASKED:
        raise AskedError("the Workers were asked to end")
    return _ended(master, "Master", folder / "master.log") or _ended(
        workers, "Workers", folder / "worker-*.log"
    )


def _ended(process: subprocess.Popen[bytes], name: str, log: Path) -> str | None:
    if process.poll() is None:
        return None
    return f"Spark's {name} ended with code {process.returncode}; {log} says why"


def _wait(
    condition: Callable[[], T | None],
    trouble: Callable[[], str | None],
    signals: Signals,
    what: Callable[[], str],
) -> T:
    """Wait until a condition returns something, and return that; SparkError on trouble, or in vain."""
    limit = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        if signals.noted:
            raise AskedError("asked to end before Spark was up")
        if said := trouble():
            raise SparkError(said)
        if time.monotonic() > limit:
            raise SparkError(f"waited {PATIENCE_S:.0f} s for {what()}")
        time.sleep(LOOK_S)
    return found
