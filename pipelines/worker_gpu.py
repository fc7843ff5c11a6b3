"""A worker's network, and its GPU: the one that Spark gives its tasks, or none.

Spark gives GPUs to tasks where it was told of them (spark.task.resource.gpu.amount and what belongs to it,
docs/gpus.md). Workers to which it gives none compute on the processor, whatever the machine has: each would
take the first GPU, and not know of the others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, MutableMapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from pyspark import TaskContext

from labeling.errors import ConfigError
from training.predict import Predictor
from training.ranks.gpus import VISIBLE, permitted, shown
from training.settings.config import Precision

RESOURCE: Final = "gpu"
"""Spark's name for it, in spark.task.resource.gpu.amount."""

_LOG = logging.getLogger("polynya.infer")

_shown: Sequence[str] | None = None
"""What this process was shown; TensorFlow looks once."""


def check_executors(settings: Mapping[str, str], root: Path = Path("/")) -> None:
    """Raise ConfigError where a Python worker could be given one GPU and later another.

    Where Spark gives workers none although this machine has some, that is told.
    """
    amount = settings.get(f"spark.executor.resource.{RESOURCE}.amount", "1")
    given = f"spark.task.resource.{RESOURCE}.amount" in settings
    if given and amount != "1" and settings.get("spark.python.worker.reuse", "true") != "false":
        raise ConfigError(
            f"each executor has {amount} GPUs, of which a Python worker used again keeps its first: set "
            f"spark.executor.resource.{RESOURCE}.amount=1 for executors with one each, or "
            "spark.python.worker.reuse=false for a new worker each task"
        )
    if not given and shown(os.environ) != [] and (gpus := permitted(root)):
        _LOG.warning(
            "this machine has %d GPUs, and maps are drawn on its processors: Spark gives workers no GPU. "
            "A standalone cluster gives them: docs/gpus.md",
            len(gpus),
        )


def show_assigned() -> None:
    """Show CUDA the GPUs that Spark gave the running task; outside of one, do nothing. Before TensorFlow."""
    context = TaskContext.get()
    if context is not None:
        found = context.resources().get(RESOURCE)
        show(found.addresses if found is not None else [])


def show(addresses: Sequence[str], variables: MutableMapping[str, str] = os.environ) -> None:
    """Show CUDA these GPUs and no other; ConfigError where this process was shown others before."""
    global _shown
    if _shown is not None and _shown != addresses:
        raise ConfigError(
            f"a worker that uses GPU {','.join(_shown) or 'none'} was given {','.join(addresses) or 'none'}: "
            "set spark.python.worker.reuse=false"
        )
    _shown = addresses
    variables[VISIBLE] = ",".join(addresses)
    # Addresses are nvidia-smi's numbers; CUDA's own begin with the fastest.
    variables.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def predictor(model: Path, digest: str, precision: Precision = "float32") -> Predictor:
    """Return the model, loaded once in each worker process; `digest` makes a changed model load anew.

    It computes on the GPU that Spark gave the task, if any.
    """
    show_assigned()
    return _loaded(model, digest, precision)


@cache
def _loaded(model: Path, digest: str, precision: Precision) -> Predictor:
    # Spark runs a worker on every core already. TensorFlow reads these when it is first imported.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    return Predictor.load(model, batch=1, threads=1, precision=precision)
