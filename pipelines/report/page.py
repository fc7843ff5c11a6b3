"""The report: one self-contained page that says what ran, what came out and how good it is.

Everything is read from the run folder; whatever is not there yet is left out with a word on how to get it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

import labeling
from labeling.classes import CLASS_CODES, IGNORE, PALETTES, IceClass
from labeling.files.atomic import replacing
from labeling.files.layout import Run, read_failures
from labeling.text import encodable
from pipelines.engine.scenes import CatalogRow
from pipelines.evaluate import OTHER_CHIPS, OTHER_MODEL, model_folder, read_model
from pipelines.evaluation import record as words
from pipelines.evaluation.record import Evaluation, read_evaluation
from pipelines.evaluation.scene import COVERED_FROM
from pipelines.report.charts import accuracy_chart, training_chart
from pipelines.report.headline import (
    NONE,
    Card,
    area,
    count,
    figure_cards,
    percent,
    scenes_card,
    score,
    verdict,
)
from pipelines.report.pictures import scene_pictures
from pipelines.report.scenes import ReportScene, agreements, read_scenes, that_matter, write_table
from pipelines.report.tables import (
    Areas,
    model_facts,
    read_history,
    read_jobs,
    total_areas,
    training_facts,
)

LINES: Final = 500
"""Lines of a table at most: a page is to be read, and the files hold the rest."""


def write_report(
    run: Run, palette: str = "polynya", pictures: int = 24, known: Sequence[CatalogRow] | None = None
) -> None:
    """Write `run.report`; at most `pictures` scenes are shown as pictures, test scenes first.

    `known` is the run's catalogue where it has been read already. Raises ConfigError when the folder is no
    run folder.
    """
    scenes, evaluation = read_scenes(run, known), read_evaluation(run.evaluation)
    found = gather(run, scenes, evaluation, palette, pictures)
    page = page_renderer().get_template("report.html").render(found)
    run.report_table.unlink(missing_ok=True)
    if len(scenes) > LINES:
        write_table(run.report_table, scenes, agreements(evaluation))
    with replacing(run.report) as temporary:
        temporary.write_text(encodable(page), encoding="utf-8")


def page_renderer(*packages: str) -> Environment:
    """Return the template environment: everything is escaped, and a missing value is an error.

    Templates are those of the named packages, and the report's.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in (*packages, "pipelines.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "score": score, "count": count, "area": area}
    return environment


def gather(
    run: Run, scenes: list[ReportScene], evaluation: Evaluation | None, palette: str, pictures: int
) -> dict[str, Any]:
    """Return everything the template shows."""
    rows, card = [row for scene in scenes for row in scene.areas], read_model(run)
    agreement = agreements(evaluation)
    shown = {scene.scene_id for scene in that_matter(scenes, LINES, agreement)}
    tested = evaluation.scenes if evaluation else []
    by_agreement = sorted(tested, key=lambda scene: agreement.get(scene.scene_id, 1.0))
    least = {scene.scene_id for scene in by_agreement[:LINES]}
    history = read_history(model_folder(run) / "history.csv")
    accuracy = evaluation.accuracy_against_truth if evaluation else {}
    return {
        "name": run.root.name,
        "root": str(run.root),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": labeling.__version__,
        "words": words,
        "alarms": (OTHER_CHIPS, OTHER_MODEL),
        "evaluation": evaluation,
        "cards": [_scenes_card(scenes, rows), *figure_cards(evaluation)],
        "verdict": verdict(accuracy),
        "accuracy_chart": accuracy_chart(accuracy),
        "training_chart": training_chart(history, card.get("best_epoch")),
        "history": history,
        "model": model_facts(card) + training_facts(history),
        "seed": card.get("seed"),
        "tested": [scene for scene in tested if scene.scene_id in least],
        "areas": [(each.scene_id, each.areas) for each in scenes if each.areas and each.scene_id in shown],
        "totals": [(row.scene_id, [row]) for row in total_areas(rows)] if len(scenes) > 1 else [],
        "scenes": scenes,
        "pictures": {
            scene.scene_id: scene_pictures(run, scene.scene_id, scene.uri, palette)
            for scene in that_matter(scenes, pictures, agreement)
        },
        "failures": read_failures(run),
        "lines": LINES,
        "doubts": {scene.scene_id: scene.doubts for scene in scenes if scene.doubts},
        "jobs": read_jobs(run),
        "classes": list(IceClass),
        "colours": {code: "#{:02x}{:02x}{:02x}".format(*PALETTES[palette][code]) for code in CLASS_CODES},
        "ignore_colour": "#{:02x}{:02x}{:02x}".format(*PALETTES[palette][IGNORE]),
        "covered_from": COVERED_FROM,
        "NONE": NONE,
    }


def _scenes_card(scenes: list[ReportScene], rows: list[Areas]) -> Card:
    return scenes_card(
        len(scenes),
        labelled=sum(scene.labelled for scene in scenes),
        mapped=sum(scene.mapped for scene in scenes),
        mapped_areas=[(sum(row.classes), row.unit) for row in total_areas(rows) if row.source == "map"],
    )
