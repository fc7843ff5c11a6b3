"""The maps of a run that products are made of: finished, intact, of the scene's present state, and chosen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from labeling.errors import ConfigError, SceneError
from labeling.files.layout import CLASSES, DONE, LABELS, STATUS, Run, read_done
from labeling.files.marks import FileMark, is_intact, network_of
from labeling.files.storage import AnyPath, at
from labeling.results.layers import LAYERS
from labeling.scenes.contract.scene import SceneInfo
from pipelines.catalog import read_catalog
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.products.config import ProductsConfig

PROBABILITY: Final = LAYERS["probability"].file
"""Name of what may lie beside a map's classes: how sure the network is of each."""

UNDATED: Final = (
    "Pictures that do not say when they were taken are in no such time: choose by --scenes, not by since and "
    "until."
)

_MAKERS: Final = {
    "maps": "python -m jobs.infer --model … --scenes … --out {run}",
    "labels": "python -m jobs.label --scenes … --out {run}",
}


class MapFile(NamedTuple):
    """A finished map, or finished labels; small, and pickled with tasks."""

    scene_id: str
    info: SceneInfo
    folder: AnyPath
    raster: str
    """Name of its class raster."""
    marks: dict[str, FileMark]
    """Marks of the files that products may read, by name: what tells this state of the map from another."""
    rendering: str
    """What brightness meant where it was made."""
    classified: float
    """Share of its pixels that have a class."""
    network: str | None
    """The network that had a say in it, as labeling.files.marks.network_of says; None where none had."""

    def dumps(self) -> str:
        """Return the map as JSON, to travel in a task."""
        values = self._asdict() | {"info": self.info.dumps(), "folder": str(self.folder)}
        return json.dumps(values)

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read what `dumps` wrote."""
        values = json.loads(text)
        return cls(**values | {"info": SceneInfo.loads(values["info"]), "folder": at(values["folder"])})

    @property
    def classes(self) -> AnyPath:
        """The raster of class codes."""
        return self.folder / self.raster

    def beside(self, name: str) -> AnyPath | None:
        """Return a file beside the classes, such as STATUS; None where the map has none."""
        return self.folder / name if name in self.marks else None

    @property
    def sensed(self) -> datetime | None:
        """When the scene was taken, UTC; None where it does not say."""
        if self.info.sensing_time is None:
            return None
        time = datetime.fromisoformat(self.info.sensing_time)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)

    @property
    def inputs(self) -> dict[str, Any]:
        """What decides what is made of it, for a completion mark."""
        return {
            "files": self.marks,
            "crs": self.info.crs,
            "transform": self.info.transform,
            "sensing_time": self.info.sensing_time,
        }


def find_maps(run: Run, config: ProductsConfig) -> tuple[list[MapFile], list[Failure]]:
    """Return the maps that products are made of, in the order of their ids, and why scenes have none.

    ConfigError where the run has none at all, or none of what was chosen.
    """
    rows = read_catalog(run)
    folder = run.root / config.of
    if not any(folder.glob(f"*/{DONE}")):
        raise ConfigError(
            f"no finished {config.of} in {folder}, so there is nothing to make products of. Make them first: "
            f"{_MAKERS[config.of].format(run=run.root)}"
        )
    chosen, failures = _chosen(rows, config)
    found = []
    for row in sorted(chosen):
        try:
            found.append(_finished(row, run, config.of))
        except SceneError as error:
            failures.append(Failure(row.scene_id, "products", str(error)))
    of_rendering = [each for each in found if config.rendering in (None, each.rendering)]
    if found and not of_rendering:
        raise ConfigError(
            f"no {config.of} in {folder} are of the rendering {config.rendering}, as --rendering asks for; "
            f"there are: {counted(each.rendering for each in found)}."
        )
    if not of_rendering:
        raise ConfigError(failures[0].reason)
    return of_rendering, failures


def counted(names: Iterable[str]) -> str:
    """Return what there is of each name, the most first: `tci-l1c (12), rgb8 (3)`."""
    return ", ".join(f"{name} ({count})" for name, count in Counter(names).most_common())


def _chosen(rows: list[CatalogRow], config: ProductsConfig) -> tuple[list[CatalogRow], list[Failure]]:
    """Return the scenes that ids and dates choose, and those that do not say whether dates choose them.

    ConfigError where ids or dates choose none.
    """
    for pattern in config.scenes:
        if not any(fnmatchcase(row.scene_id, pattern) for row in rows):
            raise ConfigError(
                f"no scene of the run is called {pattern}, which --scenes asks for. Ids are those of the "
                f"folders in {config.run}/{config.of}, and * stands for any letters."
            )
    named = [
        row
        for row in rows
        if not config.scenes or any(fnmatchcase(row.scene_id, each) for each in config.scenes)
    ]
    if config.since is None and config.until is None:
        return named, []
    dated = [row for row in named if _is_within(row.info, config)]
    if not dated:
        raise ConfigError(
            f"none of {len(named)} scene(s) was sensed between {config.since or 'ever'} and "
            f"{config.until or 'now'}, as since and until ask. {UNDATED}"
        )
    undated = [row.scene_id for row in named if row.info.sensing_time is None]
    return dated, [Failure(scene, "products", f"it has no sensing time. {UNDATED}") for scene in undated]


def _is_within(info: SceneInfo, config: ProductsConfig) -> bool:
    if info.sensing_time is None:
        return False
    day = datetime.fromisoformat(info.sensing_time).date()
    return (config.since is None or config.since <= day) and (config.until is None or day <= config.until)


def _finished(row: CatalogRow, run: Run, of: str) -> MapFile:
    """Return a scene's finished map; SceneError where there is none, or it is not what was finished."""
    folder, name = (run.maps, CLASSES) if of == "maps" else (run.labels, LABELS)
    place, again = folder(row.scene_id), f"Make it anew: {_MAKERS[of].format(run=run.root)}"
    done = read_done(place)
    marks = {} if done is None else done.get("outputs", {})
    if done is None or name not in marks:
        raise SceneError(f"{row.info.where} has no finished {name} in {place}. {again}, or leave it out.")
    if not row.info.is_in(done["inputs"]):
        raise SceneError(f"{place} is of another state of {row.info.where} than the catalogue's. {again}.")
    mark = place / DONE
    since = mark.stat().st_ctime_ns if isinstance(mark, Path) else None
    read = {file: marks[file] for file in (name, STATUS, PROBABILITY) if file in marks}
    for file, known in read.items():
        if not is_intact(place / file, known, since=since):
            raise SceneError(
                f"{place / file} is not the file that was finished there: its size or content differs from "
                f"what {DONE} beside it says. {again}."
            )
    facts = _rendering(row, done), _classified(done), network_of(done["inputs"])
    return MapFile(row.scene_id, row.info, place, name, read, *facts)


def _rendering(row: CatalogRow, done: dict[str, Any]) -> str:
    """Return what brightness meant to the labels, or else what the scene's own pixels are."""
    profile = done["inputs"].get("profile")
    named = profile.get("rendering") if isinstance(profile, dict) else None
    return named if isinstance(named, str) else row.info.renderings[0]


def _classified(done: dict[str, Any]) -> float:
    pixels = done.get("pixels", {})
    return float(1 - pixels.get("ignore", 0) / max(1, sum(pixels.values())))
