"""The scenes of a report: what is kept of each, which are shown, and all of them as a file."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from labeling.chips.card import ChipCard, read_card
from labeling.classes import IceClass
from labeling.doubt import Doubt
from labeling.errors import ConfigError
from labeling.files.atomic import replacing
from labeling.files.layout import Run, read_done
from labeling.files.storage import AnyPath
from labeling.text import encodable
from pipelines.catalog import read_catalog
from pipelines.doubts import doubts_in
from pipelines.engine.scenes import CatalogRow
from pipelines.evaluation.record import Evaluation
from pipelines.many.looks import of_each
from pipelines.report.tables import Areas, areas_of


class ReportScene(NamedTuple):
    """A scene that has labels, a map, or at least a line in the catalogue."""

    scene_id: str
    uri: str
    splits: tuple[str, ...]
    """Splits that the scene gives chips to."""
    labelled: bool
    """Whether its labels are finished."""
    mapped: bool
    """Whether its map is."""
    areas: list[Areas]
    """Of its labels and its map, as far as they are there."""
    doubts: list[Doubt]
    """What speaks against its labels, or its map where nothing does."""


def read_scenes(run: Run, known: Sequence[CatalogRow] | None = None) -> list[ReportScene]:
    """Return every scene of the run, test scenes first; ConfigError when it is no run folder.

    `known` is the run's catalogue where it has been read already.
    Completion marks are let go of one by one: those of very many scenes would fill the memory.
    """
    splits = _splits(read_chips(run))
    uris = {row.scene_id: row.info.uri for row in (read_catalog(run) if known is None else known)}
    uris |= dict(_mapped_only(run, uris))
    marks = of_each(
        lambda scene_id: (read_done(run.labels(scene_id)), read_done(run.maps(scene_id))), uris, run.root
    )
    scenes = [_scene(scene_id, uris[scene_id], splits[scene_id], *done) for scene_id, done in marks]
    return sorted(scenes, key=_place)


def _place(scene: ReportScene) -> tuple[bool, str]:
    return "test" not in scene.splits, scene.scene_id


def _scene(
    scene_id: str,
    uri: str,
    splits: Iterable[str],
    labels: dict[str, Any] | None,
    mapped: dict[str, Any] | None,
) -> ReportScene:
    areas = [
        areas_of(scene_id, source, done)
        for source, done in (("labels", labels), ("map", mapped))
        if done is not None and "pixels" in done
    ]
    doubts = doubts_in(labels) or doubts_in(mapped)
    return ReportScene(scene_id, uri, tuple(splits), labels is not None, mapped is not None, areas, doubts)


def _mapped_only(run: Run, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield id and URI of scenes that were mapped without being labelled."""
    for name in sorted(folder.name for folder in (run.root / "maps").glob("*")):
        if name not in known and (done := read_done(run.root / "maps" / name)) is not None:
            yield name, str(done["inputs"].get("uri", name))


def read_chips(run: Run) -> ChipCard | None:
    """Return the card of the run's chips, None where there is none that can be read."""
    try:
        return read_card(run.chips)
    except ConfigError:
        return None


def _splits(card: ChipCard | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for split, members in card.scenes.items() if card else ():
        for scene_id in members:
            found[scene_id].append(split)
    return found


def agreements(evaluation: Evaluation | None) -> dict[str, float]:
    """Return how well map and labels agree, 0..1, by test scene that was compared."""
    found = {}
    for scene in evaluation.scenes if evaluation else ():
        share = scene.agreement_with_automatic_labels.agreement
        if share is not None:
            found[scene.scene_id] = share
    return found


def that_matter(
    scenes: Sequence[ReportScene], most: int, agreement: Mapping[str, float]
) -> list[ReportScene]:
    """Return `most` scenes to look at, in their order: test scenes before others, those in doubt before the
    rest, and of these those where map and labels agree least.
    """
    if len(scenes) <= most:
        return list(scenes)

    def urgency(scene: ReportScene) -> tuple[bool, bool, float, str]:
        first = "test" not in scene.splits, not scene.doubts
        return *first, agreement.get(scene.scene_id, 1.0), scene.scene_id

    return sorted(sorted(scenes, key=urgency)[:most], key=_place)


def write_table(file: AnyPath, scenes: Iterable[ReportScene], agreement: Mapping[str, float]) -> None:
    """Write a line a scene: what the page shows of some of them, areas in the unit of the line."""
    classes = [ice.name.lower() for ice in IceClass]
    sources = ("labels", "map")
    of_areas = [f"{source}_{name}" for source in sources for name in (*classes, "no_class", "unit")]
    with replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as target:
        lines = csv.writer(target, lineterminator="\n")
        lines.writerow(["scene", "uri", "splits", "labelled", "mapped", *of_areas, "agreement", "doubts"])
        for scene in scenes:
            found = {row.source: row for row in scene.areas}
            areas: list[Any] = []
            for source in sources:
                row = found.get(source)
                empty = [""] * (len(classes) + 2)
                areas += empty if row is None else [*row.classes, row.ignored, row.unit]
            lines.writerow(
                [
                    scene.scene_id,
                    encodable(scene.uri),
                    " ".join(scene.splits),
                    int(scene.labelled),
                    int(scene.mapped),
                    *areas,
                    agreement.get(scene.scene_id, ""),
                    " ".join(doubt.code for doubt in scene.doubts),
                ]
            )
