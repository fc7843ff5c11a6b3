"""The batch step: look at the nodes, serve the rendezvous, start the ranks, stay with them, queue again.

Ranks are tasks of one srun; nobody needs ssh. SIGTERM, before a time limit or from whoever wants the nodes,
goes to every rank; they write a checkpoint and end with 75, and the job queues itself again.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from labeling.errors import ConfigError
from training.launch.processes import LOOK_S, Signals
from training.launch.rendezvous import Rendezvous
from training.launch.store import Store
from training.slurm.allocation import Allocation, slurm
from training.slurm.facts import Facts, heard
from training.slurm.meeting import ENDED, Told
from training.slurm.network import inside, interfaces
from training.slurm.preflight import check
from training.slurm.step import Step

REQUEUE: Final = os.EX_TEMPFAIL
"""Exit code of a rank that was asked to end and can go on: 75, as training/ranks/stop.py has it."""

LOOK_AROUND_S: Final = 300
"""Seconds in which all nodes must have told what they are like: they all load Python from one file server."""

LEAVE_S: Final = 120
"""Seconds in which the others must follow a rank that has ended with 75; all is saved by then."""

TAIL_LINES: Final = 20
"""Lines of the log of a rank that failed that the job's own log repeats."""


@dataclass(frozen=True)
class Job:
    """What is to be run, and how."""

    given: Allocation
    python: Sequence[str]
    """Words that run Python on every node, in an image or not."""
    program: Sequence[str]
    """What Python is to run as each rank: -m jobs.train and its options."""
    logs: Path
    """Folder for what each rank says, in one that all nodes see; each start of the job has its own."""
    network: str | None = None
    """Where ranks meet, as 10.0.0.0/16; None: in the first network that all nodes are in."""
    names: bool = True
    """Whether nodes must be known by their own names, as Horovod's must."""
    options: Sequence[str] = ()
    """Further options of srun."""
    requeues: int = 0
    """How often the job may be queued again."""


def run_job(job: Job) -> int:
    """Run the program as ranks and return the exit code; ConfigError where the nodes cannot do it."""
    with Signals() as signals:
        facts, where = look_around(job)
        code = REQUEUE if signals.noted else _train(job, facts, where, signals)
        if code == REQUEUE:
            return requeue(job)
        if code not in (0, 2) and not _answers(job):
            _say("a node is gone")
            return requeue(job)
        return code


def look_around(job: Job) -> tuple[list[Facts], IPv4Network]:
    """Return what each rank's place is like, and the network they share; ConfigError: they do not fit."""
    command = [*job.python, "-m", "jobs.slurm.look"]
    with _nonce(job) as (file, nonce):
        with Step(job.given, [*command, str(file)], options=job.options, alone=True) as step:
            lines = step.said(LOOK_AROUND_S).splitlines()
        facts = heard(lines)
        where = check(
            job.given, facts, folder=str(job.logs), nonce=nonce, network=job.network, names=job.names
        )
    return facts, where


@contextmanager
def _nonce(job: Job) -> Iterator[tuple[Path, str]]:
    """Leave a word in the folder of logs while the block lasts, and give its place."""
    file, nonce = job.logs / ".nonce", secrets.token_hex()
    try:
        job.logs.mkdir(parents=True, exist_ok=True)
        file.write_text(nonce)
        yield file, nonce
    except OSError as error:
        raise ConfigError(
            f"cannot write to {job.logs}: {error.strerror}; choose another folder with --logs"
        ) from None
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _train(job: Job, facts: Sequence[Facts], where: IPv4Network, signals: Signals) -> int:
    """Run the ranks and return the code of the first one that fails, 75 where all wait for another start."""
    theirs = {each.ip for fact in facts if (each := inside(fact.interfaces, where))}
    own = inside(interfaces(), where)
    if own is None:
        raise ConfigError(f"this node has no address in {where}: start the batch step on one of the job's")
    store = Store()
    with Rendezvous(store, address=str(own.ip), hosts=[str(each) for each in theirs]) as rendezvous:
        at = rendezvous.meeting
        told = Told(at.address, at.port, at.secret, str(where), job.given.ranks)
        command = [*job.python, "-m", "jobs.slurm.rank", *job.python, *job.program]
        _say(f"{job.given.size} ranks on {len(job.given.ranks)} nodes in {where}; their logs: {job.logs}")
        with Step(
            job.given,
            command,
            output=job.logs / "rank-%t.log",
            options=job.options,
            variables=os.environ | told.environment(),
        ) as step:
            rank, code = _watch(job, store, step, signals)
    if code and code != REQUEUE:
        if signals.noted and code == 128 + signal.SIGTERM:
            return REQUEUE  # it did not even listen yet
        _tell_failure(job, rank, code)
    return code


def _watch(job: Job, store: Store, step: Step, signals: Signals) -> tuple[int | None, int]:
    """Wait for the end, or the first rank that fails; return that rank, if one did, and the code."""
    seen, leaving = 0, None
    while True:
        ended = step.code()  # first: what ranks told before that is all there
        told = {rank: store.get(ENDED, str(rank)) for rank in range(job.given.size)}
        codes = {rank: int(text) for rank, text in told.items() if text is not None}
        for rank, code in codes.items():
            if code not in (0, REQUEUE):
                return rank, code
        if ended is not None:
            return None, max(codes.values()) if len(codes) == job.given.size else ended or 1
        if REQUEUE in codes.values():
            leaving = leaving or time.monotonic()
            if time.monotonic() - leaving > LEAVE_S:
                return None, REQUEUE
        if len(signals.noted) > seen:
            seen = len(signals.noted)
            with suppress(ConfigError):  # what asked us may have asked them, or will kill them
                slurm("scancel", "--signal=TERM", job.given.job)
        time.sleep(LOOK_S)


def _tell_failure(job: Job, rank: int | None, code: int) -> None:
    if rank is None:
        _say(f"the ranks ended with {code}; their logs: {job.logs}")
        return
    file = job.logs / f"rank-{rank}.log"
    _say(f"rank {rank} ended with {code}; the end of {file}:")
    with suppress(OSError):
        print(*file.read_text(errors="replace").splitlines()[-TAIL_LINES:], sep="\n", file=sys.stderr)


def _answers(job: Job) -> bool:
    """Tell whether all nodes of the job still do."""
    try:
        with Step(job.given, ["true"], options=["--quiet"]) as step:
            step.said(LOOK_AROUND_S)
            return step.code() == 0
    except ConfigError:
        return False


def requeue(job: Job) -> int:
    """Have Slurm begin this job anew and return 75; where it must not or cannot, say how to go on."""
    state = _state(job)
    if state not in ("RUNNING", ""):
        return REQUEUE  # cancelled, or queued again by Slurm itself
    if job.given.restarts >= job.requeues:
        _say(f"not queued again: it has begun anew {job.given.restarts} times; the next sbatch goes on")
        return REQUEUE
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which Slurm sends on the way
    try:
        slurm("scontrol", "requeue", job.given.job)
    except ConfigError as error:
        _say(f"{error}; the next sbatch goes on")
    return REQUEUE


def _state(job: Job) -> str:
    with suppress(ConfigError):
        return slurm("squeue", "--noheader", "--format=%T", "--jobs", job.given.job).strip()
    return ""


def _say(text: str) -> None:
    print(f"slurm: {text}", file=sys.stderr, flush=True)
