"""Damage to a valid file: of its bytes, of its numbers, and of what a document, a zip or an answer holds."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any, Final
from xml.etree import ElementTree

Damage = Callable[[bytes, Random], bytes]

NUMBERS: Final = (
    "0", "-1", "-0.0", "1e308", "1e999", "-1e999", "NaN", "Infinity", "1e-320", "4294967296",
    "99999999999999999999", "0x10", "1_000", "\u0663", "1" * 5000, "", " ", "1 2", "true", "null",
    "2019-99-99", "!!bool 1x", "!!int ''", "!!timestamp x", "*a", "&a [*a]", "!!python/name:os.system",
)  # fmt: skip
"""In the place of a number; what other languages take for one, and what YAML takes for more."""

TEXTS: Final = (
    "", " ", ".", "..", "/", "../../../../tmp/escaped", "/dev/zero", "/dev/null/x", "file:///etc/hostname",
    "/vsimem/x", "~", "a/b", "a\x00b", "a\nb", "\ud800", "\u202e", "\U0001f9ca", "x" * 5000, "%00", "%s{0}",
    "http://", "http://[", "s3://", "CON", "-", "9999-99-99T99:99:99Z", "EPSG:999999", "NaN",
)  # fmt: skip
"""In the place of names, ids, paths, links and times."""

_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")


def flipped(content: bytes, rng: Random) -> bytes:
    """Flip one to eight bits."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def truncated(content: bytes, rng: Random) -> bytes:
    """Cut the end off, down to nothing."""
    return content[: rng.randrange(len(content))]


def spliced(content: bytes, rng: Random) -> bytes:
    """Repeat, leave out, or replace a piece by random bytes."""
    start = rng.randrange(len(content))
    end = min(len(content), start + rng.randint(1, 200))
    middle = rng.choice([b"", content[start:end] * rng.choice([2, 50]), rng.randbytes(rng.randint(1, 50))])
    return content[:start] + middle + content[end:]


def renumbered(content: bytes, rng: Random) -> bytes:
    """Replace a number, wherever it is written, by a strange one."""
    found = list(_NUMBER.finditer(content))
    if not found:
        return flipped(content, rng)
    chosen = rng.choice(found)
    return content[: chosen.start()] + rng.choice(NUMBERS).encode() + content[chosen.end() :]


def rewritten_json(content: bytes, rng: Random) -> bytes:
    """Replace, remove, rename or nest one value of a JSON document."""
    document = json.loads(content)
    holder, key = rng.choice(_places(document))
    what = rng.randrange(5)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    elif what == 2:
        holder[key] = "\0nested"
        depth = rng.choice([5, 500, 50_000])
        opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
        nested = f"{opening * depth}0{closing * depth}"
        return json.dumps(document).replace(json.dumps("\0nested"), nested).encode()
    else:
        holder[key] = rng.choice([*TEXTS, *_STRANGE])
    return json.dumps(document).encode()


_STRANGE: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), [], {}, [[]], [None],
    {"": None},
)  # fmt: skip


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Return each value's holder and its key or index there."""
    found = []
    waiting = [document]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            items = list(holder.items() if isinstance(holder, dict) else enumerate(holder))
            found += [(holder, key) for key, _ in items]
            waiting += [value for _, value in items]
    return found


def rewritten_xml(content: bytes, rng: Random) -> bytes:
    """Replace the text or an attribute of one element, remove it, repeat it or nest it."""
    root = ElementTree.fromstring(content)
    parents = [(parent, child) for parent in root.iter() for child in parent]
    parent, child = rng.choice(parents)
    what = rng.randrange(5)
    if what == 0:
        parent.remove(child)
    elif what == 1:
        parent.append(child)
    elif what == 2 and child.attrib:
        child.set(rng.choice(list(child.attrib)), _writable(rng.choice([*TEXTS, *NUMBERS])))
    elif what == 3:
        child.text = "NESTED"
        depth = rng.choice([5, 300, 50_000])
        nested = b"<a>" * depth + b"</a>" * depth
        return ElementTree.tostring(root, "UTF-8").replace(b"NESTED", nested)
    else:
        child.text = _writable(rng.choice([*TEXTS, *NUMBERS]))
    return ElementTree.tostring(root, "UTF-8")


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def overwritten(content: bytes, rng: Random) -> bytes:
    """Write an integer of two to eight bytes over others, as sizes, counts and places are in binary files."""
    width = rng.choice([2, 4, 8])
    value = rng.choice([0, 1, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, len(content)])
    start = rng.randrange(len(content))
    written = (value % 256**width).to_bytes(width, rng.choice(["little", "big"]))
    return content[:start] + written + content[start + width :]


def repacked_zip(content: bytes, rng: Random) -> bytes:
    """Rename, repeat, leave out or damage one file of a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = [(name, archive.read(name)) for name in archive.namelist()]
    place = rng.randrange(len(files))
    name, inside = files[place]
    what = rng.randrange(4)
    if what == 0:
        files[place] = (rng.choice([*TEXTS, f"../{name}", f"/{name}", name.replace("/", "\\")]), inside)
    elif what == 1:
        files.append((name, rng.choice([b"", inside])))
    elif what == 2:
        del files[place]
    elif inside:
        files[place] = name, rng.choice([flipped, truncated, spliced, renumbered, overwritten])(inside, rng)
    packed = io.BytesIO()
    warnings.simplefilter("ignore", UserWarning)  # of names that come twice
    with zipfile.ZipFile(packed, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for each, held in files:
            archive.writestr(zipfile.ZipInfo(_writable(each) or "x"), held)
    return packed.getvalue()


def in_head(damage: Damage) -> Damage:
    """Return the damage done to the head of an answer of HTTP alone."""

    def damaged(content: bytes, rng: Random) -> bytes:
        head, end, body = content.partition(b"\r\n\r\n")
        return (damage(head, rng) if head else head) + end + body

    return damaged


def rewritten_answer(content: bytes, rng: Random) -> bytes:
    """Rewrite the JSON that an answer brings; its head states the new length."""
    head, end, body = content.partition(b"\r\n\r\n")
    body = rewritten_json(body, rng)
    return re.sub(rb"(Content-Length:) \d+", rb"\1 %d" % len(body), head) + end + body


BYTES: Final[tuple[Damage, ...]] = (flipped, truncated, spliced, renumbered)
JSON: Final[tuple[Damage, ...]] = (*BYTES, rewritten_json, rewritten_json, rewritten_json, rewritten_json)
XML: Final[tuple[Damage, ...]] = (*BYTES, rewritten_xml, rewritten_xml, rewritten_xml, rewritten_xml)
BINARY: Final[tuple[Damage, ...]] = (flipped, truncated, spliced, overwritten)
ZIP: Final[tuple[Damage, ...]] = (*BINARY, *[repacked_zip] * 4)
ANSWER: Final[tuple[Damage, ...]] = (
    in_head(flipped), truncated, in_head(spliced), in_head(renumbered), *[rewritten_answer] * 4,
)  # fmt: skip
