"""What a night says of itself: status.json while it lasts and when it ended, and a line of summary."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from labeling.errors import OutputError
from labeling.files.atomic import remove, write_json
from labeling.settings import Settings
from pipelines.nightly.site import Site


class Status(Settings):
    """A night."""

    format: Literal["polynya-night-1"] = "polynya-night-1"
    night: int = Field(ge=1)
    state: Literal["running", "ended", "stopped"] = "running"
    """ended: after its last step, well or not; stopped: before, by a signal, or for want of a model.
    A killed night stays running."""
    step: str = "begin"
    """What it does, or did last."""
    started: AwareDatetime
    clock: AwareDatetime | None = None
    """The latest time that a night has seen so far; a clock that goes back is behind it."""
    ended: AwareDatetime | None = None
    process: int = Field(default_factory=os.getpid)
    exit_code: int | None = None
    summary: str = ""
    model: int | None = None
    """Number of the model that mapped."""
    scenes: int = 0
    """Scenes that are there and in the series."""
    new: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    failed: dict[str, str] = Field({})
    """Reasons by scene, or by place where nothing could be opened."""
    failed_first: tuple[str, ...] = ()
    """Those of them that had not failed the night before."""
    doubted: tuple[str, ...] = ()
    problems: dict[str, str] = Field({})
    """What went wrong with a whole step, by step."""
    notes: tuple[str, ...] = ()
    training: str = ""
    """When a successor is due, or what came of it."""
    agreement: float | None = None
    """Mean IoU of maps and labels on test chips; None where nothing was compared."""

    @property
    def latest(self) -> datetime:
        """The latest time that this night knew of."""
        return max(self.started, self.clock or self.started)

    def line(self) -> str:
        """Return the night in a line."""
        counts = [
            f"{len(names)} {word}"
            for word, names in (
                ("new", self.new), ("replaced", self.replaced), ("returned", self.returned),
                ("vanished", self.vanished), ("in doubt", self.doubted),
            )
            if names or word == "new"
        ]  # fmt: skip
        failed = f"{len(self.failed)} failed"
        if self.failed:
            failed += f" ({len(self.failed_first)} for the first time)"
        text = f"night {self.night}: {self.scenes} scenes, {', '.join(counts)}, {failed}"
        if self.model is not None:
            text += f"; model {self.model}"
        for step, problem in self.problems.items():
            text += f"; {step}: {problem}"
        return f"{text}; {self.training}" if self.training else text


def read_status(site: Site) -> tuple[Status | None, str]:
    """Return the last night, None for none, and what is wrong with its record, else ""."""
    try:
        return Status.model_validate_json(site.status.read_text(encoding="utf-8")), ""
    except FileNotFoundError:
        return None, ""
    except (ValueError, OSError):
        return None, f"{site.status} could not be read, and is written anew"


def notes_on(site: Site, last: Status | None, now: datetime) -> list[str]:
    """Return what the last night's record gives reason to say."""
    if last is None:
        return []
    notes = []
    if last.state == "running":
        notes.append(f"night {last.night} ended without a word in step {last.step}; this one goes on")
    if last.latest > now:
        notes.append(
            f"the clock went back: it is {now:%Y-%m-%d %H:%M} UTC, and nights have seen "
            f"{last.latest:%Y-%m-%d %H:%M}, which counts until it is later. Nights are counted, so their "
            f"order stays right. If that time was wrong, delete {site.status}"
        )
    return notes


def write_status(site: Site, status: Status) -> None:
    """Write the status; OutputError when the disk is full or takes nothing."""
    write_json(site.status, status.model_dump(mode="json"))


def try_status(site: Site, status: Status) -> None:
    """Write the status in the middle of a night, where a full disk is what a step will tell."""
    with suppress(OutputError):
        write_status(site, status)


def close(site: Site, status: Status, keep: int) -> None:
    """Write the record of a night that ended, and delete those older than the newest `keep`."""
    write_json(site.nights / f"{status.night:04d}.json", status.model_dump(mode="json"))
    write_status(site, status)
    for number in recorded(site)[:-keep]:
        remove(site.nights / f"{number:04d}.json")


def recorded(site: Site) -> list[int]:
    """Return the numbers of the nights that have a record, in order."""
    return sorted(int(path.stem) for path in site.nights.glob("*.json") if path.stem.isdecimal())
