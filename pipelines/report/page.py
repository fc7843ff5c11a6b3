"""The report: one self-contained page that says what ran, what came out and how good it is.

Everything is read from the run folder; whatever is not there yet is left out with a word on how to get it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

import labeling
from labeling.classes import CLASS_CODES, IGNORE, PALETTES, IceClass
from labeling.files.atomic import replacing
from labeling.files.layout import Run, read_failures
from pipelines.doubts import doubts_in
from pipelines.evaluate import OTHER_CHIPS, OTHER_MODEL, model_folder, read_model
from pipelines.evaluation import record as words
from pipelines.evaluation.record import read_evaluation
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
from pipelines.report.tables import (
    Areas,
    ReportScene,
    area_rows,
    model_facts,
    read_history,
    read_jobs,
    read_scenes,
    total_areas,
    training_facts,
)

LINES: Final = 500
"""Lines of a table at most: a page is to be read, and the files hold the rest."""


def write_report(run: Run, palette: str = "polynya", pictures: int = 24) -> None:
    """Write `run.report`; at most `pictures` scenes are shown as pictures, test scenes first.

    Raises ConfigError when the folder is no run folder.
    """
    page = page_renderer().get_template("report.html").render(gather(run, palette, pictures))
    with replacing(run.report) as temporary:
        temporary.write_text(page, encoding="utf-8")


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


def gather(run: Run, palette: str, pictures: int) -> dict[str, Any]:
    """Return everything the template shows."""
    scenes = read_scenes(run)
    evaluation = read_evaluation(run.evaluation)
    rows, card = area_rows(scenes), read_model(run)
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
        "areas": [(scene, list(own)) for scene, own in groupby(rows, key=lambda row: row.scene_id)],
        "totals": [(row.scene_id, [row]) for row in total_areas(rows)] if len(scenes) > 1 else [],
        "scenes": scenes,
        "pictures": {
            scene.scene_id: scene_pictures(run, scene.scene_id, scene.uri, palette)
            for scene in scenes[:pictures]
        },
        "failures": read_failures(run),
        "lines": LINES,
        "doubts": {scene.scene_id: found for scene in scenes if (found := doubts_in(scene.labels))},
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
        labelled=sum(scene.labels is not None for scene in scenes),
        mapped=sum(scene.map is not None for scene in scenes),
        mapped_areas=[(sum(row.classes), row.unit) for row in total_areas(rows) if row.source == "map"],
    )
