"""Ids of scenes: they name folders and files, so no name from elsewhere is taken as it stands.

Whatever a scene is called, by its file, its item or on the command line, `scene_id_of` makes an id of it. Ids
that were written down, in a catalogue, a card or the name of a file of chips, are held against the same form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Final

from pydantic import AfterValidator

LONGEST: Final = 120
"""Characters of an id: file systems hold 255 bytes, and temporary files need some for their marks."""

_FORM: Final = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{LONGEST - 1}}}")
"""No separator, and no dot first: `..` is a folder, and leftovers begin with a dot (files/atomic.py)."""

_DIGITS: Final = 8


def is_scene_id(text: str) -> bool:
    """Tell whether a text can be a scene's id.

    >>> [is_scene_id(text) for text in ("S2A_58CDU", "..", ".x.part", "a/b", "")]
    [True, False, False, False, False]
    """
    return _FORM.fullmatch(text) is not None


def scene_id_of(name: str) -> str:
    """Return the id of a scene that is called `name`, whatever that is; a long one ends in a digest.

    >>> scene_id_of("../../x"), scene_id_of(".."), scene_id_of("S2A 58CDU")
    ('_x', '_', 'S2A_58CDU')
    """
    text = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    text = re.sub(r"^[.-][._-]*|^$", "_", text)
    if len(text) <= LONGEST:
        return text
    return _with_digest(text, name)


def distinct_ids(names: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return an id for each scene, by URI, from its name; a short digest of the URI parts those of one name.

    `known` maps URIs to ids that must not change, of these scenes or of others. Ids differ by more than
    capitals, which some file systems take for each other.
    """
    ids = {uri: known[uri] for uri in names if uri in known}
    new = {uri: scene_id_of(name) for uri, name in names.items() if uri not in known}
    taken = _folded([*ids.values(), *known.values()])
    uses = Counter(name.casefold() for name in new.values())
    for uri, name in new.items():
        if uses[name.casefold()] > 1 or name.casefold() in taken:
            name = _with_digest(name, uri)
        salt = uri
        while name.casefold() in taken:  # another scene is called just like that
            salt += "#"
            name = _with_digest(name, salt)
        ids[uri] = name
        taken.add(name.casefold())
    return ids


def digest_id(name: str, uri: str) -> str:
    """Return the id that `distinct_ids` gives a scene of this name first, where others are called so too."""
    return _with_digest(scene_id_of(name), uri)


def _folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}


def _with_digest(name: str, of: str) -> str:
    digest = sha256(of.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    return f"{name[: LONGEST - 1 - _DIGITS]}-{digest}"


def _checked(text: str) -> str:
    if not is_scene_id(text):
        raise ValueError(
            f"{text[:LONGEST]!r} can be no scene's id: letters, digits, '.', '_' and '-', no dot or "
            f"hyphen first, {LONGEST} at most"
        )
    return text


SceneId = Annotated[str, AfterValidator(_checked)]
"""An id in a file that a model is read from; ValueError, as pydantic's validators raise, where it is none."""
