"""What a line of the series says of a scene, read from the completion marks of its labels and its map."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from labeling.files.layout import Run, read_done
from labeling.files.marks import network_of
from labeling.scenes.contract.scene import SceneInfo
from labeling.text import encodable
from pipelines.doubts import doubts_in
from pipelines.engine.scenes import CatalogRow
from pipelines.nightly.series import FIGURES, KINDS, Found

_STATE: Final = ("bytes", "modified_ns", "etag")
"""What tells one state of a scene's file from another, wherever it lies."""


def find_scenes(run: Run, rows: Iterable[CatalogRow]) -> list[Found]:
    """Return the scenes of the run that are labelled as their files are now."""
    found = []
    for row in rows:
        labels = _mark(read_done(run.labels(row.scene_id)), row.info)
        if labels is not None:
            made = _mark(read_done(run.maps(row.scene_id)), row.info)
            place = encodable(row.info.where)
            found.append(Found(row.scene_id, place, identity(row.info), figures(row.info, labels, made)))
    return found


def identity(info: SceneInfo) -> str:
    """Return a digest of what tells this state of a scene's file from another.

    >>> info = SceneInfo("a.tif", "a", ["rgb8"], 1, 1, None, None, [1, 1], bytes=3, modified_ns=5)
    >>> identity(info) == identity(info._replace(uri="elsewhere/a.tif"))
    True
    """
    state = " ".join(str(getattr(info, name)) for name in _STATE)
    return sha256(state.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def figures(info: SceneInfo, labels: dict[str, Any], made: dict[str, Any] | None) -> dict[str, Any]:
    """Return what FIGURES name, from the marks of labels and map; None where there is no map."""
    found: dict[str, Any] = dict.fromkeys(FIGURES.names)
    profile = labels["inputs"].get("profile")
    doubts = [*doubts_in(labels), *doubts_in(made)]
    found |= {
        "time": when(info.sensing_time),
        "profile": profile.get("name") if isinstance(profile, dict) else None,
        "cloud_pixels": labels.get("excluded", {}).get("cloud"),
        "doubts": " ".join(dict.fromkeys(doubt.code for doubt in doubts)),
    }
    found |= _areas("labels", labels)
    if made is not None:
        own = {"map_source": made.get("source"), "model": network_of(made["inputs"])}
        found |= own | _areas("map", made)
    return found


def when(text: str | None) -> datetime | None:
    """Return the time that a scene states, in UTC to the second; None where it states none that is one.

    >>> when("2019-11-03T20:05:31.024Z")
    datetime.datetime(2019, 11, 3, 20, 5, 31, tzinfo=datetime.timezone.utc)
    """
    try:
        time = datetime.fromisoformat(text or "")
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None


def _mark(done: dict[str, Any] | None, info: SceneInfo) -> dict[str, Any] | None:
    """Return a completion mark if it is of a scene's file as it is now."""
    return None if done is None or not info.is_in(done["inputs"]) else done


def _areas(name: str, done: dict[str, Any]) -> dict[str, Any]:
    areas, pixels = done.get("areas_m2") or {}, done.get("pixels") or {}
    square_km = {kind: area / 1e6 for kind in KINDS if isinstance(area := areas.get(kind), int | float)}
    return {f"{name}_{kind}_km2": square_km.get(kind) for kind in KINDS} | {
        f"{name}_{kind}_pixels": pixels.get(kind) for kind in KINDS
    }
