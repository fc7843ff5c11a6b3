"""Evaluation: maps against automatic labels and, where it is known, against the truth.

chips/split=test footprints -> windows of maps, labels, truth and scene -> counts -> evaluation.json

Only the footprints of test chips are read, one at a time.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field
from pyspark.sql import SparkSession

from labeling.chips.card import ChipCard, read_card
from labeling.chips.check import check_ground
from labeling.chips.places import Places
from labeling.errors import ConfigError
from labeling.files.atomic import write_json
from labeling.files.fields import AnyFolder
from labeling.files.layout import Run
from labeling.files.locks.folder import run_lock
from labeling.files.storage import AnyPath
from labeling.grid import Block
from labeling.settings import Settings
from pipelines.catalog import read_catalog
from pipelines.engine.outcome import Outcome, close_job
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.engine.session import lazy_session
from pipelines.engine.settings import SparkSettings
from pipelines.evaluation.counting import Counted, count_scenes
from pipelines.evaluation.ground import places_reader
from pipelines.evaluation.record import Evaluation, SceneResult
from pipelines.evaluation.tally import Tally, accuracy_of, add_up, agreement_of
from pipelines.map_sources import LABELS_ALONE, MOVED_CUTS
from training.folder.card import CARD_FILE, MODEL_FILE, model_digest

OTHER_CHIPS: Final = (
    "The model was trained on other chips than those of this run. It may have seen these test footprints, "
    "and the figures are then too good. Train on this run's chips to know."
)
OTHER_MODEL: Final = (
    "Maps of test scenes were made by another model than the one whose card is shown. Run jobs.infer again "
    "with this model."
)
MAPS_OF_LABELS: Final = (
    "The maps of {count} of {tested} test scenes are their labels, for the guard saw no shadow there or the "
    "model does not fit, so the two agree, and the model's figures are those of the labels. Maps that the "
    "model draws by itself: jobs.infer --network alone."
)

MAPS_BY_CUTS: Final = (
    "The maps of {count} of {tested} test scenes are labels with parts drawn by thresholds that the model "
    "and the thin-cloud filter move, so there the model's figures are those of all of these together. Maps "
    "that the model draws by itself: jobs.infer --network alone."
)


class EvaluateConfig(Settings):
    """`jobs.evaluate`: a run folder with chips and maps in, figures and the report out."""

    run: AnyFolder = Field(description="run folder")
    spark: SparkSettings = SparkSettings()
    palette: Literal["polynya", "iqrah-2024"] = "polynya"
    pictures: int = Field(24, ge=0, description="scenes that the report shows as pictures, at most")


def run(config: EvaluateConfig, known: list[CatalogRow] | None = None) -> Outcome:
    """Write `evaluation.json` for a run folder; test scenes that cannot be compared are failures.

    `known` is the run's catalogue where it has been read already.
    """
    started = time.time()
    run = Run(config.run.absolute())
    rows = read_catalog(run) if known is None else known
    with run_lock(run, "evaluate"), lazy_session("polynya evaluate", config.spark) as spark:
        return _evaluate(config, run, rows, started, spark)


def _evaluate(
    config: EvaluateConfig,
    run: Run,
    rows: list[CatalogRow],
    started: float,
    spark: Callable[[], SparkSession],
) -> Outcome:
    # Figures of an earlier state must not stand beside new maps if this fails half way.
    run.evaluation.unlink(missing_ok=True)
    evaluation, failures = evaluate(run, rows, spark)
    write_json(run.evaluation, evaluation.model_dump(mode="json"))
    tested = _tested(rows, evaluation)
    return close_job(run, "evaluate", started, config, tested, failures)


def evaluate(
    run: Run, rows: Sequence[CatalogRow], spark: Callable[[], SparkSession]
) -> tuple[Evaluation, list[Failure]]:
    """Compare what can be compared on the test split; `rows` are the run's scenes.

    Many scenes are compared by `spark`, a few here; the figures are the same.

    Raises ConfigError without chips or any map, and for chips that lie outside their scenes or whose ground
    several splits share.
    """
    card = read_card(run.chips)
    shapes = {row.scene_id: (row.info.height, row.info.width) for row in rows}
    places = check_ground(run.chips, card, card.shapes | shapes, places_reader(spark))
    footprints = footprints_of(places, card.size)
    if footprints and not any((run.root / "maps").glob("*/done.json")):
        raise ConfigError(
            f"no finished maps in {run.root / 'maps'}: there is nothing to evaluate. Make them first: "
            f"python -m jobs.infer --model {run.model} --scenes … --out {run.root}"
        )
    counted, failures = count_scenes(run, footprints, spark)
    evaluation = summarize(
        card,
        sorted(footprints),
        {scene_id: each.tally for scene_id, each in counted.items()},
        models=sorted({each.network for each in counted.values() if each.network is not None}),
        model_chips_digest=read_model(run).get("chips_digest"),
        notes=map_notes(run, list(counted.values())),
    )
    return evaluation, failures


def footprints_of(places: Sequence[Places], size: int) -> dict[str, list[Block]]:
    """Return the ground of the test chips by scene; empty when the test split is."""
    found: dict[str, list[Block]] = {}
    for place in places:
        if place.split == "test":
            chips = zip(place.rows.tolist(), place.columns.tolist(), strict=True)
            own = found.setdefault(place.scene_id, [])
            own += [Block(row, column, size, size) for row, column in chips]
    return found


def summarize(
    card: ChipCard,
    test_scenes: list[str],
    tallies: dict[str, Tally],
    *,
    models: list[str],
    model_chips_digest: str | None,
    notes: list[str],
) -> Evaluation:
    """Turn counts by scene into the evaluation."""
    total = add_up(tallies.values())
    notes = [card.note, *notes] if card.note else notes
    if model_chips_digest not in (None, card.digest):
        notes = [*notes, OTHER_CHIPS]
    reason = ""
    if not test_scenes:
        reason = "The test split holds no chips, so nothing was compared. Label more or larger scenes."
    elif not tallies:
        reason = "No test scene could be compared; the failures say why."
    return Evaluation(
        chips_digest=card.digest,
        models=models,
        model_chips_digest=model_chips_digest,
        split_by=card.split_by,
        chip_size=card.size,
        test_scenes=test_scenes,
        footprints=total.footprints,
        reason=reason,
        notes=notes,
        agreement_with_automatic_labels=agreement_of(total) if tallies else None,
        accuracy_against_truth=accuracy_of(total),
        scenes=[_scene_result(scene_id, tally) for scene_id, tally in tallies.items()],
    )


def _scene_result(scene_id: str, tally: Tally) -> SceneResult:
    return SceneResult(
        scene_id=scene_id,
        footprints=tally.footprints,
        agreement_with_automatic_labels=agreement_of(tally),
        accuracy_against_truth=accuracy_of(tally),
    )


def _tested(rows: list[CatalogRow], evaluation: Evaluation) -> list[CatalogRow]:
    tested = set(evaluation.test_scenes)
    return [row for row in rows if row.scene_id in tested]


# --- where the maps come from ---


def model_folder(run: Run) -> AnyPath:
    """Return the folder of the model that made the maps: jobs.infer's record says which, else the run's."""
    try:
        folder = Path(json.loads(run.job("infer").read_text(encoding="utf-8"))["config"]["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return run.model
    return folder if folder.is_dir() else run.model


def read_model(run: Run) -> dict[str, Any]:
    """Return the content of the model's card; empty where it is not at hand or cannot be read."""
    try:
        card = json.loads((model_folder(run) / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(card, dict):
        return {}
    kinds = {"versions": dict, "best_epoch": int, "chips_digest": str}
    return {key: value for key, value in card.items() if isinstance(value, kinds.get(key, object))}


def map_notes(run: Run, counted: Sequence[Counted]) -> list[str]:
    """Return notes when maps and the model at hand do not belong together, by the model's sha256, and when
    maps are not the model's alone.
    """
    digests = {each.model for each in counted} - {None}
    if (model_folder(run) / MODEL_FILE).is_file():
        digests.add(model_digest(model_folder(run)))
    sources = Counter(each.source for each in counted)
    others = [
        note.format(count=sources[source], tested=len(counted))
        for source, note in ((LABELS_ALONE, MAPS_OF_LABELS), (MOVED_CUTS, MAPS_BY_CUTS))
        if sources[source]
    ]
    return [OTHER_MODEL] * (len(digests) > 1) + others
