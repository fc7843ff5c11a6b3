"""Ids that scenes keep: those of the catalogue, of scenes that moved, and of labels that the run has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labeling.files.layout import Run, read_done
from labeling.files.uri import stem
from labeling.scene_id import digest_id, scene_id_of
from labeling.scenes.contract.scene import SceneInfo
from pipelines.engine.scenes import CatalogRow


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
    return ids | _ids_of_labels(run, new) if new else ids


def _looks(info: SceneInfo) -> tuple[str, ...]:
    """Return what a scene has wherever it lies: a file that moves keeps name, size and time."""
    state = info.identity() | {"uri": stem(info.uri)}
    return tuple(map(str, state.values()))


def _ids_of_labels(run: Run, uris: Iterable[str]) -> dict[str, str]:
    """Return the ids by which scenes that the catalogue lacks have labels in the run, and those of others.

    For what could not be opened the last time is not in the catalogue, and its labels are there.
    """
    folder = run.root / "labels"
    there = {path.name.casefold() for path in folder.iterdir()} if folder.is_dir() else set()
    ids: dict[str, str] = {}
    for uri in uris:
        own, plain = digest_id(stem(uri), uri), scene_id_of(stem(uri))
        if own.casefold() in there:
            ids[uri] = own
        elif plain.casefold() in there:
            of = (read_done(run.labels(plain)) or {}).get("inputs", {}).get("uri")
            if isinstance(of, str):
                ids[of] = plain
    return ids
