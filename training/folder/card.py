"""The card (`model.json`) that makes a model folder self-describing, and how a model folder is laid out.

model/
  model.keras      the network of the best epoch
  model.json       the card, written last: a folder without it holds no finished training
  history.csv      one line an epoch
  checkpoints/     what `--resume` goes on from
  requeue.json     only after SIGTERM: the training can go on (ranks/stop.py)
  tensorboard/     the same curves for TensorBoard
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from labeling.classes import IceClass
from labeling.errors import ModelError
from labeling.files.atomic import write_json
from labeling.files.layout import versions
from labeling.files.marks import digest_of
from labeling.files.storage import AnyPath
from labeling.settings import Settings, describe_invalid
from training.settings.config import Channels, Precision, Scaling
from training.settings.task import Task

MODEL_FILE: Final = "model.keras"
CARD_FILE: Final = "model.json"

NETWORK: Final = "network"
"""Key of the sha256 of `model.keras` in `model.json`; older ones have none, and are taken at their word."""

_LIBRARIES: Final = ("tensorflow", "tensorflow-cpu", "keras", "horovod")


class ModelCard(Settings):
    """What a model was trained on, how, and what it needs at its input."""

    format: Literal["polynya-model-1"] = "polynya-model-1"
    task: Task = "segment"
    """What it names: pixels, or whole chips. Cards from before there was a choice do not say."""
    rendering: str
    """Name of the 8-bit picture the model was trained on; a scene of another rendering is refused."""
    channels: Channels
    scaling: Scaling
    classes: dict[int, str] = Field(default_factory=lambda: {int(ice): ice.title for ice in IceClass})
    """Title of each class code; the code is the index of its probability."""
    profile: str
    profile_version: int
    chips_digest: str
    chip_size: int
    """Side of the training chips, pixels."""
    depth: int | None
    """Levels of a U-Net; None for a network that classifies."""
    width: int
    dropout: tuple[float, ...]
    optimizer: str
    learning_rate: float
    batch_size: int
    """Chips a rank and step; the global batch is this times `world_size`."""
    world_size: int
    """Number of ranks of the (last) run."""
    seed: int
    augment: bool
    precision: Precision = "float32"
    """What it was trained in; `model.keras` computes in float32 whatever this is."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Everything that decided the weights, as settings/facts.py gives it."""
    epochs_run: int
    best_epoch: int
    """Epoch (from 1) whose weights `model.keras` holds."""
    metrics: dict[str, Any] | None
    """Validation scores of that epoch as `Scores.as_dict` gives them; None without a validation split."""
    versions: dict[str, str] = Field(default_factory=lambda: library_versions())

    @property
    def multiple(self) -> int:
        """Height and width of a picture given to the network must be multiples of this, pixels."""
        return int(2 ** (self.depth - 1)) if self.depth is not None else 1


_MISUSED: Final[dict[Task, str]] = {
    "segment": "names pixels (task: segment), not whole chips. Give one that was trained with task: classify "
    "(jobs/conf/train-kinds.yaml).",
    "classify": "names whole chips (task: classify) and draws no map. Give one that was trained with task: "
    "segment, or sieve training chips with it: python -m jobs.sieve.",
}
"""What to say where a model of a task is given for another."""


def library_versions() -> dict[str, str]:
    """Return the versions that can change a trained model."""
    found = versions()
    for package in _LIBRARIES:
        try:
            found[package.removesuffix("-cpu")] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_model_card(folder: Path, card: ModelCard) -> None:
    """Write `model.json`, atomically, tied to the network that lies beside it by its digest."""
    content = card.model_dump(mode="json")
    if (folder / MODEL_FILE).is_file():
        content[NETWORK] = model_digest(folder)
    write_json(folder / CARD_FILE, content)


def read_model_card(folder: Path, task: Task | None = None) -> ModelCard:
    """Read the card of a model folder.

    ModelError when the folder does not hold a finished model, or one for another `task` than asked for.
    """
    way_out = "Give the folder that `python -m jobs.train --chips … --out FOLDER` has written."
    if not folder.is_dir():
        raise ModelError(f"no model folder {folder}. {way_out}")
    file = folder / CARD_FILE
    if not file.is_file():
        raise ModelError(
            f"{folder} holds no {CARD_FILE}, no training was finished. {_finish(folder, way_out)}"
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        network = content.pop(NETWORK, None) if isinstance(content, dict) else None
        card = ModelCard.model_validate_json(json.dumps(content))
    except (ValueError, OSError, RecursionError) as error:
        reason = describe_invalid(error) if isinstance(error, ValidationError) else str(error)
        raise ModelError(f"{file} is not a model card this version can read: {reason}. {way_out}") from None
    if not (folder / MODEL_FILE).is_file():
        raise ModelError(f"{folder} holds a card but no {MODEL_FILE}; copy the whole folder. {way_out}")
    if network is not None and network != model_digest(folder):
        raise ModelError(
            f"cannot read {folder / MODEL_FILE}: it is not the network that {CARD_FILE} beside it describes, "
            f"for its digest is another. Copy the whole model folder again. {way_out}"
        )
    if task not in (None, card.task):
        raise ModelError(f"the model in {folder} {_MISUSED[card.task]}")
    return card


def model_digest(folder: AnyPath) -> str:
    """Return the sha256 of a model folder's network, which tells it from any other."""
    return digest_of(folder / MODEL_FILE)


def _finish(folder: Path, way_out: str) -> str:
    if (folder / "checkpoints").is_dir():
        return f"Finish it: python -m jobs.train --chips … --out {folder} --resume."
    return way_out
