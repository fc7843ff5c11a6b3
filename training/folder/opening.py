"""The model folder before a training: refuse to mix two trainings, clear it, or find where to go on."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from labeling.errors import ConfigError
from labeling.files.atomic import remove
from labeling.files.locks.folder import folder_lock
from training.folder.card import CARD_FILE, MODEL_FILE
from training.folder.checkpoints import FOLDER, Checkpoint, latest
from training.folder.history import CSV_FILE, TENSORBOARD_FOLDER
from training.ranks.stop import MARK
from training.settings.facts import Facts, differences

OURS = (CARD_FILE, FOLDER, TENSORBOARD_FOLDER, CSV_FILE, MODEL_FILE, MARK)
"""What a training writes; nothing else in the folder is ever touched."""


def check_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise ConfigError when a training in `out` would mix with an earlier one."""
    if resume and overwrite:
        raise ConfigError("--resume goes on with a training, --overwrite deletes it: give one of them")
    held = [name for name in OURS if (out / name).exists()]
    if held and not (resume or overwrite):
        raise ConfigError(
            f"{out} already holds a training ({', '.join(held)}): go on with it (--resume), "
            "choose another folder with --out, or delete it first (--overwrite)"
        )
    if resume and (out / MODEL_FILE).exists() and not (out / FOLDER).is_dir():
        raise ConfigError(f"{out} holds a model but no checkpoint to go on from; use --overwrite")


def open_folder(out: Path, *, resume: bool, overwrite: bool, facts: Facts) -> Checkpoint | None:
    """Make or clear the folder and return the checkpoint to go on from, None for a new training.

    Call it on rank 0 only, after `check_folder` passed on all. `facts` is the configuration that a checkpoint
    must share; ConfigError names what differs. The mark of an interrupted run is taken away.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in OURS if overwrite else ():
            remove(out / name)
        for leftover in _half_written(out):
            remove(leftover)
    except OSError as error:
        raise _unwritable(out, error) from None
    found = latest(out) if resume else None
    if found is not None:
        _check_fit(found, facts)
        if found.state.best_epoch and not (out / MODEL_FILE).is_file():
            raise ConfigError(f"{out} lost its {MODEL_FILE}, the best epoch; start again with --overwrite")
    (out / MARK).unlink(missing_ok=True)
    return found


class Hold:
    """The lock that keeps other trainings out of a model folder until the block ends."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.token: str | None = None
        """Names the lock; what rank 0 has belongs to the others too, to inherit the lock from it."""
        self._kept = ExitStack()
        self._taken = False

    def take(self) -> None:
        """Hold the folder, which is made; on rank 0 only. ConfigError while another training works in it."""
        if self._taken:
            return
        if self.out.is_file():
            raise ConfigError(f"{self.out} is a file; --out takes the model folder to write")
        try:
            self._make()
            self.token = self._kept.enter_context(folder_lock(self.out, "train", heir_of=self.token))
        except OSError as error:
            raise _unwritable(self.out, error) from None
        self._taken = True

    def _make(self) -> None:
        if not self.out.exists():
            self.out.mkdir(parents=True)
            self._kept.callback(self._leave_no_trace)

    def _leave_no_trace(self) -> None:
        """Remove the folder if the training never came to writing."""
        with suppress(OSError):
            self.out.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()


def _unwritable(out: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write to {out}: {error.strerror}. Choose another with --out.")


def _half_written(out: Path) -> list[Path]:
    """Return the temporary files of a run that was killed while it wrote."""
    stems = [Path(name).stem for name in OURS]
    found = [path for stem in stems for path in out.glob(f".{stem}.*.part*")]
    return found + list((out / FOLDER).glob(".step-*.part*"))


def _check_fit(found: Checkpoint, facts: Facts) -> None:
    changed = differences(found.state.facts, facts)
    if changed:
        raise ConfigError(
            f"cannot go on from {found.file}: {'; '.join(changed)}. "
            "Set them back, or train anew in another folder (--out) or in this one (--overwrite)."
        )
