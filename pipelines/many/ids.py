"""Ids that scenes keep: those of the catalogue, of scenes that moved, and of labels that the run has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from labeling.files.layout import Run, read_done
from labeling.files.uri import stem
from labeling.scene_id import digest_id, scene_id_of
from labeling.scenes.contract.scene import SceneInfo
from pipelines.engine.scenes import CatalogRow
from pipelines.many.looks import of_each


def known_ids(
    run: Run, before: Mapping[str, CatalogRow], named: Iterable[str], found: Mapping[str, SceneInfo]
) -> dict[str, str]:
    """Return the ids that must not change, by URI, of the scenes that were `found` and of others."""
    ids = {uri: row.scene_id for uri, row in before.items()}
    gone = {_looks(before[uri].info): uri for uri in before.keys() - named}
    new = []
    for info in found.values():
        if info.uri in ids:
            continue
        if (was := gone.pop(_looks(info), None)) is not None:
            ids[info.uri] = ids.pop(was)
        else:
            new.append(info.uri)
    return _ids_of_labels(run, new, ids.values()) | ids if new else ids


def _looks(info: SceneInfo) -> tuple[str, ...]:
    """Return what a scene has wherever it lies: a file that moves keeps name, size, time, files beside."""
    state = info.identity() | {"uri": stem(info.uri)}
    return tuple(map(str, state.values()))


def _ids_of_labels(run: Run, uris: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Return the ids by which scenes that the catalogue lacks have labels in the run, and those of others.

    For what could not be opened the last time is not in the catalogue, and its labels are there. Ids that are
    `taken` are nobody else's, whatever the labels say: those of a scene that moved are made anew only later.
    """
    names: list[str] = []
    with suppress(FileNotFoundError, NotADirectoryError):  # the latter of a bucket
        names = [path.name for path in (run.root / "labels").iterdir()]
    given = {name.casefold() for name in taken}
    free = {name.casefold(): name for name in names if name.casefold() not in given}
    asked = dict.fromkeys(
        free[name.casefold()]
        for uri in uris
        for name in (digest_id(stem(uri), uri), scene_id_of(stem(uri)))
        if name.casefold() in free
    )
    marks = of_each(lambda name: read_done(run.labels(name)) or {}, asked, run.root)
    of = {name: done.get("inputs", {}).get("uri") for name, done in marks}
    return {uri: name for name, uri in of.items() if isinstance(uri, str)}
