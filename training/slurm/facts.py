"""What one rank's place looks like from inside, before anything heavy is loaded there."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final, Self

from training.ranks.gpus import permitted, shown
from training.slurm.network import Interface, interfaces

PACKAGES: Final = ("labeling", "pipelines", "training", "jobs")

MARK: Final = "polynya-facts"

LINE: Final = 500
"""Characters of a line."""

ROOT: Final = Path(__file__).parents[2]
"""Where this code lies."""


@dataclass(frozen=True)
class Facts:
    """What a task of a step sees."""

    node: str
    rank: int
    local: int
    """Its number among the ranks of the node."""
    python: str
    """Version."""
    code: str
    """Digest of this project's modules."""
    packages: dict[str, str]
    """Version of each package that is installed."""
    interfaces: tuple[Interface, ...]
    own: str
    """Address that the node's own name stands for; empty where it has none."""
    nonce: str
    """Content of the file that the batch step wrote into the run folder; empty where it is not seen."""
    gpus: tuple[str, ...]
    """Names of those that this rank may use; where ranks see nothing of each other's, all are called 0."""
    gpus_on_node: int
    """What Slurm says that the ranks of the node have together."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return facts that came as JSON."""
        given = dict(told)
        given["interfaces"] = tuple(Interface(*each) for each in told["interfaces"])
        return cls(**given | {"gpus": tuple(told["gpus"])})


def lines(facts: Facts) -> Iterator[str]:
    """Yield short lines that tell facts: srun mixes those of its tasks, and cuts long ones."""
    text = json.dumps(asdict(facts))
    for first in range(0, len(text), LINE):
        yield f"{MARK} {facts.rank} {text[first : first + LINE]}"


def heard(told: Iterable[str]) -> list[Facts]:
    """Return the facts in lines of many ranks, in the order of the ranks, and leave out other lines."""
    texts: dict[int, str] = {}
    for line in told:
        if line.startswith(f"{MARK} "):
            _, rank, text = line.split(" ", 2)
            texts[int(rank)] = texts.get(int(rank), "") + text
    return [Facts.of(json.loads(texts[rank])) for rank in sorted(texts)]


def look(nonce: Path, variables: Mapping[str, str] = os.environ) -> Facts:
    """Return the facts of this task; `nonce` is the file to look for."""
    return Facts(
        node=variables["SLURMD_NODENAME"],
        rank=int(variables["SLURM_PROCID"]),
        local=int(variables["SLURM_LOCALID"]),
        python=platform.python_version(),
        code=code_digest(),
        packages={each.metadata["Name"]: each.version for each in distributions()},
        interfaces=tuple(interfaces()),
        own=own_address(),
        nonce=_content(nonce),
        gpus=gpus(variables),
        gpus_on_node=int(variables.get("SLURM_GPUS_ON_NODE") or 0),
    )


def own_address() -> str:
    """Return the address of this machine's own name, the way Gloo looks it up."""
    try:
        return str(socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return ""


def code_digest(root: Path = ROOT) -> str:
    """Return a digest of the names and contents of all modules."""
    found = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            found.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    return found.hexdigest()


def gpus(variables: Mapping[str, str], root: Path = Path("/")) -> tuple[str, ...]:
    """Return the NVIDIA GPUs that this task may use."""
    given = shown(variables)
    return tuple(permitted(root) if given is None else given)


def _content(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""
