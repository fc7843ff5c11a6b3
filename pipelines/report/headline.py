"""The report in a few figures, and how numbers are written for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pipelines.evaluation.record import ACCURACY, AGREEMENT, METHOD_TITLES, AccuracyTable, Evaluation

NONE: Final = "\u2013"
"""Shown where there is no value."""

_SPACE: Final = "\u202f"
"""Narrow, and never the end of a line."""


class Card(NamedTuple):
    """One figure at the top of the page."""

    title: str
    value: str
    detail: str


def scenes_card(scenes: int, labelled: int, mapped: int, mapped_areas: Iterable[tuple[float, str]]) -> Card:
    """Return how much there is; `mapped_areas` are (area, unit) of everything mapped."""
    ground = " and ".join(f"{area(size)}{_SPACE}{unit}" for size, unit in mapped_areas)
    detail = f"{labelled} labelled, {mapped} mapped" + (f" ({ground})" if ground else "")
    return Card("scenes", count(scenes), detail)


def figure_cards(evaluation: Evaluation | None) -> list[Card]:
    """Return how good the maps are; one card says why where that is not known."""
    if evaluation is None or evaluation.agreement_with_automatic_labels is None:
        return [Card("figures", NONE, evaluation.reason if evaluation else "not evaluated yet")]
    agreement = evaluation.agreement_with_automatic_labels
    return [
        _accuracy_card(evaluation),
        Card(
            AGREEMENT,
            percent(agreement.agreement),
            f"mean IoU {score(agreement.mean_iou)} with the labels; this is not an accuracy",
        ),
        Card(
            "test footprints",
            count(evaluation.footprints),
            f"of {evaluation.chip_size} px, in {len(evaluation.scenes)} of "
            f"{len(evaluation.test_scenes)} test scene(s)",
        ),
    ]


def _accuracy_card(evaluation: Evaluation) -> Card:
    if "all" not in evaluation.accuracy_against_truth:
        return Card(ACCURACY, "not known", "no test scene has truth beside it")
    model = evaluation.accuracy_against_truth["all"]["model"]
    tables = [scene.accuracy_against_truth for scene in evaluation.scenes]
    spread = [table["all"]["model"].accuracy for table in tables if "all" in table]
    detail = f"by scene {_range(spread)}; mean IoU {score(model.mean_iou)}"
    return Card(f"{ACCURACY}: model", percent(model.accuracy), detail)


def verdict(accuracy: AccuracyTable) -> str:
    """Return which method is best, whichever it is; empty without truth."""
    methods = accuracy.get("all", {})
    if not any(figures.pixels for figures in methods.values()):
        return ""
    right = max(methods, key=lambda method: methods[method].accuracy or 0.0)
    iou = max(methods, key=lambda method: methods[method].mean_iou or 0.0)
    first = f"Right on most pixels: {METHOD_TITLES[right]} ({percent(methods[right].accuracy)})."
    return f"{first} Highest mean IoU: {METHOD_TITLES[iou]} ({score(methods[iou].mean_iou)})."


def percent(share: float | None) -> str:
    r"""Return a share 0..1 as per cent; near 100 with one digit more, so that it does not read as perfect.

    >>> percent(0.98765), percent(0.99987)
    ('98.8\u202f%', '99.99\u202f%')
    """
    if share is None:
        return NONE
    return f"{100 * share:.{2 if 0.995 <= share < 1 else 1}f}{_SPACE}%"


def score(value: float | None) -> str:
    """Return a score 0..1 with three digits."""
    return NONE if value is None else f"{value:.3f}"


def count(value: float) -> str:
    r"""Return a whole number in groups of three.

    >>> count(1234567)
    '1\u202f234\u202f567'
    """
    return f"{value:,.0f}".replace(",", _SPACE)


def area(value: float) -> str:
    """Return an area in whole units when it is large or a number of pixels, else with two decimals."""
    decimals = 0 if value >= 1000 or value == int(value) else 2
    return f"{value:,.{decimals}f}".replace(",", _SPACE)


def _range(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return percent(known[0]) if known else NONE
    return f"{percent(min(known))} to {percent(max(known))}"
