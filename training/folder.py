"""The model folder before a training: refuse to mix two trainings, clear it, or find where to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labeling.errors import ConfigError
from labeling.raster import remove
from training.card import CARD_FILE, MODEL_FILE
from training.checkpoints import FOLDER, Checkpoint, latest
from training.history import CSV_FILE, TENSORBOARD_FOLDER

OURS = (CARD_FILE, FOLDER, TENSORBOARD_FOLDER, CSV_FILE, MODEL_FILE)
"""What a training writes; nothing else in the folder is ever touched."""


def check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise ConfigError when a training in `out` would mix with an earlier one."""
    if resume and overwrite:
        raise ConfigError("--resume goes on with a training, --overwrite deletes it: give one of them")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; --out takes the model folder to write")
    held = [name for name in OURS if (out / name).exists()]
    if held and not (resume or overwrite):
        raise ConfigError(
            f"{out} already holds a training ({', '.join(held)}): go on with it (--resume), "
            "choose another folder with --out, or delete it first (--overwrite)"
        )
    if resume and (out / MODEL_FILE).exists() and not (out / FOLDER).is_dir():
        raise ConfigError(f"{out} holds a model but no checkpoint to go on from; use --overwrite")


def open_folder(out: Path, *, resume: bool, overwrite: bool, network: dict[str, Any]) -> Checkpoint | None:
    """Make or clear the folder and return the checkpoint to go on from, None for a new training.

    Call it on rank 0 only, after `check_folder` passed on all. `network` says what a checkpoint must fit;
    ConfigError names what differs.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in OURS if overwrite else ():
            remove(out / name)
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror}. Choose another with --out.") from None
    found = latest(out) if resume else None
    if found is not None:
        _check_fit(found, network)
        if not (out / MODEL_FILE).is_file():
            raise ConfigError(f"{out} lost its {MODEL_FILE}, the best epoch; start again with --overwrite")
    return found


def _check_fit(found: Checkpoint, network: dict[str, Any]) -> None:
    before = found.state.network
    changed = [
        f"{key} was {before.get(key)!r}, now {value!r}"
        for key, value in network.items()
        if before.get(key) != value
    ]
    if changed:
        raise ConfigError(
            f"cannot go on from {found.file}: {'; '.join(changed)}. "
            "Set them back, or train anew in another folder (--out) or in this one (--overwrite)."
        )
