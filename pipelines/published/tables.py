"""The published tables: agreement with labels and accuracy against truth by cloud cover, SSIM of labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import mean
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.record import ACCURACY, AGREEMENT
from pipelines.published.chips import CLOUDY_FROM, HeldChip, Kind, Labels
from pipelines.published.ssim import label_ssim
from training.network.metrics import Matrix, confusion_matrix, empty_matrix, scores

STRATA: Final = {
    "all": "all chips",
    "cloudy": f"{CLOUDY_FROM:.0%} cloud or more",
    "clear": f"less than {CLOUDY_FROM:.0%} cloud",
}
RULES: Final[dict[Labels, str]] = {"raw": "thresholds alone", "filtered": "filter + thresholds"}

Counts = dict[str, dict[str, Matrix]]
""""agreement" or "accuracy" -> stratum -> confusion matrix."""

Predict = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Takes a picture (size, size, 3), returns class codes (size, size)."""


def count_network(chips: Iterable[HeldChip], kind: Kind, labels: Labels, predict: Predict) -> Counts:
    """Count what a network makes of the test chips against the labels it was trained on and against truth."""
    counts: Counts = {}
    for chip in chips:
        classes = predict(chip.pictures[kind])
        _add(counts, "agreement", chip, chip.labels[labels], classes)
        if chip.truth is not None:
            _add(counts, "accuracy", chip, chip.truth, classes)
    return counts


def count_rules(chips: Iterable[HeldChip]) -> dict[str, Any]:
    """Return, by the titles of RULES, accuracy against truth and SSIM with it, each by stratum."""
    counts: dict[Labels, Counts] = {"raw": {}, "filtered": {}}
    alike: dict[Labels, dict[str, list[float]]] = {"raw": {}, "filtered": {}}
    for chip in chips:
        if chip.truth is None:
            continue
        for labels in RULES:
            _add(counts[labels], "accuracy", chip, chip.truth, chip.labels[labels])
            similarity = label_ssim(chip.truth, chip.labels[labels])
            for stratum in chip.strata:
                alike[labels].setdefault(stratum, []).append(similarity)
    return {
        title: {
            "accuracy": figures(counts[labels]).get("accuracy", {}),
            "ssim": {stratum: round(mean(values), 4) for stratum, values in alike[labels].items()},
        }
        for labels, title in RULES.items()
    }


def figures(counts: Counts) -> dict[str, Any]:
    """Return kind of figure -> stratum -> accuracy and mean IoU, 0..1."""
    found: dict[str, Any] = {}
    for kind, strata in counts.items():
        for stratum, matrix in strata.items():
            score = scores(matrix)
            values = {"accuracy": round(score.accuracy, 4), "mean_iou": round(score.mean_iou, 4)}
            found.setdefault(kind, {})[stratum] = values
    return found


def markdown(networks: dict[str, list[dict[str, Any]]], rules: dict[str, Any]) -> str:
    """Return the tables. `networks` holds the figures of each seed by "input x labels"."""
    parts = []
    for kind, title in (("agreement", AGREEMENT), ("accuracy", ACCURACY)):
        rows = {f"U-Net, {name}": [_values(seed, kind) for seed in seeds] for name, seeds in networks.items()}
        if kind == "accuracy":
            rows |= {name: [_values(found, kind)] for name, found in rules.items()}
        parts.append(_table(f"{title.capitalize()}, %", rows, 100))
    similar = {name: [found["ssim"]] for name, found in rules.items()}
    parts.append(_table("SSIM of labels with truth, mean over chips", similar, 1))
    return "\n".join(parts)


def _values(found: dict[str, Any], kind: str) -> dict[str, float]:
    return {stratum: values["accuracy"] for stratum, values in found.get(kind, {}).items()}


def _table(title: str, rows: dict[str, list[dict[str, float]]], scale: int) -> str:
    lines = [f"**{title}**", "", "| | " + " | ".join(STRATA.values()) + " |", "|---|---|---|---|"]
    for name, seeds in rows.items():
        cells = [_cell([seed[stratum] for seed in seeds if stratum in seed], scale) for stratum in STRATA]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: list[float], scale: int) -> str:
    """Return the mean and, of several seeds, the worst and the best; a dash where there is no figure."""
    if not values:
        return "-"
    digits = 2 if scale == 100 else 4
    low, middle, high = (f"{scale * value:.{digits}f}" for value in (min(values), mean(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def _add(
    counts: Counts, kind: str, chip: HeldChip, reference: NDArray[np.uint8], classes: NDArray[np.uint8]
) -> None:
    matrix = confusion_matrix(reference, classes)
    for stratum in chip.strata:
        strata = counts.setdefault(kind, {})
        strata[stratum] = strata.get(stratum, empty_matrix()) + matrix
