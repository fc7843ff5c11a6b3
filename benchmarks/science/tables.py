"""Counts and tables of beat_the_rule.py: confusion matrices by family and stratum, mean IoU."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.science.truth_scenes import TruthScene
from labeling.classes import IceClass
from labeling.files.atomic import replacing, write_json
from training.network.metrics import Matrix, confusion_matrix, empty_matrix, scores

COVERED: Final = 0.02
HEAVY: Final = 0.15
"""Disturbance from which a pixel lies under thin cloud or shadow, and from which under heavier."""

STRATA: Final = {
    "clear": "clear scenes",
    "thin": "under thin cloud or shadow",
    "heavier": "under heavier cloud or shadow",
    "scene-thin": "whole scenes, thin cloud",
    "scene-heavier": "whole scenes, heavier cloud",
}
"""Title of each stratum: three by pixel, two by scene."""

Counts = dict[str, dict[str, dict[str, Matrix]]]
"""Method -> family -> stratum -> confusion matrix, rows truth."""


def add(counts: Counts, method: str, scene: TruthScene, classes: NDArray[np.uint8]) -> None:
    """Count what a method made of a scene, class codes (height, width), in place."""
    strata = counts.setdefault(method, {}).setdefault(scene.family, {})
    for stratum, pixels in _strata(scene).items():
        matrix = confusion_matrix(scene.truth[pixels], classes[pixels])
        strata[stratum] = strata.get(stratum, empty_matrix()) + matrix


def _strata(scene: TruthScene) -> dict[str, NDArray[np.bool_]]:
    everywhere = np.ones(scene.truth.shape, np.bool_)
    if scene.sky == "clear":
        return {"clear": everywhere}
    thin = (scene.disturbed >= COVERED) & (scene.disturbed < HEAVY)
    return {"thin": thin, "heavier": scene.disturbed >= HEAVY, f"scene-{scene.sky}": everywhere}


def read_counts(file: Path) -> Counts:
    """Read what `write_counts` has written."""
    return {
        method: {
            family: {stratum: np.array(matrix, np.int64) for stratum, matrix in strata.items()}
            for family, strata in families.items()
        }
        for method, families in json.loads(file.read_text(encoding="utf-8")).items()
    }


def write_counts(file: Path, counts: Counts) -> None:
    """Write counts as JSON, atomically."""
    write_json(
        file,
        {
            method: {
                family: {stratum: matrix.tolist() for stratum, matrix in strata.items()}
                for family, strata in families.items()
            }
            for method, families in counts.items()
        },
    )


def summary(parts: dict[str, Counts]) -> dict[str, Any]:
    """Return family -> stratum -> method -> {"mean_iou": one a seed, "iou": one a class, a list a seed}."""
    table: dict[str, Any] = {}
    for counts in parts.values():
        for method, families in counts.items():
            for family, strata in families.items():
                for stratum, matrix in strata.items():
                    if not matrix.any():  # small scenes may have no pixel in a stratum
                        continue
                    found = scores(matrix)
                    cell = table.setdefault(family, {}).setdefault(stratum, {})
                    row = cell.setdefault(method, {"mean_iou": [], "iou": []})
                    row["mean_iou"].append(round(found.mean_iou, 4))
                    row["iou"].append([round(value, 4) for value in found.iou])
    return table


def report(out: Path, parts: dict[str, Counts], settings: dict[str, Any]) -> str:
    """Write both tables and return the Markdown one; `parts` are the rules' counts and those of each seed."""
    table = summary(parts)
    write_json(out / "beat_the_rule.json", {"settings": settings, "strata": STRATA, "families": table})
    text = markdown(table)
    with replacing(out / "beat_the_rule.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text


def markdown(table: dict[str, Any]) -> str:
    """Return the summary as Markdown, a table a family; spread is from the worst seed to the best."""
    lines = [
        "Mean IoU against truth; in brackets the worst and the best seed, then IoU of water, thin, thick. "
        f"Under thin cloud or shadow {COVERED:.0%} to {HEAVY:.0%} of the light is lost, under heavier more."
    ]
    for family, strata in table.items():
        methods = list(next(iter(strata.values())))
        lines += ["", f"**{family}**", "", f"| | {' | '.join(methods)} |", "|---" * len(methods) + "|---|"]
        for stratum, title in STRATA.items():
            if stratum in strata:
                cells = [_cell(strata[stratum][method]) for method in methods]
                lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any]) -> str:
    values = row["mean_iou"]
    spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    classes = " ".join(f"{mean(iou[kind] for iou in row['iou']):.2f}" for kind in IceClass)
    return f"{mean(values):.3f}{spread}; {classes}"
