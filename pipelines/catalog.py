"""Catalogue: paths, folders and globs become one row a scene, each with an id that stays the same."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from labeling.errors import ConfigError, SceneError
from labeling.layout import Run
from labeling.raster import replacing
from labeling.scene import SceneInfo, is_scene, open_scene, refusal, searched_for
from labeling.simulate import SIDECARS
from pipelines.schemas import CATALOG


class CatalogRow(NamedTuple):
    """A scene of a run."""

    scene_id: str
    info: SceneInfo


class Failure(NamedTuple):
    """A scene that a step could not do."""

    scene: str
    step: str
    reason: str


def build_catalog(scenes: list[str], run: Run) -> tuple[list[CatalogRow], list[Failure]]:
    """Return the scenes that can be opened, and why the others cannot.

    Raises ConfigError when there is not a single file to try. A scene that the run's catalogue knows keeps
    its id, so that labels and maps of one scene meet.
    """
    described = [_describe(uri) for uri in expand(scenes)]
    infos = [item for item in described if isinstance(item, SceneInfo)]
    failures = [item for item in described if isinstance(item, Failure)]
    ids = assign_ids([info.uri for info in infos], _known_ids(run))
    return [CatalogRow(ids[info.uri], info) for info in infos], failures


def part_by_rendering(
    rows: list[CatalogRow], rendering: str, step: str, needed_by: str
) -> tuple[list[CatalogRow], list[Failure]]:
    """Part the scenes into those that have a rendering, and refusals; `needed_by` says what needs it."""
    good = [row for row in rows if row.info.can_be(rendering)]
    bad = [
        Failure(row.scene_id, step, refusal(row.info, rendering, needed_by))
        for row in rows
        if not row.info.can_be(rendering)
    ]
    return good, bad


def write_catalog(rows: Iterable[CatalogRow], run: Run) -> None:
    """Write catalog.parquet, replacing an earlier one."""
    records = [{"scene_id": row.scene_id, **row.info._asdict()} for row in rows]
    with replacing(run.catalog) as temporary:
        pq.write_table(pa.Table.from_pylist(records, schema=CATALOG), temporary)


def read_catalog(run: Run) -> list[CatalogRow]:
    """Read catalog.parquet; ConfigError when the run has none."""
    if not run.catalog.is_file():
        raise ConfigError(
            f"{run.root} is not a run folder: {run.catalog.name} is missing. Label scenes into it first: "
            f"python -m jobs.label --scenes … --out {run.root}"
        )
    table = pq.read_table(run.catalog)
    if not table.schema.equals(CATALOG):
        raise ConfigError(
            f"{run.catalog} was written by another version. Delete it, or choose another folder."
        )
    records = table.to_pylist()
    return [CatalogRow(record.pop("scene_id"), SceneInfo(**record)) for record in records]


def expand(scenes: Iterable[str]) -> list[str]:
    """Return absolute paths of all pictures named by files, folders and globs, without doubles, in order.

    A path that names no existing file is kept when others do: it fails alone. ConfigError when none exists.
    """
    paths = dict.fromkeys(path.absolute() for given in scenes for path in _expand_one(given))
    if not any(path.exists() for path in paths):
        raise ConfigError(
            f"no scenes in {', '.join(scenes)}: looked for existing files, and in folders for "
            f"{searched_for()}. `python -m jobs.demo --out DIR` works on scenes it makes itself."
        )
    return [str(path) for path in paths]


def assign_ids(uris: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Return a distinct id for each URI: its stem, with a short hash of the path where two collide.

    `known` maps URIs to ids that must not change.
    """
    ids = {uri: known[uri] for uri in uris if uri in known}
    new = {uri: _stem(uri) for uri in uris if uri not in known}
    uses = Counter(new.values()) + Counter(set(ids.values()) | set(known.values()))
    for uri, stem in new.items():
        ids[uri] = stem if uses[stem] == 1 else f"{stem}-{sha256(uri.encode()).hexdigest()[:8]}"
    return ids


def _expand_one(given: str) -> list[Path]:
    path = Path(given)
    if path.is_dir() and not is_scene(path):
        return sorted(item for item in path.iterdir() if is_scene(item) and not _is_hidden(item))
    if path.exists() or not glob.has_magic(given):
        return [path]
    matches = glob.glob(given, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
    found = [Path(match) for match in matches if not _is_hidden(Path(match))]
    return sorted(path for path in found if path.is_file() or is_scene(path))


def _is_hidden(path: Path) -> bool:
    """Tell whether a file belongs to a scene rather than being one: truth beside it, or half written."""
    return path.stem.endswith(SIDECARS) or path.name.startswith(".")


def _describe(uri: str) -> SceneInfo | Failure:
    try:
        with open_scene(uri) as scene:
            return scene.info
    except (SceneError, OSError) as error:
        return Failure(uri, "open", str(error))


def _stem(uri: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", Path(uri).stem)


def _known_ids(run: Run) -> dict[str, str]:
    if not run.catalog.is_file():
        return {}
    return {row.info.uri: row.scene_id for row in read_catalog(run)}
