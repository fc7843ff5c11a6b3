"""What scenes look like from outside: a digest by which one that was opened before is known to be unchanged.

Of each file that may decide what is read of a scene it holds name, size, times and inode, in a bucket the
etag. These are more than are read: all of a product's folder, and beside a picture whatever is named like it,
so that a mask or a world file that is new is noticed too. Folders are listed once, buckets page by page.

No digest is given of what cannot be looked at so: scenes on web servers, items of which a file lies on one,
items here of which a file lies in a bucket, a few scenes in a folder of a bucket, products with links to
folders. Nor of what was touched a moment ago, for a change within the same tick of the clock would leave the
same times. Such scenes are opened each time.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from labeling.errors import StorageError
from labeling.files.layout import versions
from labeling.files.links import VARIABLE
from labeling.files.marks import FRESH_NS
from labeling.files.storage import AnyPath, at, is_s3, named_like
from labeling.files.uri import LISTS, is_url, parse, suffix
from labeling.scenes.products.safe.known import is_safe
from labeling.scenes.search import places_of
from labeling.uncollected import uncollected

_LEAST_LISTED: Final = 16
"""Scenes of one folder of a bucket for which listing it is worth while: it may hold a million others."""

_AT_ONCE: Final = 32
"""Items in buckets that are read at a time."""


@uncollected()
def look_at(uris: Iterable[str]) -> dict[str, str]:
    """Return a digest for each of these scenes that can be known again by what it looks like from outside.

    Two looks give the same digest only where nothing has changed that could change what opening the scene
    says: its files, the versions at work here, and where links may lead (`--allow-links`).
    """
    since, rules = time.time_ns() - FRESH_NS, f"{versions()} {os.environ.get(VARIABLE)}"
    by_file: dict[str, list[str]] = {}  # a file that lists thousands of scenes is looked at once
    for uri in uris:
        by_file.setdefault(parse(uri).location, []).append(uri)
    local = ((file, _local(file, since)) for file in by_file if not is_url(file))
    marks = [*local, *_in_buckets([file for file in by_file if is_s3(file)])]
    digests = {file: _digest([rules, *found]) for file, found in marks if found}
    return {uri: digests[file] for file, own in by_file.items() if file in digests for uri in own}


def _digest(lines: list[str]) -> str:
    return sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:32]


# --- files of this machine ---


def _local(location: str, since: int) -> list[str] | None:
    """Return a line for each file of a scene; None where they say too little, or changed after `since`."""
    try:
        if suffix(location) in LISTS:
            states = _of_items(location)
        elif os.path.isdir(location):  # noqa: PTH112 - as in search.py, for speed
            states = _of_folder(location)
        else:
            states = _of_file(location)
    except (OSError, ValueError):  # opening it says why
        return None
    if not states or max(state.st_ctime_ns for _, state in states) > since:
        return None
    return [
        f"{name} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"
        for name, state in states
    ]


_States = list[tuple[str, os.stat_result]]


def _of_file(location: str) -> _States:
    """Return the state of a file and of those beside it that begin with its name without ending."""
    place = Path(location)
    own, folder = _own(named_like(place.parent, place.stem), place), str(place.parent)
    return [(name, os.stat(os.path.join(folder, name))) for name in own]  # noqa: PTH116, PTH118


def _own(names: Iterable[str], place: AnyPath) -> list[str]:
    """Return which of some names that begin like that of a scene's file go with it; none without itself."""
    length = len(place.stem)
    own = [name for name in names if not name[length : length + 1].isalnum()]  # scene-10 is not of scene-1
    return own if place.name in own else []


def _of_folder(location: str) -> _States:
    """Return the state of all files of a product's folder; none where a link leads to another folder."""
    found = []
    for parent, folders, files in os.walk(location):
        places = [os.path.join(parent, name) for name in (*folders, *files)]  # noqa: PTH118
        if any(os.path.islink(place) for place in places[: len(folders)]):  # noqa: PTH114
            return []
        found += [(place, os.stat(place)) for place in places]  # noqa: PTH116
    return sorted(found, key=itemgetter(0))


def _of_items(location: str) -> _States:
    """Return the state of a file of items and of the files that they name.

    None where one lies on a server, or is not there and may be read from a server in its stead: what is here
    says nothing of the pixels there.
    """
    found = {location: os.stat(location)}  # noqa: PTH116
    for place, *copies in places_of(location):
        if is_url(place):
            return []
        with suppress(FileNotFoundError, NotADirectoryError):
            found[place] = found.get(place) or os.stat(place)  # noqa: PTH116
        if place not in found and any(map(is_url, copies)):
            return []
    return sorted(found.items())


# --- objects in buckets ---


def _in_buckets(uris: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield lines as `_local` returns them, of scenes in buckets; a folder of many is listed once."""
    for folder, scenes in _of_many(uri for uri in uris if suffix(uri) not in LISTS):
        yield from _in_folder(folder, scenes)
    yield from _of_bucket_items([uri for uri in uris if suffix(uri) in LISTS])


def _of_many(uris: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return the folders in which so many of these are that listing them is worth while."""
    folders: dict[str, list[str]] = {}
    for uri in uris:
        folders.setdefault(uri.rpartition("/")[0], []).append(uri)
    return [(folder, own) for folder, own in folders.items() if len(own) >= _LEAST_LISTED]


def _of_bucket_items(documents: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield lines of items, or lists of items, that lie in buckets with all the files that they name.

    Each is read, for what it names; whether these have changed is told by listings of their folders.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        named = dict(zip(documents, pool.map(_named, documents), strict=True))
    states: dict[str, str] = {}
    for folder, _ in _of_many({place for places in named.values() for place in places if is_s3(place)}):
        with suppress(StorageError, OSError):
            states |= {f"{folder}/{name}": state for name, state in _objects(folder).items()}
    for document, places in named.items():
        if places and all(place in states for place in places):
            yield document, [f"{place} {states[place]}" for place in places]


def _named(document: str) -> list[str]:
    """Return a document and the files that it names; nothing where the server does not answer."""
    try:
        return sorted({document, *(own for own, *_ in places_of(document))})
    except StorageError:
        return []


def _objects(folder: str) -> dict[str, str]:
    """Return size and etag of the objects in a folder of a bucket, by name."""
    place: Any = at(folder)
    return {
        entry["name"].rpartition("/")[2]: f"{entry['size']} {entry['e_tag']}"
        for entry in place.fs.ls(place.path, detail=True)
        if entry["type"] == "file"
    }


def _in_folder(folder: str, scenes: list[str]) -> Iterator[tuple[str, list[str]]]:
    place: Any = at(folder)
    products = {uri for uri in scenes if is_safe(at(uri)) and suffix(uri) != ".zip"}
    try:
        # A product is many objects below it: all of them at once, as pages of one listing.
        found = place.fs.below(place.path) if products else []
        objects = _objects(folder)
    except (StorageError, OSError):  # opening them says why
        return
    bucket = place.path.partition("/")[0]
    inside: dict[str, list[str]] = {}
    for entry in found:
        head, _, rest = f"s3://{bucket}/{entry['path']}".removeprefix(f"{folder}/").partition("/")
        inside.setdefault(f"{folder}/{head}", []).append(f"{rest} {entry['size']} {entry['e_tag']}")
    names = sorted(objects, key=str.casefold)
    folded = [name.casefold() for name in names]
    for uri in scenes:
        if uri in products:
            yield uri, inside.get(uri, [])
            continue
        path, index, like = at(uri), bisect_left(folded, at(uri).stem.casefold()), []
        while index < len(names) and folded[index].startswith(path.stem.casefold()):
            like.append(names[index])
            index += 1
        yield uri, [f"{name} {objects[name]}" for name in _own(like, path)]
