"""How well predicted classes agree with a reference: confusion matrices, which add up over batches, ranks
and scenes, and the scores read from a matrix. NumPy only."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import CLASS_COUNT, IGNORE, IceClass

Matrix = NDArray[np.int64]
"""Pixel counts, (reference class, predicted class)."""


class Scores(NamedTuple):
    """Scores of one confusion matrix. Shares are 0..1; NaN where there is nothing to divide by.

    The per-class tuples are in the order of the class codes: `scores.recall[IceClass.THIN_ICE]`.
    """

    accuracy: float
    """Share of the counted pixels whose class is right."""
    mean_iou: float
    """Mean of `iou` over the classes that occur in the reference or in the prediction."""
    precision: tuple[float, ...]
    """Share of the pixels predicted as a class that are of that class."""
    recall: tuple[float, ...]
    """Share of the pixels of a class that were predicted as it."""
    f1: tuple[float, ...]
    """Harmonic mean of precision and recall."""
    iou: tuple[float, ...]
    """Pixels of a class in both, divided by its pixels in either."""
    support: tuple[int, ...]
    """Pixels of a class in the reference."""

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-safe mapping: accuracy, mean_iou, pixels, classes -> name -> score; NaN is None."""
        return {
            "accuracy": _or_none(self.accuracy),
            "mean_iou": _or_none(self.mean_iou),
            "pixels": sum(self.support),
            "classes": {
                ice.name.lower(): {
                    "precision": _or_none(self.precision[ice]),
                    "recall": _or_none(self.recall[ice]),
                    "f1": _or_none(self.f1[ice]),
                    "iou": _or_none(self.iou[ice]),
                    "support": self.support[ice],
                }
                for ice in IceClass
            },
        }


def empty_matrix() -> Matrix:
    """Return a matrix of zeros to add to."""
    return np.zeros((CLASS_COUNT, CLASS_COUNT), np.int64)


def confusion_matrix(reference: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> Matrix:
    """Count pairs of classes over two arrays of class codes of one shape, int64 (3, 3).

    Rows are the reference, columns the prediction. A pixel that is IGNORE in either is left out.
    Raises ValueError for arrays of different shape and for codes that are no class.
    """
    if reference.shape != predicted.shape:
        raise ValueError(f"reference has shape {reference.shape}, prediction {predicted.shape}")
    counted = (reference != IGNORE) & (predicted != IGNORE)
    rows, columns = reference[counted], predicted[counted]
    if rows.size and max(int(rows.max()), int(columns.max())) >= CLASS_COUNT:
        raise ValueError(f"class codes must be 0..{CLASS_COUNT - 1} or {IGNORE}")
    pairs = rows.astype(np.uint8) * np.uint8(CLASS_COUNT) + columns.astype(np.uint8)
    counts = np.bincount(pairs, minlength=CLASS_COUNT**2)
    return counts.reshape(CLASS_COUNT, CLASS_COUNT).astype(np.int64)


def scores(matrix: Matrix) -> Scores:
    """Read the scores from a confusion matrix, (3, 3), rows reference, columns prediction."""
    hits = np.diagonal(matrix)
    in_reference, in_prediction = matrix.sum(axis=1), matrix.sum(axis=0)
    iou = _ratios(hits, in_reference + in_prediction - hits)
    return Scores(
        accuracy=_ratio(int(hits.sum()), int(matrix.sum())),
        mean_iou=_mean(iou),
        precision=_ratios(hits, in_prediction),
        recall=_ratios(hits, in_reference),
        f1=_ratios(2 * hits, in_reference + in_prediction),
        iou=iou,
        support=tuple(int(pixels) for pixels in in_reference),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _ratios(parts: Matrix, wholes: Matrix) -> tuple[float, ...]:
    return tuple(_ratio(int(part), int(whole)) for part, whole in zip(parts, wholes, strict=True))


def _mean(values: tuple[float, ...]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
