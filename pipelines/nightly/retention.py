"""What is deleted at the end of a night: models that nobody goes back to, and results of scenes long gone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from labeling.errors import SceneError
from labeling.files.atomic import remove
from labeling.files.layout import own_folder
from pipelines.nightly.config import RetentionSettings
from pipelines.nightly.models import Model, numbers
from pipelines.nightly.series import Row
from pipelines.nightly.site import Site


def clear(
    site: Site, settings: RetentionSettings, model: Model, rows: Sequence[Row], now: datetime
) -> list[str]:
    """Delete what the settings say; return what, in words."""
    done = []
    if old := old_models(numbers(site), model.number, model.origin.before, settings.models):
        for number in old:
            _delete(site.models / f"{number:04d}")
        done.append(f"deleted models {', '.join(map(str, old))}")
    if settings.vanished_days is not None:
        gone = [name for name in long_gone(rows, now, settings.vanished_days) if _delete_results(site, name)]
        if gone:
            done.append(f"deleted labels and maps of {len(gone)} vanished scenes; their lines stay")
    return done


def old_models(known: Sequence[int], current: int, before: int | None, keep: int) -> list[int]:
    """Return the numbers of models that go: not the newest, not the current one, nor what it came from.

    >>> old_models([1, 2, 3, 4, 5, 6], current=2, before=1, keep=2)
    [3, 4]
    """
    return [number for number in sorted(known)[:-keep] if number not in (current, before)]


def long_gone(rows: Sequence[Row], now: datetime, days: int) -> list[str]:
    """Return the scenes that vanished so many days ago, unless another scene has their id by now."""
    there = {row.scene for row in rows if row.state != "vanished"}
    return [
        row.scene
        for row in rows
        if row.state == "vanished" and row.scene not in there and now - row.changed >= timedelta(days=days)
    ]


def _delete_results(site: Site, scene: str) -> bool:
    found = False
    for room in ("labels", "maps"):
        try:
            folder = own_folder(site.run.root / room, scene)
        except SceneError:  # a link: nothing of ours
            continue
        if isinstance(folder, Path) and folder.is_dir():
            _delete(folder)
            found = True
    return found


def _delete(folder: Path) -> None:
    """Delete a folder; one that is killed meanwhile leaves it whole, or under the name of a leftover."""
    leftover = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.part")
    folder.rename(leftover)
    remove(leftover)
