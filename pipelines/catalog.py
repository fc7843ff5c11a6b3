"""Catalogue: paths, folders and globs become one row a scene, each with an id that stays the same."""

from __future__ import annotations

import glob
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from labeling.errors import ConfigError, SceneError, StorageError
from labeling.files.atomic import replacing
from labeling.files.layout import Run, own_folder
from labeling.files.storage import AnyPath, at, is_s3
from labeling.files.uri import absolute, foreign, is_url, parse, shown, stem
from labeling.ice.profile import fitting, load_profile
from labeling.masks.limits import LimitSettings, check_sun
from labeling.scene_id import distinct_ids, is_scene_id
from labeling.scenes.contract.scene import SceneInfo
from labeling.scenes.open import is_scene, list_scenes, refusal, searched_for
from labeling.scenes.products.safe.known import is_safe
from labeling.scenes.products.stac.reader import is_stac
from labeling.scenes.search import is_hidden, own_scenes, scenes_below
from labeling.scenes.seen import look_at
from labeling.uncollected import uncollected
from pipelines.engine.scenes import CATALOG, CatalogRow, Failure, table_of
from pipelines.many.ids import known_ids
from pipelines.many.opening import describe_all

_ANEW: Final = "Delete it, and run jobs.label again: it is made anew, and what is labelled stays."

_AT_ONCE: Final = 4096
"""Rows of the catalogue that are read at a time: what is made of them on the way takes more than they do."""

_USUAL: Final = LimitSettings()

_LOG = logging.getLogger("polynya.catalog")


def build_catalog(
    scenes: list[str],
    run: Run,
    limits: LimitSettings = _USUAL,
    spark: Callable[[], SparkSession] | None = None,
    known: Sequence[CatalogRow] | None = None,
) -> tuple[list[CatalogRow], list[Failure]]:
    """Return the scenes that can be opened, and why the others cannot.

    An argument that names no scene is one that cannot. Raises ConfigError when there is not a single file to
    try. A scene keeps its id, so that labels and maps of one scene meet: one that the run's catalogue knows,
    one that moved, and one that has labels here although it was away the last time. One that is known is
    opened only where it does not look as it did then; many are opened by `spark`, if there is one. `known` is
    the run's catalogue where it has been read already.
    """
    named, nothing = look_up(scenes, limits)
    before = {row.info.uri: row for row in (_known(run) if known is None else known)}
    seen = look_at(named)
    described: dict[str, SceneInfo | Failure] = {
        uri: before[uri].info
        for uri in named
        if uri in before and before[uri].seen is not None and before[uri].seen == seen.get(uri)
    }
    to_open = [uri for uri in named if uri not in described]
    described |= zip(to_open, describe_all(to_open, limits, spark), strict=True)
    found = {uri: info for uri in named if isinstance(info := described[uri], SceneInfo)}
    failures = [*nothing, *(each for uri in named if isinstance(each := described[uri], Failure))]
    names = {info.uri: stem(info.uri) for info in found.values()}
    ids = distinct_ids(names, known_ids(run, before, named, found))
    return [CatalogRow(ids[info.uri], info, seen.get(uri)) for uri, info in found.items()], failures


def part_by_rendering(
    rows: list[CatalogRow], rendering: str, step: str, needed_by: str
) -> tuple[list[CatalogRow], list[Failure]]:
    """Part the scenes into those that have a rendering, and refusals; `needed_by` says what needs it."""
    good = [row for row in rows if row.info.can_be(rendering)]
    bad = [
        Failure(row.scene_id, step, refusal(row.info, rendering, needed_by) + made_for(row.info))
        for row in rows
        if not row.info.can_be(rendering)
    ]
    return good, bad


def made_for(info: SceneInfo) -> str:
    """Return which profiles fit a scene, a sentence; and where none does, which would if it said more."""
    fit = fitting(info.renderings)
    names = [name for name in fit if info.can_be(load_profile(name).rendering)]
    if names:
        return f" Made for such scenes: {', '.join(names)}."
    if fit:
        return f" Made for such scenes once they say so: {', '.join(fit)}."
    return " No profile that comes with Polynya is made for such scenes."


def part_by_sun(
    rows: list[CatalogRow], limits: LimitSettings, step: str
) -> tuple[list[CatalogRow], list[Failure]]:
    """Part the scenes into those under a sun high enough, and refusals."""
    good, bad = [], []
    for row in rows:
        try:
            check_sun(row.info, limits)
            good.append(row)
        except SceneError as error:
            bad.append(Failure(row.scene_id, step, str(error)))
    return good, bad


def part_by_folder(
    rows: list[CatalogRow], folder: AnyPath, step: str
) -> tuple[list[CatalogRow], list[Failure]]:
    """Part the scenes into those whose results go below `folder`, and those that a link leads elsewhere."""
    good, bad = [], []
    for row in rows:
        try:
            own_folder(folder, row.scene_id)
            good.append(row)
        except SceneError as error:
            bad.append(Failure(row.scene_id, step, str(error)))
    return good, bad


@uncollected()
def write_catalog(rows: Iterable[CatalogRow], run: Run) -> None:
    """Write catalog.parquet, replacing an earlier one."""
    table = table_of(rows)
    with replacing(run.catalog) as temporary:
        pq.write_table(table, temporary)


@uncollected()
def read_catalog(run: Run) -> list[CatalogRow]:
    """Read catalog.parquet; ConfigError when the run has none."""
    if not run.catalog.is_file():
        raise ConfigError(
            f"{run.root} is not a run folder: {run.catalog.name} is missing. Label scenes into it first: "
            f"python -m jobs.label --scenes … --out {run.root}"
        )
    try:
        with run.catalog.open("rb") as file:
            table = pq.read_table(file)
    except StorageError:
        raise
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{run.catalog} cannot be read: {reason}. {_ANEW}") from None
    if not table.schema.equals(CATALOG):
        raise ConfigError(f"{run.catalog} was written by another version, or is none. {_ANEW}")
    ids = [str(name) for name in table.column("scene_id").to_pylist()]
    distinct = len({name.casefold() for name in ids}) == len(ids)
    if not distinct or not all(map(is_scene_id, ids)) or _has_nulls(table):
        raise ConfigError(f"{run.catalog} was changed: its scenes' ids or facts are none. {_ANEW}")
    return [_row(record) for batch in table.to_batches(_AT_ONCE) for record in batch.to_pylist()]


def _row(record: dict[str, Any]) -> CatalogRow:
    scene_id, seen, crs = record.pop("scene_id"), record.pop("seen"), record["crs"]
    if crs is not None:
        record["crs"] = sys.intern(crs)  # some thousand letters that are the same for most scenes
    return CatalogRow(scene_id, SceneInfo(**record), seen)


def _has_nulls(table: pa.Table) -> bool:
    return any(table.column(field.name).null_count for field in CATALOG if not field.nullable)


def expand(scenes: Iterable[str]) -> list[str]:
    """Return the URIs of all scenes as `look_up` finds them."""
    return look_up(scenes, _USUAL)[0]


@uncollected()
def look_up(scenes: Iterable[str], limits: LimitSettings) -> tuple[list[str], list[Failure]]:
    """Return the URIs of all scenes named by files, folders, globs and URLs, without doubles, in order.

    Paths become absolute, and a list of STAC items becomes its items. A path that names no existing file is
    kept when others do: it fails alone. What names no scene at all, a folder or list without any, or a glob
    that nothing fits, is returned as a failure. ConfigError when nothing exists.
    """
    scenes = list(scenes)
    found = {given: [absolute(uri) for uri in _expand_one(given)] for given in scenes}
    named = dict.fromkeys(uri for uris in found.values() for uri in uris)
    if not any(is_url(uri) or Path(parse(uri).location).exists() for uri in named):
        raise ConfigError(
            f"no scenes in {', '.join(map(shown, scenes))}: looked for existing files, and in folders for "
            f"{searched_for()}. `python -m jobs.demo --out DIR` works on scenes it makes itself."
        )
    listed = {uri: _list(uri, limits) for uri in named}
    empty = [given for given, uris in found.items() if not any(listed[uri] for uri in uris)]
    failures = [Failure(shown(given), "open", _why_nothing(given)) for given in empty]
    return list(dict.fromkeys(scene for uri in named for scene in listed[uri])), failures


def _why_nothing(given: str) -> str:
    """Return why an argument names no scene."""
    if is_url(given) or not glob.has_magic(given) or Path(given).exists():
        return f"{shown(given)} holds no scene: looked for {searched_for()}. Leave it out, or give another."
    return f"no file fits {given}. Check its spelling, or leave it out."


def _expand_one(given: str) -> list[str]:
    if wrong := foreign(given):
        raise ConfigError(f"a scene is at {wrong}. Fetch it, and give the local copy.")
    if is_s3(given):
        return _expand_bucket(given)
    path = Path(given)
    if not is_url(given) and path.is_dir() and not is_scene(path):
        return scenes_below(path)
    if is_url(given) or path.exists() or not glob.has_magic(given):
        return [given]
    matches = glob.glob(given, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
    found = [Path(match) for match in matches if not is_hidden(Path(match))]
    return own_scenes(str(path) for path in found if path.is_file() or is_scene(path))


def _expand_bucket(given: str) -> list[str]:
    """Return the scenes below s3://bucket/folder/ or of a pattern; anything else is a scene itself."""
    bucket, _, pattern = given[5:].partition("/")
    if is_safe(at(given)):
        return [given.rstrip("/")]
    if given.endswith("/") or not pattern:
        pattern += "*"
    elif not glob.has_magic(given):
        return [given]
    try:
        if not given.endswith("/") and at(given).is_file():  # an object that is called like a pattern
            return [given]
        root = at(f"s3://{bucket}")
        found = [path for path in root.glob(pattern) if is_scene(path) and not is_hidden(path)]
        if not found and not root.is_dir():
            return [given]
        return own_scenes(str(path) for path in found)
    except OSError:
        return [given]  # as in `_list`


def _list(uri: str, limits: LimitSettings) -> list[str]:
    if not is_stac(uri):
        return [uri]
    try:
        return limits.in_time(partial(list_scenes, uri))
    except Exception:  # whatever is wrong with one list must not stop the others
        return [uri]  # opening it fails for the same reason, which is then told


def _known(run: Run) -> list[CatalogRow]:
    """Return the scenes of the run's catalogue; none where it has none that can be read."""
    if not run.catalog.is_file():
        return []
    try:
        return read_catalog(run)
    except ConfigError as error:  # it is written anew, and names of scenes follow from their files again
        _LOG.warning("taking the catalogue for absent: %s", error)
        return []
