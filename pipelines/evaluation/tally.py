"""Counts of class pairs that add up over footprints and scenes, and the scores that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import IGNORE
from pipelines.evaluation.record import Accuracy, AccuracyTable, Agreement, Method, Sky
from training.network.metrics import Matrix, confusion_matrix, empty_matrix, scores


class Tally(NamedTuple):
    """Confusion matrices that add up over footprints and scenes."""

    footprints: int
    agreement: Matrix
    accuracy: dict[tuple[Sky, Method], Matrix]


def count_footprint(
    labels: NDArray[np.uint8],
    model: NDArray[np.uint8],
    truth: NDArray[np.uint8] | None = None,
    thresholds: NDArray[np.uint8] | None = None,
    covered: NDArray[np.bool_] | None = None,
) -> Tally:
    """Count one footprint; all arrays are (height, width), class codes but for `covered`.

    Without `truth` or `thresholds` there is only agreement, without `covered` no breakdown by sky.
    """
    accuracy: dict[tuple[Sky, Method], Matrix] = {}
    if truth is not None and thresholds is not None:
        methods: dict[Method, NDArray[np.uint8]] = {
            "model": model,
            "labels": labels,
            "thresholds": thresholds,
        }
        accuracy = count_accuracy(truth, methods, covered)
    return Tally(1, confusion_matrix(labels, model), accuracy)


def count_accuracy(
    truth: NDArray[np.uint8],
    methods: Mapping[Method, NDArray[np.uint8]],
    covered: NDArray[np.bool_] | None,
) -> dict[tuple[Sky, Method], Matrix]:
    """Hold every method against the truth on the same pixels: those that no method and no truth ignores."""
    shared = truth != IGNORE
    for classes in methods.values():
        shared = shared & (classes != IGNORE)
    chosen: dict[Sky, NDArray[np.bool_]] = {"all": shared}
    if covered is not None:
        chosen |= {"clear": shared & ~covered, "covered": shared & covered}
    return {
        (sky, method): confusion_matrix(truth[pixels], classes[pixels])
        for sky, pixels in chosen.items()
        for method, classes in methods.items()
    }


def add_up(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies; one without truth adds to the agreement only."""
    footprints, agreement = 0, empty_matrix()
    accuracy: dict[tuple[Sky, Method], Matrix] = {}
    for tally in tallies:
        footprints += tally.footprints
        agreement = agreement + tally.agreement
        for key, matrix in tally.accuracy.items():
            accuracy[key] = accuracy.get(key, empty_matrix()) + matrix
    return Tally(footprints, agreement, accuracy)


def agreement_of(tally: Tally) -> Agreement:
    """Return the scores of map against automatic labels."""
    values = scores(tally.agreement).as_dict()
    values["agreement"] = values.pop("accuracy")
    return Agreement(matrix=tally.agreement.tolist(), **values)


def accuracy_of(tally: Tally) -> AccuracyTable:
    """Return the scores of every method against the truth, by sky."""
    table: AccuracyTable = {}
    for (sky, method), matrix in tally.accuracy.items():
        table.setdefault(sky, {})[method] = Accuracy(matrix=matrix.tolist(), **scores(matrix).as_dict())
    return table
