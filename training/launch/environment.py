"""What a rank inherits: its place among the others, and a short list of variables.

Secrets come along by inheritance, which other users of the machine cannot see; `horovodrun` writes the whole
environment on a command line instead, where `ps` shows it to everybody.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from horovod.runner.common.util.hosts import HostInfo, SlotInfo, get_host_assignments

from training.launch.rendezvous import Meeting

MORE: Final = "POLYNYA_PASS"
"""Variable that names further ones for the ranks, with spaces between."""

KEPT: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|COLUMNS|LANG|LANGUAGE|TZ|TMPDIR|VIRTUAL_ENV|LD_LIBRARY_PATH"
    r"|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY|(SSL|REQUESTS|CURL)_CA_BUNDLE|SSL_CERT_(FILE|DIR)"
    # A training in an allocation, and what its libraries read.
    r"|(LC|PYTHON|TF|XLA|KERAS|OMP|KMP|GOMP|MKL|OPENBLAS|NUMEXPR|NUMBA|NCCL|GLOO|HOROVOD|CUDA|NVIDIA|SLURM"
    # This project, and what reading from buckets takes.
    r"|POLYNYA|AWS|GDAL|CPL|PROJ|S3)_?\w*",
    re.ASCII,
)
"""Variables that ranks inherit."""


def inherited(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of the launcher's variables that are for the ranks."""
    more = variables.get(MORE, "").split()
    return {name: text for name, text in variables.items() if KEPT.fullmatch(name) or name in more}


def places(hosts: Mapping[str, int]) -> list[SlotInfo]:
    """Return the place of each rank, for hosts and the number of ranks on each, in the order of the ranks."""
    ranks = sum(hosts.values())
    found: list[SlotInfo] = get_host_assignments([HostInfo(*host) for host in hosts.items()], ranks)
    return found


def rank_environment(
    place: SlotInfo, meeting: Meeting, variables: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the whole environment of one rank."""
    return {
        **inherited(variables),
        **meeting.environment(),
        "HOROVOD_HOSTNAME": place.hostname,
        "HOROVOD_RANK": str(place.rank),
        "HOROVOD_SIZE": str(place.size),
        "HOROVOD_LOCAL_RANK": str(place.local_rank),
        "HOROVOD_LOCAL_SIZE": str(place.local_size),
        "HOROVOD_CROSS_RANK": str(place.cross_rank),
        "HOROVOD_CROSS_SIZE": str(place.cross_size),
        "PYTHONUNBUFFERED": "1",  # a line shows when it is written
    }
