"""Doubts, told: what the marks of scenes say against their labels and maps, for the log and the report.

A scene that was labelled by a version without doubts has none in its mark, and is left as it is, for doubts
change no label. Remove its folder to have it looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from labeling.doubt import Doubt
from labeling.uncollected import uncollected
from pipelines.many.marks import Marks

SHOWN: Final = 20
"""Doubts that the log tells one by one."""

_LOG = logging.getLogger("polynya.doubts")


def doubts_in(mark: dict[str, Any] | None) -> list[Doubt]:
    """Return the doubts in a completion mark; none where there is no mark, or an older one."""
    return [Doubt(**each) for each in (mark or {}).get("doubts", [])]


@uncollected()
def tell_doubts(marks: Marks, scene_ids: Iterable[str], done: str = "labelled") -> None:
    """Log what speaks against these scenes' labels or maps, as their marks say, as warnings."""
    found = [
        (scene, doubt) for scene, said in marks.of_each(scene_ids) for doubt in doubts_in(said._asdict())
    ]
    for scene, doubt in found[:SHOWN]:
        _LOG.warning("%s in doubt: %s", done, doubt.text, extra={"scene": scene, "doubt": doubt.code})
    if len(found) > SHOWN:
        scenes = len({scene for scene, _ in found})
        _LOG.warning(
            "%d more doubts: %d scenes are %s in doubt; see %s/<scene>/done.json",
            len(found) - SHOWN, scenes, done, marks.folder,
        )  # fmt: skip
