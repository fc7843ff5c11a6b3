"""How well predicted classes agree with a reference: confusion matrices, which add up over batches, ranks
and scenes, and the scores read from a matrix. NumPy only."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import CLASS_COUNT, IGNORE, IceClass

Matrix = NDArray[np.int64]
"""Pixel counts, (reference class, predicted class)."""

ICE_NAMES: Final = tuple(ice.name.lower() for ice in IceClass)
"""Names of the ice classes, in the order of their codes."""


class Scores(NamedTuple):
    """Scores of one confusion matrix. Shares are 0..1; NaN where there is nothing to divide by.

    Where whole chips are named, a chip is what a pixel is here.

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
    names: tuple[str, ...] = ICE_NAMES
    """Name of each class."""

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-safe mapping: accuracy, mean_iou, pixels, classes -> name -> score; NaN is None."""
        return {
            "accuracy": _or_none(self.accuracy),
            "mean_iou": _or_none(self.mean_iou),
            "pixels": sum(self.support),
            "classes": {
                name: {
                    "precision": _or_none(self.precision[code]),
                    "recall": _or_none(self.recall[code]),
                    "f1": _or_none(self.f1[code]),
                    "iou": _or_none(self.iou[code]),
                    "support": self.support[code],
                }
                for code, name in enumerate(self.names)
            },
        }


def empty_matrix(classes: int = CLASS_COUNT) -> Matrix:
    """Return a matrix of zeros to add to."""
    return np.zeros((classes, classes), np.int64)


def confusion_matrix(
    reference: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int = CLASS_COUNT
) -> Matrix:
    """Count pairs of classes over two arrays of class codes of one shape, int64 (classes, classes).

    Rows are the reference, columns the prediction. A pixel that is IGNORE in either is left out.
    Raises ValueError for arrays of different shape and for codes that are no class.
    """
    if reference.shape != predicted.shape:
        raise ValueError(f"reference has shape {reference.shape}, prediction {predicted.shape}")
    counted = (reference != IGNORE) & (predicted != IGNORE)
    rows, columns = reference[counted], predicted[counted]
    if rows.size and max(int(rows.max()), int(columns.max())) >= classes:
        raise ValueError(f"class codes must be 0..{classes - 1} or {IGNORE}")
    # 16 bit hold the pairs of all 255 codes that an 8-bit picture can have.
    pairs = rows.astype(np.uint16) * np.uint16(classes) + columns.astype(np.uint16)
    counts = np.bincount(pairs, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def scores(matrix: Matrix, names: tuple[str, ...] = ICE_NAMES) -> Scores:
    """Read the scores from a confusion matrix of the classes `names`, rows reference, columns prediction."""
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
        names=names,
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
