"""What an evaluation says: its figures, what they are called, and the file `evaluation.json`.

Two kinds of comparison carry two names, here and wherever they are shown. "Agreement with automatic labels"
asks whether the model does what its labels do; "accuracy against truth" asks whether a class is right.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ValidationError

from labeling.errors import ConfigError
from labeling.files.storage import AnyPath
from labeling.settings import Settings, describe_invalid

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
    models: list[str] | None = None
    """The networks that had a say in the maps compared, as labeling.files.marks.network_of says; None: an
    older version wrote it."""
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


def read_evaluation(file: AnyPath) -> Evaluation | None:
    """Read `evaluation.json`; None where there is none, ConfigError when this version cannot read it."""
    if not file.is_file():
        return None
    try:
        return Evaluation.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        reason = describe_invalid(error) if isinstance(error, ValidationError) else str(error)
        raise ConfigError(
            f"{file} is not an evaluation this version can read: {reason}. Delete it and run "
            "jobs.evaluate again."
        ) from None
