"""Checkpoints: one file an epoch with everything a training needs to go on as if it had never stopped.

A file holds the weights and the optimiser's variables as arrays, and the state (epoch, history, best epoch,
what the network looks like) as JSON beside them; being one file it cannot be half there. Order, poses and
dropout of an epoch follow from seed and epoch, so there is nothing else to keep.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from labeling.errors import ConfigError
from labeling.raster import replacing

FOLDER: Final = "checkpoints"
KEPT: Final = 3
"""Newest checkpoints kept; the best epoch's weights are in model.keras."""

Row = dict[str, Any]


@dataclass(frozen=True)
class State:
    """How far a training has come."""

    epoch: int
    """Last epoch done, from 1."""
    history: list[Row]
    """One row an epoch."""
    best_epoch: int
    best_scores: dict[str, Any] | None
    """Validation scores of the best epoch; None without a validation split."""
    network: dict[str, Any] = field(default_factory=dict)
    """What must be equal for the arrays to mean the same."""


class Checkpoint(NamedTuple):
    """A checkpoint that was read whole."""

    file: Path
    state: State
    weights: list[NDArray[Any]]
    optimizer: list[NDArray[Any]]


def save(out: Path, state: State, model: keras.Model, optimizer: keras.Optimizer) -> Path:
    """Write the checkpoint of an epoch, atomically, and drop the oldest."""
    file = out / FOLDER / f"epoch-{state.epoch:04d}.npz"
    arrays = _named("weights", model.weights) | _named("optimizer", optimizer.variables)
    with replacing(file) as temporary:
        np.savez(temporary, state=np.array(json.dumps(asdict(state))), **arrays)
    for old in checkpoint_files(out)[:-KEPT]:
        old.unlink()
    return file


def checkpoint_files(out: Path) -> list[Path]:
    """Return the checkpoints of a model folder, oldest first."""
    return sorted((out / FOLDER).glob("epoch-*.npz"))


def latest(out: Path) -> Checkpoint | None:
    """Return the newest checkpoint that can be read, None when there is none.

    A damaged file is named on standard error and passed over. ConfigError when all are damaged.
    """
    files = checkpoint_files(out)
    for file in reversed(files):
        try:
            return read(file)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            print(f"train: passing over the damaged checkpoint {file}: {error}", file=sys.stderr, flush=True)
    if files:
        raise ConfigError(f"no checkpoint in {out / FOLDER} can be read; start again with --overwrite")
    return None


def read(file: Path) -> Checkpoint:
    """Read one checkpoint whole; what is raised for a damaged one depends on the damage."""
    # Opened here, because NumPy leaves a damaged file open.
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        state = State(**json.loads(str(arrays["state"])))
        return Checkpoint(file, state, _in_order(arrays, "weights"), _in_order(arrays, "optimizer"))


def restore(checkpoint: Checkpoint, model: keras.Model, optimizer: keras.Optimizer) -> None:
    """Put a checkpoint's values into a model and a built optimiser of the same kind."""
    _assign(model.weights, checkpoint.weights)
    _assign(optimizer.variables, checkpoint.optimizer)


def _named(kind: str, variables: Sequence[keras.Variable]) -> dict[str, NDArray[Any]]:
    return {f"{kind}/{i:04d}": np.asarray(variable) for i, variable in enumerate(variables)}


def _in_order(arrays: Any, kind: str) -> list[NDArray[Any]]:
    return [arrays[name] for name in sorted(arrays.files) if name.startswith(f"{kind}/")]


def _assign(variables: Sequence[keras.Variable], values: Sequence[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
