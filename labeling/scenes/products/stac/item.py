"""STAC documents: an item, or a list of items, from a file or a server.

Of an item only what is used here is looked at, and checked; STAC 1.0 and 1.1 say it in different places.
"""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labeling.errors import SceneError
from labeling.files.fetch import Document, fetch, probe
from labeling.files.state import FileState, state_of
from labeling.files.uri import is_url, parse, shown, stem

LARGEST: Final = 64 << 20
"""Bytes of a document; an item of CDSE has 130 KB, the longest page of a search some MB."""

DEEPEST: Final = 64
"""Objects and arrays inside each other; real items have about eight."""


_last: Final[list[_List]] = []
"""The list that was read last, if any."""


class _Part(BaseModel):
    """Base of the parts of an item: other members are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Scaling(_Part):
    """What a band says of its values: `raster:bands` in STAC 1.0, `bands` in 1.1."""

    scale: float | None = None
    offset: float | None = None
    nodata: float | str | None = None
    data_type: str | None = None
    raster_scale: float | None = Field(None, alias="raster:scale")
    raster_offset: float | None = Field(None, alias="raster:offset")


class Link(_Part):
    """A link, or another place of an asset."""

    href: str
    rel: str = ""


class Asset(Scaling):
    """A file of an item. In STAC 1.1 the scaling of its only band may be its own."""

    href: str
    alternate: dict[str, Link] = {}
    raster_bands: tuple[Scaling, ...] = Field((), alias="raster:bands")
    bands: tuple[Scaling, ...] = ()


class Item(_Part):
    """One product."""

    type: Literal["Feature"]
    id: str
    collection: str | None = None
    properties: dict[str, Any]
    assets: dict[str, Asset]


class Found(NamedTuple):
    """An item and where it was found."""

    item: Item
    location: str
    """Path or URL of the document: relative links start at its folder."""
    state: FileState


class _List(NamedTuple):
    """A document that lists items, taken apart once: it may list thousands, and each is a scene."""

    location: str
    state: FileState
    """Of the document."""
    items: dict[str, bytes]
    """JSON of each item by its id; parsed, all of them would take ten times the memory."""


def find_item(uri: str) -> Found:
    """Read the item at `uri`: a path or URL, followed by `#` and an id where the document lists several.

    Of an item in a list the state is that of the item, without the queries of its links: what was signed
    again has not changed. Raises SceneError when there is none, and as `list_items` does.
    """
    location, wanted = parse(uri)
    if wanted is not None and (known := _known(location)) is not None and wanted in known.items:
        return _listed(known, wanted)
    document = fetch(location, LARGEST)
    content = _decode(document.content, location)
    if not _is_list(content) and wanted in (None, content.get("id")):
        return Found(_item(content, location), location, document.state)
    ids = _ids(content, document, location)
    if wanted is None or wanted not in ids:
        some = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        raise SceneError(
            f"{shown(location)} lists {some}, and {wanted or 'none of them'} was asked for. Give one as "
            f"{shown(location)}#ID."
        )
    items = dict(zip(ids, map(_encoded, _features(content, location)), strict=True))
    _last[:] = [_List(location, document.state, items)]
    return _listed(_last[0], wanted)


def _known(location: str) -> _List | None:
    """Return the list that was read last if it is this one, and has not changed."""
    known = next((each for each in _last if each.location == location), None)
    if known is None:
        return None
    try:
        state = probe(location) if is_url(location) else state_of(Path(location))
    except (OSError, SceneError):
        return None  # reading it says why
    # A server need not say how large a file is, where it says which it is.
    same = state.etag == known.state.etag if state.etag else not is_url(location) and state == known.state
    return known if same else None


def _listed(known: _List, name: str) -> Found:
    """Return an item of a list; the queries of its links, which expire, do not count in its state."""
    feature = json.loads(known.items[name])
    text = _encoded(_unsigned(feature))
    state = FileState(len(text), 0, f"sha256:{sha256(text).hexdigest()[:16]}")
    return Found(_item(feature, known.location), known.location, state)


def _encoded(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def list_items(uri: str) -> list[str]:
    """Return the URIs of all items that a document has, each ending in its item's id.

    A file is taken as it is, whatever pages it says come next. Of a server's answer with a next page
    only part would be taken, so that raises SceneError, as do a list without items and an id that comes
    twice.
    """
    location, wanted = parse(uri)
    if wanted is not None:
        return [uri]
    document = fetch(location, LARGEST)
    content = _decode(document.content, location)
    if not _is_list(content) and content.get("id") == stem(location):
        return [uri]
    return [f"{location}#{name}" for name in _ids(content, document, location)]


def _decode(content: bytes, location: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:  # of its encoding, or nested without end
        raise SceneError(
            f"{shown(location)} is not JSON ({error}). Give a STAC item or a list of items; what an address "
            "says can be seen in a browser."
        ) from None
    if _is_deep(found):
        raise SceneError(
            f"{shown(location)} is nested more than {DEEPEST} deep, as no STAC item is. Fetch it again."
        )
    kind = found.get("type") if isinstance(found, dict) else None
    if kind not in ("Feature", "FeatureCollection"):
        raise SceneError(
            f"{shown(location)} is JSON, but no STAC item: its type is {kind!r}, and Feature or "
            "FeatureCollection was looked for. Of a catalogue or collection, give the items."
        )
    return dict(found)


def _is_deep(content: Any) -> bool:
    """Tell whether a value holds others more than DEEPEST deep, which functions that call themselves fear."""
    level = [content]
    for _ in range(DEEPEST):
        level = [
            value
            for holder in level
            if isinstance(holder, dict | list)
            for value in (holder.values() if isinstance(holder, dict) else holder)
        ]
    return bool(level)


def _is_list(content: dict[str, Any]) -> bool:
    return bool(content["type"] == "FeatureCollection")


def _features(content: dict[str, Any], location: str) -> list[dict[str, Any]]:
    features = content.get("features") if _is_list(content) else [content]
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise SceneError(
            f"{shown(location)} is a FeatureCollection without a list of features. Fetch it again."
        )
    if not features:
        raise SceneError(f"{shown(location)} lists no items. Search with other limits.")
    return features


def _ids(content: dict[str, Any], document: Document, location: str) -> list[str]:
    links = content.get("links")
    links = links if isinstance(links, list) else []
    if document.remote and any(isinstance(link, dict) and link.get("rel") == "next" for link in links):
        raise SceneError(
            f"{shown(location)} is one page of a longer list. Ask for more items at once (limit=…), or save "
            "the items of all pages to one file, a FeatureCollection, and give that."
        )
    ids = [str(feature.get("id")) for feature in _features(content, location)]
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise SceneError(f"{shown(location)} lists {', '.join(twice)} more than once. Leave one of each.")
    return ids


def _item(content: dict[str, Any], location: str) -> Item:
    try:
        return Item.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SceneError(
            f"{shown(location)} is no STAC item that can be used: {where}: {first['msg']}. Fetch it again."
        ) from None


def _unsigned(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _unsigned(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_unsigned(value) for value in content]
    return shown(content) if isinstance(content, str) else content
