"""A job of Spark as a job of Slurm: look at the nodes, bring Spark up, submit, and be queued again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from labeling.files.layout import make_run
from labeling.files.locks.folder import run_lock
from labeling.files.storage import AnyPath
from pipelines.engine.outcome import ExitCode
from pipelines.slurm import look
from pipelines.slurm.cluster import AskedError, Needs, spark_cluster
from pipelines.slurm.submit import submit
from training.launch.processes import Signals
from training.slurm.allocation import allocation
from training.slurm.facts import ROOT
from training.slurm.network import inside
from training.slurm.run import LOOK_AROUND_S, Job, look_around, requeue
from training.slurm.step import Step


class SparkJob(NamedTuple):
    """What is to be run, and how."""

    main: Path
    """Main file of the job."""
    arguments: Sequence[str]
    out: AnyPath
    """Run folder."""
    needs: Needs
    logs: Path
    """Folder for those of Spark; each start of the job has its own in it."""
    requeues: int
    """How often the job may be queued again."""
    accept: bool
    """Whether exit code 3, some scenes failed, becomes 0."""
    network: str | None = None
    """Where Spark's processes meet, as 10.0.0.0/16; None: in the first network that all nodes are in."""


def run(spark: SparkJob) -> int:
    """Run a job on all nodes of this allocation and return the exit code.

    ConfigError where the folder is in use or the nodes cannot do it, SparkError where Spark does not come up
    or is lost.
    """
    given = allocation(os.environ)
    job = Job(
        given=given,
        python=[sys.executable],
        program=[],
        logs=spark.logs / f"{given.job}.{given.restarts}",
        network=spark.network,
        names=False,  # Spark is given addresses
        requeues=spark.requeues,
    )
    with run_lock(make_run(spark.out), spark.main.stem):
        pass  # where another job works in the folder, nobody need start Spark to be told
    with Signals() as signals:
        try:
            code = _submit(spark, job, _addresses(job), signals)
        except AskedError:
            _tell(spark, "asked to end; what is left is for the job's next start")
            return requeue(job)
    if code == ExitCode.SOME_FAILED and spark.accept:
        _tell(spark, f"some scenes failed, which is accepted; {spark.out}/failures.jsonl says which and why")
        return ExitCode.DONE
    return code


def _tell(spark: SparkJob, text: str) -> None:
    print(f"{spark.main.stem}: {text}", file=sys.stderr, flush=True)


def _addresses(job: Job) -> dict[str, str]:
    """Return each node's address in the network that all share; ConfigError where nodes are not fit."""
    facts, where = look_around(job)
    with Step(job.given, [*job.python, "-m", look.__name__], options=job.options, alone=True) as step:
        look.check(job.given.ranks, step.said(LOOK_AROUND_S).splitlines())
    own = {each.node: inside(each.interfaces, where) for each in facts}  # in the order in which they answered
    return {node: str(found.ip) for node in job.given.ranks if (found := own[node])}


def _submit(spark: SparkJob, job: Job, addresses: dict[str, str], signals: Signals) -> int:
    here = next(iter(addresses.values()))
    with spark_cluster(addresses, spark.needs, job.logs, code=ROOT, signals=signals) as cluster:
        return submit(cluster, spark.main, spark.arguments, here=here, code=ROOT, signals=signals)
