"""Checkpoints: one file with everything a training needs to go on as if it had never stopped.

A file holds the weights and the optimiser's variables (its moments, the loss scale) as arrays, and the state
(how far it has come, history, best epoch, configuration) as JSON beside them; being one file it cannot be
half there. Order, poses, dropout and learning rate follow from seed, epoch and the chips seen of it, on every
rank, so there is nothing else to keep. It is written after every epoch, and inside one on request.
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
from pydantic import TypeAdapter

from labeling.errors import ConfigError
from labeling.files.atomic import replacing

FOLDER: Final = "checkpoints"
KEPT: Final = 3
"""Newest checkpoints kept; the best epoch's weights are in model.keras."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """What was done of an epoch so far, over all ranks."""

    seen: int = 0
    """Chips of the epoch's order that were learned from."""
    steps: int = 0
    """Updates, skipped ones included."""
    skipped: int = 0
    """Updates that loss scaling skipped."""
    loss: float = 0.0
    weight: float = 0.0
    """Sums whose quotient is the mean loss."""
    seconds: float = 0.0
    rate: float = 0.0
    """Learning rate of the last update."""


@dataclass(frozen=True)
class State:
    """How far a training has come."""

    epoch: int
    """Last epoch done and validated, from 1."""
    history: list[Row]
    """One row an epoch."""
    best_epoch: int
    best_scores: dict[str, Any] | None
    """Validation scores of the best epoch; None without a validation split."""
    facts: dict[str, Any] = field(default_factory=dict)
    """The configuration that a training which goes on from here must share; see settings/facts.py."""
    steps: int = 0
    """Updates in all epochs."""
    part: Part = field(default_factory=Part)
    """What was done of the epoch after `epoch`."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> State:
        """Return the state that `asdict` and JSON made these values of; ValueError where they did not."""
        return TypeAdapter(cls).validate_python(values)


class Checkpoint(NamedTuple):
    """Everything a training goes on from."""

    file: Path | None
    """Where it was read; None for one that was only taken in memory."""
    state: State
    weights: list[NDArray[Any]]
    optimizer: list[NDArray[Any]]


def save(out: Path, state: State, model: keras.Model, optimizer: keras.Optimizer) -> Path:
    """Write a checkpoint, atomically, and drop the oldest."""
    file = out / FOLDER / f"step-{state.steps:08d}.npz"
    arrays = _named("weights", model.weights) | _named("optimizer", optimizer.variables)
    with replacing(file) as temporary:
        np.savez(temporary, state=np.array(json.dumps(asdict(state))), **arrays)
    for old in checkpoint_files(out)[:-KEPT]:
        old.unlink()
    return file


def taken(state: State, model: keras.Model, optimizer: keras.Optimizer) -> Checkpoint:
    """Return a checkpoint in memory; later updates do not change it."""
    weights, moments = (
        [np.array(variable) for variable in variables] for variables in (model.weights, optimizer.variables)
    )
    return Checkpoint(None, state, weights, moments)


def newest(*found: Checkpoint | None) -> Checkpoint | None:
    """Return the one that has come furthest, None when there is none."""
    there = [checkpoint for checkpoint in found if checkpoint is not None]
    # At the end of an epoch validation and its row come after the last update.
    return max(there, key=lambda one: (one.state.steps, one.state.epoch), default=None)


def checkpoint_files(out: Path) -> list[Path]:
    """Return the checkpoints of a model folder, oldest first."""
    return sorted((out / FOLDER).glob("step-*.npz"))


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
        state = State.of(json.loads(str(arrays["state"])))
        weights = _in_order(arrays, "weights")
        if not all(np.isfinite(each).all() for each in weights):
            raise ValueError("it holds weights that are no numbers")
        return Checkpoint(file, state, weights, _in_order(arrays, "optimizer"))


def restore(checkpoint: Checkpoint, model: keras.Model, optimizer: keras.Optimizer) -> None:
    """Put a checkpoint's values into a model and a built optimiser; ConfigError where they do not fit."""
    try:
        _assign(model.weights, checkpoint.weights)
        _assign(optimizer.variables, checkpoint.optimizer)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{checkpoint.file} holds other weights than the network has ({str(error).partition('. ')[0]}): "
            "it was changed, or is of another training. Remove it, or start again with --overwrite."
        ) from None


def _named(kind: str, variables: Sequence[keras.Variable]) -> dict[str, NDArray[Any]]:
    return {f"{kind}/{i:04d}": np.asarray(variable) for i, variable in enumerate(variables)}


def _in_order(arrays: Any, kind: str) -> list[NDArray[Any]]:
    return [arrays[name] for name in sorted(arrays.files) if name.startswith(f"{kind}/")]


def _assign(variables: Sequence[keras.Variable], values: Sequence[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
