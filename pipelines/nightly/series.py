"""The series: a line for each scene that was ever there, as plain lines.

A scene is its id and its place. What a line says follows from the state of the scene's file that was labelled
last, and a file that is replaced changes its line. Lines are never deleted: of scenes that are not there any
more they stay and say so.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

import pyarrow as pa

from labeling.files.uri import parse

FORMAT: Final = "polynya-series-1"

KINDS: Final = ("water", "thin_ice", "thick_ice", "ignore")
"""What pixels are counted by, as completion marks call it."""

AWAY: Final = 7
"""Nights for which what is out of reach counts as away, and not as gone."""

State = Literal["good", "failed", "vanished"]

_STAMP: Final = pa.timestamp("ms", "UTC")

FIGURES: Final = pa.schema(
    [
        pa.field("time", _STAMP),  # of the picture; null where the scene does not say
        pa.field("profile", pa.string()),  # that made the labels
        *(pa.field(f"labels_{kind}_km2", pa.float64()) for kind in KINDS),  # null without a place on Earth
        *(pa.field(f"labels_{kind}_pixels", pa.int64()) for kind in KINDS),
        pa.field("cloud_pixels", pa.int64()),  # that the labels leave out; 0 where nobody looks for clouds
        pa.field("map_source", pa.string()),  # network, labels or moved-cuts; this and below null without map
        pa.field("model", pa.string()),  # network that was asked, see marks.network_of; null: none
        *(pa.field(f"map_{kind}_km2", pa.float64()) for kind in KINDS),
        *(pa.field(f"map_{kind}_pixels", pa.int64()) for kind in KINDS),
        pa.field("doubts", pa.string()),  # codes of labels and map, with a space between; "" for none
    ]
)
"""What a line says of a scene; unknown is null."""

SCHEMA: Final = pa.schema(
    [
        pa.field("format", pa.string(), nullable=False),
        pa.field("scene", pa.string(), nullable=False),
        pa.field("place", pa.string(), nullable=False),  # where its file is, without what signs a link
        pa.field("identity", pa.string(), nullable=False),  # of the state of the file that the figures are of
        pa.field("state", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # of one that failed, else ""
        pa.field("states", pa.int64(), nullable=False),  # of its file that were labelled: 1, or more
        pa.field("first_night", pa.int64(), nullable=False),
        pa.field("night", pa.int64(), nullable=False),  # in which the line changed last
        pa.field("changed", _STAMP, nullable=False),  # when that was, by the clock
        *FIGURES,
    ]
)


class Found(NamedTuple):
    """A scene that is labelled as its file is now."""

    scene: str
    place: str
    identity: str
    """Digest of the state of its file."""
    figures: Mapping[str, Any]
    """What FIGURES name."""


class Night(NamedTuple):
    """When something is written down: nights are counted, for clocks go back."""

    number: int
    time: datetime


class Row(NamedTuple):
    """A line."""

    scene: str
    place: str
    identity: str
    state: State
    reason: str
    states: int
    first_night: int
    night: int
    changed: datetime
    figures: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """Return the line as the table has it."""
        own = self._asdict()
        return {"format": FORMAT, **own, **own.pop("figures")}


class Changes(NamedTuple):
    """What a night did to the series: scenes by name."""

    new: list[str]
    replaced: list[str]
    vanished: list[str]
    returned: list[str]


def merge(
    rows: Sequence[Row], found: Sequence[Found], failures: Mapping[str, str], night: Night
) -> tuple[list[Row], Changes]:
    """Return the series after a night, and what changed.

    `failures` are reasons by scene's id, or by the place that could not be opened: of a scene, of a list of
    scenes, of the folder that they were in, or of the pattern that found them. What is neither found nor
    failed has vanished.
    """
    known = {(row.scene, row.place): row for row in rows}
    there = {(each.scene, each.place) for each in found}
    elsewhere: dict[tuple[str, str], list[tuple[str, str]]] = {}  # what may have moved, by id and content
    for key, row in known.items():
        if key not in there:
            elsewhere.setdefault((row.scene, row.identity), []).append(key)
    changes = Changes([], [], [], [])
    after: dict[tuple[str, str], Row] = {}
    for each in found:
        key = before = (each.scene, each.place)
        if key not in known and (moved := elsewhere.get((each.scene, each.identity))):
            before = moved.pop(0)
        after[key] = _seen(each, known.pop(before) if before in known else None, night, changes)
    why = Reasons(failures)
    for key, row in known.items():
        after[key] = _missed(row, why.of(row), night, changes)
    return sorted(after.values(), key=_order), changes


def _order(row: Row) -> tuple[bool, datetime, str, str]:
    time = row.figures["time"]
    return time is None, time or datetime.min.replace(tzinfo=UTC), row.scene, row.place


def _seen(each: Found, before: Row | None, night: Night, changes: Changes) -> Row:
    if before is None:
        changes.new.append(each.scene)
        return Row(*each[:3], "good", "", 1, night.number, night.number, night.time, each.figures)
    replaced = before.identity != each.identity
    if replaced:
        changes.replaced.append(each.scene)
    if before.state == "vanished":
        changes.returned.append(each.scene)
    row = before._replace(**each._asdict(), state="good", reason="", states=before.states + replaced)
    return row if row == before else row._replace(night=night.number, changed=night.time)


def _missed(row: Row, reason: str | None, night: Night, changes: Changes) -> Row:
    """Return the line of a scene that could not be labelled as it is now, or is not there; figures stay."""
    state: State = "vanished" if reason is None else "failed"
    if state == "vanished" != row.state:
        changes.vanished.append(row.scene)
    after = row._replace(state=state, reason=reason or "")
    return row if after == row else after._replace(night=night.number, changed=night.time)


def out_of_reach(rows: Sequence[Row], failures: Mapping[str, str], night: int) -> list[str]:
    """Return the scenes that failed with the folder, list or pattern that they come from, not by themselves.

    Not those that have done so for AWAY nights: they hardly come back.
    """
    names = {name.rstrip("/") for name in failures}
    return [
        row.scene
        for row in rows
        if row.state == "failed" and not names & {row.scene, row.place} and night - row.night < AWAY
    ]


class Reasons:
    """Why scenes failed: they, or the list, folder or pattern that they come from."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        self._by_name = {name.rstrip("/"): reason for name, reason in failures.items()}
        # As of glob, but that a * takes folders too: no more than scenes that are gone is asked about.
        self._by_pattern = [
            (re.compile(fnmatch.translate(name.replace("**/", "*"))), reason)
            for name, reason in failures.items()
            if glob.has_magic(name)
        ]

    def of(self, row: Row) -> str | None:
        """Return why a scene that was not found failed; None where nothing says so."""
        location = parse(row.place).location
        for name in (row.scene, row.place, location, *_folders(location)):
            if name in self._by_name:
                return self._by_name[name]
        return next((reason for pattern, reason in self._by_pattern if pattern.match(location)), None)


def _folders(location: str) -> Iterator[str]:
    while location := location.rpartition("/")[0]:
        yield location
