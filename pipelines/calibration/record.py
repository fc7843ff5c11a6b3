"""What a calibration says: the content of `calibration.json`, which the page shows."""

from __future__ import annotations

from typing import Literal

from labeling.settings import Settings


class SceneRecord(Settings):
    """A scene that was looked at."""

    scene_id: str
    uri: str
    counted: int
    """Pixels in its histogram: all that get a class, or a sample of them in a large scene."""
    levels: tuple[int, int, int]
    """V below which 1 %, half and 99 % of them lie."""
    shares_start: list[float]
    shares: list[float]
    """Share of each class by the start profile's cuts, and by the chosen ones."""


class CandidateRecord(Settings):
    """A pair of cut points that was proposed."""

    method: str
    meaning: str
    water_max: int
    thin_ice_max: int
    water_spread: tuple[int, int]
    thin_spread: tuple[int, int]
    """Nine of ten draws of scenes (and hints) give a cut within."""
    shares: list[float]
    """Share of each class."""
    hint_error: float | None
    """Share of the hints that it gets wrong; None without hints."""
    left_out_error: float | None
    """The same, by cuts found without the hints of the hint's own scene; None with hints in one scene, or of
    a method that asks none."""


class HintRecord(Settings):
    """A hint as it was read."""

    number: int
    """As in the file, from 1."""
    ice: str
    scene_id: str
    value: int
    row: int
    column: int
    pixels: int
    right: bool
    """Whether the chosen cuts give it its class."""


class Calibration(Settings):
    """The content of `calibration.json`."""

    format: Literal["polynya-calibration-1"] = "polynya-calibration-1"
    profile: str
    """Name of the profile that was written."""
    start: str
    rendering: str
    start_cuts: tuple[int, int]
    chosen: str
    """Method of the chosen candidate."""
    filter_kept: bool
    """Whether the profile has the thin-cloud filter."""
    candidates: list[CandidateRecord]
    """The chosen one first."""
    near: tuple[float, float]
    """Share of the pixels within ten levels of each chosen cut."""
    warnings: list[str]
    """What to know before the profile is used."""
    hints: list[HintRecord]
    hint_problems: list[str]
    """Hints that could not be used, and those that contradict each other."""
    scenes: list[SceneRecord]
    counts: list[int]
    """(256,): pixels of each V, of all scenes together."""

    @property
    def best(self) -> CandidateRecord:
        """The chosen candidate."""
        return self.candidates[0]
