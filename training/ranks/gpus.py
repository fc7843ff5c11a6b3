"""Which GPU a rank takes, and whether the ranks' GPUs can be right: by what environment and machine say.

Without TensorFlow, which would have to be started to be asked. `root` is where the machine's files are.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
"""Variable that says which GPUs CUDA shows a process: numbers or UUIDs with commas between; unset: all."""

_NO_GPU: Final = ("", "-1", "NoDevFiles")  # ours, CUDA's documentation's, and Slurm's

_ROOT: Final = Path("/")

INSTEAD: Final = "--gpus none trains on the processor"


class Held(NamedTuple):
    """What a rank computes on."""

    host: str
    gpu: str | None = None
    """Which GPU, told from all others of all machines; None for the processor."""
    nccl: bool = False
    """Whether its Horovod sums up what lies on GPUs by NCCL."""


def shown(variables: Mapping[str, str]) -> list[str] | None:
    """Return the GPUs that the environment names; None where it says nothing, so that all are visible."""
    if VISIBLE not in variables:
        return None
    names = [name.strip() for name in variables[VISIBLE].split(",")]
    end = next((place for place, name in enumerate(names) if name in _NO_GPU), len(names))
    return names[:end]  # CUDA stops where it finds no GPU


def installed(root: Path = _ROOT) -> list[str]:
    """Return the machine's GPUs, by their files in /dev, or where those are hidden by their places."""
    nodes = [path for path in root.glob("dev/nvidia*") if path.name.removeprefix("nvidia").isdecimal()]
    if nodes:
        return sorted((path.name for path in nodes), key=lambda name: int(name.removeprefix("nvidia")))
    return sorted(path.name for path in root.glob("proc/driver/nvidia/gpus/*"))


def permitted(root: Path = _ROOT) -> list[str]:
    """Return those in /dev that this process may use: a batch system may keep it from those of others."""
    return [name for name in installed(root) if _may_open(root / "dev" / name)]


def _may_open(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:  # a driver that is not there is another matter
        return error.errno not in (errno.EPERM, errno.EACCES, errno.ENOENT)
    return True


def own_index(visible: int, local_rank: int) -> int:
    """Return which of the visible GPUs a rank takes, `local_rank` being its number on its machine.

    Where all ranks see the same GPUs, each has its own. Where each was given some of its own (srun
    --gpus-per-task), any of them will do. `sharing` tells where neither is so.
    """
    return local_rank % visible


def identity(index: int, variables: Mapping[str, str], root: Path = _ROOT) -> str:
    """Return a name for the `index`-th visible GPU that no other has, on this machine or another."""
    names = shown(variables)
    name = names[index] if names else str(index)
    if name.isdecimal():
        # Numbers count what may be opened: in two jobs' or tasks' control groups 0 is not the same GPU.
        nodes = permitted(root)
        name = nodes[int(name)] if int(name) < len(nodes) else name
    try:
        # Containers have host names of their own, but share the machine.
        machine = (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        machine = os.uname().nodename
    return f"{name} {machine}"


def unseen(variables: Mapping[str, str], *, cuda: bool, root: Path = _ROOT) -> str | None:
    """Return why TensorFlow sees no GPU, where the machine has some that were not hidden on purpose.

    `cuda`: whether TensorFlow was built for GPUs. None where there is nothing to see.
    """
    there = installed(root)
    if not there or shown(variables) == []:
        return None
    what = f"TensorFlow sees no GPU of {os.uname().nodename}, which has {', '.join(there)}: "
    if not permitted(root):
        return (
            f"{what}none was given to this job or container (srun --gpus-per-node=…, docker run --gpus all); "
            f"{INSTEAD}"
        )
    if not cuda:
        return f"{what}it is the one without CUDA, and `make setup GPU=1` installs the other; {INSTEAD}"
    return (
        f"{what}its CUDA 12.5 needs a driver of 525.60.13 or later (`nvidia-smi` tells which is there) and "
        f"libraries (TF_CPP_MIN_LOG_LEVEL=0 tells which was not found); {INSTEAD}"
    )


def sharing(ranks: Sequence[Held]) -> str | None:
    """Return what is wrong with the GPUs of all ranks, in their order; None where all is well.

    Each must have one of its own, or be on a processor, which with NCCL all must be then.
    """
    holders: dict[str, int] = {}
    for rank, held in enumerate(ranks):
        if held.gpu is None:
            continue
        other = holders.setdefault(held.gpu, rank)
        if other != rank:
            return (
                f"ranks {other} and {rank} would share GPU {held.gpu.split()[0]} of {held.host}: start no "
                "more ranks than a machine has GPUs (--ranks, srun --ntasks-per-node), and let each see "
                f"all of them, or one of its own (srun --gpus-per-task=1); {INSTEAD}"
            )
    on_gpu = next((rank for rank, held in enumerate(ranks) if held.gpu and held.nccl), None)
    on_processor = next((rank for rank, held in enumerate(ranks) if not held.gpu), None)
    if on_gpu is None or on_processor is None:
        return None
    return (
        f"rank {on_gpu} on {ranks[on_gpu].host} has a GPU and rank {on_processor} on "
        f"{ranks[on_processor].host} has none, and NCCL connects GPUs only: give all ranks one; {INSTEAD}"
    )
