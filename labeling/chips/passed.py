"""Whether a folder of chips is the one that passed its checks before: then its files are not opened again.

chips/.passed holds a digest of the card, the versions at work, and name, size, times and inode of each file.
No file can change, or be replaced, and keep all of these; a copy of the folder has others. Without it, or
where it says anything else, all is checked.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from labeling.chips.card import SPLITS, ChipCard, split_files
from labeling.errors import OutputError
from labeling.files.atomic import write_bytes
from labeling.files.layout import versions
from labeling.files.marks import FRESH_NS
from labeling.files.storage import open_regular
from labeling.uncollected import uncollected

PASSED: Final = ".passed"
"""Name of the file beside the card."""


@uncollected()
def look_at_chips(chips: Path, card: ChipCard, checks: str) -> str | None:
    """Return a digest of a card and of what its folder looks like from outside; `checks` says what is asked.

    None where it was touched a moment ago, for a change within the same tick of the clock would leave the
    same times, or where it cannot be looked at: checking it says why.
    """
    since = time.time_ns() - FRESH_NS
    digest = sha256(f"{checks} {versions()} {card.model_dump_json()}".encode("utf-8", "surrogateescape"))
    try:
        for split in SPLITS:
            for file in split_files(chips, split):
                state = os.stat(file)  # noqa: PTH116 - quicker, of very many
                if state.st_ctime_ns > since:
                    return None
                times = f"{state.st_mtime_ns} {state.st_ctime_ns}"
                line = f"\n{split}/{file.name} {state.st_size} {times} {state.st_ino} {state.st_mode}"
                digest.update(line.encode("utf-8", "surrogateescape"))
    except OSError:
        return None
    return digest.hexdigest()


def has_passed(chips: Path, look: str | None) -> bool:
    """Tell whether a folder that looks so has passed, by the word of the user that asks.

    Somebody else who may write there could say so of chips that have not, and knows what they look like.
    """
    if look is None:
        return False
    try:
        with open_regular(chips / PASSED) as file:
            own = os.fstat(file.fileno()).st_uid == os.geteuid()
            return own and file.read(len(look) + 1) == look.encode()
    except OSError:
        return False


def note_passed(chips: Path, look: str) -> None:
    """Note that a folder that looked so before it was checked has passed, unless it can only be read."""
    with suppress(OSError, OutputError):
        write_bytes(chips / PASSED, look.encode())
