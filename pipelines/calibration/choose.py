"""From histograms and hints to a choice: candidates, the chosen one, its profile, and what to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import IceClass
from labeling.cuts.carry import carry_profile
from labeling.cuts.hints import Fit, Hints, errors, hinted_candidate, least_error, left_out_error, weighed
from labeling.cuts.propose import METHODS, Candidate, Cuts, candidate
from labeling.cuts.remarks import class_shares, near_cuts, remarks
from labeling.ice.profile import LabelingProfile
from pipelines.calibration.hints_file import HintFile
from pipelines.calibration.record import Calibration, CandidateRecord, HintRecord, SceneRecord
from pipelines.calibration.worker import HintRead
from pipelines.engine.scenes import CatalogRow

MEANINGS: Final = {
    "weighed hints": "hints and histogram together, each by what it is sure of",
    "fewest errors": "the cuts that get the fewest hints wrong; of equals the nearest to the histogram's",
    "stepwise": "from the histogram: the first valley above the darkest peak, then the foot of the snow",
    "otsu": "from the histogram: three classes with the largest variance between them",
    "valleys": "from the histogram: the lowest points between its three most prominent peaks",
}
"""What each method does, by its name."""

FITS: Final[dict[str, Fit]] = {"weighed hints": weighed, "fewest errors": least_error}


class CountedScene(NamedTuple):
    """What a worker found in a scene."""

    row: CatalogRow
    counts: NDArray[np.int64]
    """(256,): pixels of each brightness V."""
    hints: list[HintRead]


class Choice(NamedTuple):
    """What comes out of a calibration."""

    profile: LabelingProfile
    record: Calibration


class _UsedHints(NamedTuple):
    """Hints that have a brightness, as arrays and one by one."""

    arrays: Hints
    reads: list[tuple[int, HintRead]]
    """(Number of the scene, hint), in the order of the arrays."""


def choose(scenes: Sequence[CountedScene], start: LabelingProfile, file: HintFile | None) -> Choice:
    """Propose cut points from all scenes, and choose: by hints where there are any, else `stepwise`."""
    counts = np.stack([scene.counts for scene in scenes])
    used = None if file is None else _used(scenes, file)
    found = _candidates(counts, used.arrays if used else None)
    method, (chosen, _) = next(iter(found.items()))
    total = counts.sum(axis=0)
    profile = carry_profile(
        start, chosen.cuts, name=_name(start, chosen.cuts, total), description=_describe(scenes, method, used)
    )
    record = Calibration(
        profile=profile.name,
        start=start.name,
        rendering=start.rendering,
        start_cuts=(start.thresholds.water_max, start.thresholds.thin_ice_max),
        chosen=method,
        filter_kept=profile.thin_clouds is not None,
        candidates=[
            _candidate_record(name, each, left_out, total, used) for name, (each, left_out) in found.items()
        ],
        near=(near_cuts(total, chosen.cuts)[0], near_cuts(total, chosen.cuts)[1]),
        warnings=_warnings(scenes, chosen, used, start, profile),
        hints=[] if used is None or file is None else _hint_records(scenes, used, file, chosen.cuts),
        hint_problems=[] if file is None else hint_problems(scenes, file),
        scenes=[_scene_record(scene, start, chosen.cuts) for scene in scenes],
        counts=total.tolist(),
    )
    return Choice(profile, record)


def _candidates(counts: NDArray[np.int64], hints: Hints | None) -> dict[str, tuple[Candidate, float | None]]:
    """Return the candidates by method, the chosen one first, with their error on scenes left out."""
    found: dict[str, tuple[Candidate, float | None]] = {}
    if hints is not None:
        for name, fit in FITS.items():
            found[name] = hinted_candidate(hints, counts, fit), left_out_error(hints, counts, fit)
    return found | {name: (candidate(counts, method), None) for name, method in METHODS.items()}


def _used(scenes: Sequence[CountedScene], file: HintFile) -> _UsedHints | None:
    """Return the hints that scenes gave a brightness to; None where there is not one."""
    ice = {hint.number: hint.ice for hint in file.hints}
    reads = [(n, hint) for n, scene in enumerate(scenes) for hint in scene.hints if hint.value is not None]
    if not reads:
        return None
    arrays = Hints(
        value=np.array([hint.value for _, hint in reads], np.uint8),
        ice=np.array([ice[hint.number] for _, hint in reads], np.uint8),
        scene=np.array([n for n, _ in reads], np.int64),
    )
    return _UsedHints(arrays, reads)


def hint_problems(scenes: Sequence[CountedScene], file: HintFile) -> list[str]:
    """Return in words which hints could not be used, and which contradict each other."""
    told: list[str] = []
    seen: dict[int, list[HintRead]] = {hint.number: [] for hint in file.hints}
    for scene in scenes:
        for read in scene.hints:
            seen[read.number].append(read)
    outside = [number for number, reads in seen.items() if not reads]
    if outside:
        told.append(
            f"{_hints(outside)} outside every scene (or in one without a georeference). Check their CRS, or "
            "give the scenes that they lie in."
        )
    for why in ("no-data", "cloud", "land"):
        lost = [n for n, reads in seen.items() if reads and all(read.why == why for read in reads)]
        if lost:
            told.append(f"{_hints(lost)} on {why}, where pixels get no class.")
    return told + _contradictions(scenes, file)


def _contradictions(scenes: Sequence[CountedScene], file: HintFile) -> list[str]:
    ice = {hint.number: IceClass(hint.ice) for hint in file.hints}
    told = []
    for scene in scenes:
        by_pixel: dict[tuple[int, int], list[int]] = {}
        for read in scene.hints:
            by_pixel.setdefault((read.row, read.column), []).append(read.number)
        for (row, column), numbers in by_pixel.items():
            titles = sorted({ice[number].title for number in numbers})
            if len(titles) > 1:
                told.append(
                    f"{_hints(numbers)} on one pixel of {scene.row.scene_id} (row {row}, column {column}) "
                    f"and contradict each other: {' and '.join(titles)}."
                )
    return told


def _hints(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
    return f"Hint {shown} lies" if len(numbers) == 1 else f"Hints {shown} lie"


def _name(start: LabelingProfile, cuts: Cuts, total: NDArray[np.int64]) -> str:
    """Return a name that tells one calibration from another: chips and models go by it."""
    digest = sha256(f"{start.name} {start.rendering} {tuple(cuts)} {total.tolist()}".encode()).hexdigest()
    return f"calibrated-{digest[:8]}"


def _describe(scenes: Sequence[CountedScene], method: str, used: _UsedHints | None) -> str:
    names = ", ".join(scene.row.scene_id for scene in scenes[:3])
    names += f" and {len(scenes) - 3} more" if len(scenes) > 3 else ""
    hints = f" and {len(used.reads)} hints" if used else ""
    return f"Cut points determined by jobs.calibrate ({method}) from {len(scenes)} scene(s){hints}: {names}."


def _warnings(
    scenes: Sequence[CountedScene],
    chosen: Candidate,
    used: _UsedHints | None,
    start: LabelingProfile,
    profile: LabelingProfile,
) -> list[str]:
    total = np.sum([scene.counts for scene in scenes], axis=0)
    told = remarks(total, chosen, used.arrays if used else None)
    if len(scenes) == 1:
        told.append(
            "The cuts come from one scene: how much another would move them is not known. Add scenes of the "
            "same rendering."
        )
    if start.thin_clouds is not None and profile.thin_clouds is None:
        told.append(
            "The thin-cloud filter is left out: between these cuts, or above them, it has too few levels to "
            "tell shadow by. Label scenes under a clear sky."
        )
    return told


def _candidate_record(
    method: str,
    found: Candidate,
    left_out: float | None,
    total: NDArray[np.int64],
    used: _UsedHints | None,
) -> CandidateRecord:
    return CandidateRecord(
        method=method,
        meaning=MEANINGS[method],
        water_max=found.cuts.water_max,
        thin_ice_max=found.cuts.thin_ice_max,
        water_spread=tuple(found.water_spread),
        thin_spread=tuple(found.thin_spread),
        shares=class_shares(total, found.cuts),
        hint_error=None if used is None else float(errors(used.arrays, found.cuts).mean()),
        left_out_error=left_out,
    )


def _hint_records(
    scenes: Sequence[CountedScene], used: _UsedHints, file: HintFile, cuts: Cuts
) -> list[HintRecord]:
    ice = {hint.number: IceClass(hint.ice).name.lower() for hint in file.hints}
    wrong = errors(used.arrays, cuts)
    return [
        HintRecord(
            number=read.number,
            ice=ice[read.number],
            scene_id=scenes[n].row.scene_id,
            value=int(value),
            row=read.row,
            column=read.column,
            pixels=read.pixels,
            right=not bad,
        )
        for (n, read), value, bad in zip(used.reads, used.arrays.value, wrong, strict=True)
    ]


def _scene_record(scene: CountedScene, start: LabelingProfile, cuts: Cuts) -> SceneRecord:
    share = np.cumsum(scene.counts) / max(1, int(scene.counts.sum()))
    low, middle, high = (int(np.searchsorted(share, part)) for part in (0.01, 0.5, 0.99))
    of = partial(class_shares, scene.counts)
    return SceneRecord(
        scene_id=scene.row.scene_id,
        uri=scene.row.info.where,
        counted=int(scene.counts.sum()),
        levels=(low, middle, high),
        shares_start=of(Cuts(start.thresholds.water_max, start.thresholds.thin_ice_max)),
        shares=of(cuts),
    )
