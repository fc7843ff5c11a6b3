"""What an evaluation says: counts of class pairs, their scores, and the file `evaluation.json`.

Two kinds of comparison carry two names, here and wherever they are shown. "Agreement with automatic labels"
asks whether the model does what its labels do; "accuracy against truth" asks whether a class is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from labeling.classes import IGNORE
from labeling.errors import ConfigError
from labeling.files.storage import AnyPath
from labeling.settings import Settings
from training.network.metrics import Matrix, confusion_matrix, empty_matrix, scores

Method = Literal["model", "labels", "thresholds"]
"""Whose classes are held against the truth: the model's map, the labels it was trained on, the colour
thresholds without filter."""

Sky = Literal["all", "clear", "covered"]
"""Which pixels: all, or those under a clear sky, or those under cloud or shadow."""

METHOD_TITLES: Final[dict[Method, str]] = {
    "model": "model",
    "labels": "automatic labels",
    "thresholds": "colour thresholds alone",
}
SKY_TITLES: Final[dict[Sky, str]] = {
    "all": "all pixels",
    "clear": "clear sky",
    "covered": "under cloud or shadow",
}

AGREEMENT: Final = "agreement with automatic labels"
ACCURACY: Final = "accuracy against truth"
MEANINGS: Final = {
    AGREEMENT: (
        "The share of test pixels where the map and the automatic labels name the same class. It says how "
        "well the model has learnt its labels, their mistakes included; it does not say how often the map "
        "is right."
    ),
    ACCURACY: (
        "The share of test pixels whose class is the true one, for scenes with a truth raster beside them "
        "(simulated scenes have one). It says how often a method is right on those scenes; it does not say "
        "how often it is right on scenes unlike them."
    ),
}


class ClassScores(Settings):
    """Scores of one class, 0..1; None where there is nothing to divide by."""

    precision: float | None
    recall: float | None
    f1: float | None
    iou: float | None
    support: int
    """Pixels of the class in the reference."""


class _Comparison(Settings):
    mean_iou: float | None
    pixels: int
    """Pixels compared: those that neither side ignores."""
    classes: dict[str, ClassScores]
    matrix: list[list[int]]
    """Pixel counts, rows reference, columns what is compared with it, in the order of the class codes."""


class Agreement(_Comparison):
    """A map held against automatic labels. There is no accuracy here: the labels are not the truth."""

    agreement: float | None
    """Share of pixels with the same class."""


class Accuracy(_Comparison):
    """A method's classes held against the truth."""

    accuracy: float | None
    """Share of pixels with the true class."""


AccuracyTable = dict[Sky, dict[Method, Accuracy]]


class SceneResult(Settings):
    """Figures of one test scene."""

    scene_id: str
    footprints: int
    agreement_with_automatic_labels: Agreement
    accuracy_against_truth: AccuracyTable
    """Empty where no truth lies beside the scene."""


class Evaluation(Settings):
    """The content of `evaluation.json`. Every figure is over the footprints of test chips only."""

    format: Literal["polynya-evaluation-1"] = "polynya-evaluation-1"
    chips_digest: str
    model_chips_digest: str | None
    """Digest of the chips the model was trained on; None where the model's card is not at hand."""
    split_by: Literal["scene", "block"]
    chip_size: int
    """Side of a footprint, pixels."""
    test_scenes: list[str]
    footprints: int
    """Footprints that were compared, over all scenes."""
    reason: str
    """Why nothing was compared; empty when something was."""
    notes: list[str]
    """What to know before quoting a figure."""
    meanings: dict[str, str] = MEANINGS
    agreement_with_automatic_labels: Agreement | None
    accuracy_against_truth: AccuracyTable
    """The same pixels for every method of a sky; empty where no test scene has truth."""
    scenes: list[SceneResult]


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


def read_evaluation(file: AnyPath) -> Evaluation | None:
    """Read `evaluation.json`; None where there is none, ConfigError when this version cannot read it."""
    if not file.is_file():
        return None
    try:
        return Evaluation.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ConfigError(
            f"{file} is not an evaluation this version can read: {error}. Delete it and run "
            "jobs.evaluate again."
        ) from None
