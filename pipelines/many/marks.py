"""Marks of very many scenes, each read once in a job whose steps ask several things of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from labeling.files.layout import read_done
from labeling.files.marks import digest_of_json
from labeling.files.storage import AnyPath
from pipelines.many.looks import of_each


class Said(NamedTuple):
    """What a mark says, as far as it is asked for after a scene is known to be finished."""

    digest: str
    """Of what decided the scene's results, and of the files asked for."""
    doubts: list[dict[str, Any]]


class Marks:
    """The marks of the scenes below a folder. What was read of one stays here, and not all of it."""

    def __init__(self, folder: AnyPath, files: Iterable[str] = ()) -> None:
        """`files`: names of those whose marks count in a digest."""
        self.folder: Final = folder
        self._files: Final = tuple(files)
        self._kept: dict[str, Said] = {}

    def keep(self, scene_id: str, done: dict[str, Any]) -> None:
        """Keep what the mark of a scene says that nothing will do again in this job."""
        self._kept[scene_id] = self._said(done)

    def of_each(self, scene_ids: Iterable[str]) -> Iterator[tuple[str, Said]]:
        """Yield scenes in their order with what their marks say; what was not kept is read."""
        return of_each(self._look, scene_ids, self.folder)

    def _look(self, scene_id: str) -> Said:
        return self._kept.get(scene_id) or self._said(read_done(self.folder / scene_id) or {})

    def _said(self, done: dict[str, Any]) -> Said:
        outputs = {name: done.get("outputs", {}).get(name) for name in self._files}
        return Said(digest_of_json([done.get("inputs"), outputs]), done.get("doubts", []))
