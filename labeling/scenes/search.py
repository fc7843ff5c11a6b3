"""Scenes in folders: what is one, two levels down, and what only belongs to another."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from labeling.errors import SceneError, StorageError
from labeling.files.layout import DONE
from labeling.files.storage import AnyPath, at, is_s3
from labeling.files.uri import LISTS, is_url, join, suffix
from labeling.scenes.open import is_scene
from labeling.scenes.products.stac.reader import has_items
from labeling.scenes.sidecars import SIDECARS

LEVELS: Final = 2
"""Levels of folders below a given one that are searched."""

_OF_RUNS: Final = ("catalog.parquet", "chips.json", DONE)
"""Files that only folders of a run have: what lies there is no scene."""


def scenes_below(folder: Path) -> list[str]:
    """Return the scenes in a folder and in those below it, sorted; see `own_scenes`."""
    return own_scenes(str(path) for path in _below(folder, LEVELS))


def own_scenes(paths: Iterable[str]) -> list[str]:
    """Return the scenes of a search, sorted: of a STAC item's files the item, which says what they mean."""
    found = sorted(paths)
    items = [path for path in found if suffix(path) in LISTS and has_items(at(path))]
    belonging = {file for item in items for file in files_of(item)}
    return [path for path in found if _place(path) not in belonging] if belonging else found


def is_hidden(path: AnyPath) -> bool:
    """Tell whether a file belongs to a scene rather than being one: truth beside it, or half written."""
    return path.stem.endswith(SIDECARS) or path.name.startswith(".")


def _below(folder: Path, levels: int) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        yield folder  # opening it says why
        return
    for path in paths:
        if is_hidden(path):
            continue
        if is_scene(path):
            yield path
        elif levels and _is_searched(path):
            yield from _below(path, levels - 1)


def _is_searched(path: Path) -> bool:
    # Unlike those of Path, these functions never raise, whatever is in the way.
    return os.path.isdir(path) and not any(os.path.exists(path / name) for name in _OF_RUNS)  # noqa: PTH110, PTH112


def _place(path: str) -> str:
    return path if is_s3(path) else os.path.realpath(path)


def files_of(item: str) -> Iterator[str]:
    """Yield the files, on this machine or in buckets, that the items in a document name."""
    with suppress(StorageError):  # opening it says so
        for places in places_of(item):
            if not is_url(places[0]) or is_s3(places[0]):
                with suppress(ValueError):  # what no file can be called leads nowhere either
                    yield _place(places[0])


def places_of(item: str) -> Iterator[list[str]]:
    """Yield where each asset of the items in a document may lie: paths and URLs, its copies last.

    Nothing is yielded of what leads nowhere, nor where the document is none: opening it says so. StorageError
    where a server does not give it.
    """
    try:
        content = json.loads(at(item).read_bytes())
    except StorageError:
        raise
    except (OSError, ValueError, RecursionError):
        return
    for hrefs in _hrefs(content.get("features", [content]) if isinstance(content, dict) else []):
        places = []
        for href in hrefs:
            with suppress(SceneError, ValueError):
                places.append(join(item, href))
        if places:
            yield places


def _hrefs(features: Any) -> Iterator[list[str]]:
    for feature in features if isinstance(features, list) else []:
        for asset in _members(feature, "assets"):
            found = [asset, *_members(asset, "alternate")]
            hrefs = [each.get("href") for each in found if isinstance(each, dict)]
            yield [href for href in hrefs if isinstance(href, str)]


def _members(holder: Any, name: str) -> list[Any]:
    members = holder.get(name) if isinstance(holder, dict) else None
    return list(members.values()) if isinstance(members, dict) else []
