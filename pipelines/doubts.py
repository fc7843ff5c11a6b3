"""Doubts, told: what the marks of scenes say against their labels and maps, for the log and the report.

A scene that was labelled by a version without doubts has none in its mark, and is left as it is, for doubts
change no label. Remove its folder to have it looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from labeling.doubt import Doubt
from labeling.files.layout import read_done
from labeling.files.storage import AnyPath
from pipelines.many.looks import of_each

SHOWN: Final = 20
"""Doubts that the log tells one by one."""

_LOG = logging.getLogger("polynya.doubts")


def doubts_in(mark: dict[str, Any] | None) -> list[Doubt]:
    """Return the doubts in a completion mark; none where there is no mark, or an older one."""
    return [Doubt(**each) for each in (mark or {}).get("doubts", [])]


def tell_doubts(folder: AnyPath, scene_ids: Iterable[str], done: str = "labelled") -> None:
    """Log what speaks against these scenes' labels or maps below `folder`, as warnings."""
    marks = of_each(lambda scene: doubts_in(read_done(folder / scene)), scene_ids, folder)
    found = [(scene, doubt) for scene, doubts in marks for doubt in doubts]
    for scene, doubt in found[:SHOWN]:
        _LOG.warning("%s in doubt: %s", done, doubt.text, extra={"scene": scene, "doubt": doubt.code})
    if len(found) > SHOWN:
        scenes = len({scene for scene, _ in found})
        _LOG.warning(
            "%d more doubts: %d scenes are %s in doubt; see %s/<scene>/done.json",
            len(found) - SHOWN, scenes, done, folder,
        )  # fmt: skip
