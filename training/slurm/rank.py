"""One task of the step: it becomes a rank, passes signals on to it, and tells the batch step how it ended."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from labeling.errors import ConfigError
from training.launch.environment import places, rank_environment
from training.launch.processes import LOOK_S, Rank, Signals
from training.slurm.meeting import ENDED, VARIABLE, Told
from training.slurm.network import inside, interfaces


def run_rank(command: Sequence[str], variables: Mapping[str, str] = os.environ) -> int:
    """Run a command as the rank that this task is, and return the task's exit code.

    That is 0 where the batch step knows the rank's own, which is then the one that counts: on any other Slurm
    would kill the rest, also those that are still writing a checkpoint.
    """
    told, number = Told.here(variables), int(variables["SLURM_PROCID"])
    with Signals() as signals:
        try:
            code = _watch(_start(told, number, command, variables), signals)
        except ConfigError as error:
            print(f"rank {number}: {error}", file=sys.stderr, flush=True)
            code = 2
        return 0 if _tell(told, number, code) else code


def _start(told: Told, number: int, command: Sequence[str], variables: Mapping[str, str]) -> Rank:
    own = inside(interfaces(), told.where())
    if own is None:
        raise ConfigError(f"this node has no address in {told.network} any more")
    try:
        told.ask("GET", ENDED, str(number))
    except OSError as error:
        raise ConfigError(
            f"cannot reach port {told.port} of {told.address} from {own.address} ({error}): let nodes of one "
            "job reach each other's ports above 1023, or name another network with --nodes-network"
        ) from None
    environment = rank_environment(places(told.ranks)[number], told.meeting(own.name), variables)
    environment.pop(VARIABLE, None)
    return Rank(command, environment, str(number))


def _watch(rank: Rank, signals: Signals) -> int:
    """Wait for its end and return its exit code. Signals are passed on as they come: Slurm may repeat one."""
    seen = 0
    while (code := rank.code()) is None:
        for number in signals.noted[seen:]:
            rank.send(number)
            seen += 1
        time.sleep(LOOK_S)
    return code


def _tell(told: Told, number: int, code: int) -> bool:
    with suppress(OSError):
        return told.ask("PUT", ENDED, str(number), str(code).encode()) == 200
    return False
