"""Doubts, told: what the marks of labelled scenes say against their labels, for the log and the report.

A scene that was labelled by a version without doubts has none in its mark, and is left as it is, for doubts
change no label. Remove its folder to have it looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from labeling.doubt import Doubt
from labeling.files.layout import Run, read_done

SHOWN: Final = 20
"""Doubts that the log tells one by one."""

_LOG = logging.getLogger("polynya.label")


def doubts_in(mark: dict[str, Any] | None) -> list[Doubt]:
    """Return the doubts in a completion mark; none where there is no mark, or an older one."""
    return [Doubt(**each) for each in (mark or {}).get("doubts", [])]


def tell_doubts(run: Run, scene_ids: Iterable[str]) -> None:
    """Log what speaks against the labels of these scenes, as warnings."""
    found = [(scene, doubt) for scene in scene_ids for doubt in doubts_in(read_done(run.labels(scene)))]
    for scene, doubt in found[:SHOWN]:
        _LOG.warning("labelled in doubt: %s", doubt.text, extra={"scene": scene, "doubt": doubt.code})
    if len(found) > SHOWN:
        scenes = len({scene for scene, _ in found})
        _LOG.warning(
            "%d more doubts: %d scenes are labelled in doubt; see %s/labels/<scene>/done.json",
            len(found) - SHOWN, scenes, run.root,
        )  # fmt: skip
