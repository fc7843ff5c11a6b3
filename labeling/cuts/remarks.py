"""What is to be known of chosen cut points before they are used: guesses, overlaps, and how they would do."""

from __future__ import annotations

from typing import Final

import numpy as np

from labeling.classes import CLASS_COUNT, IceClass
from labeling.cuts.doubts import brightness_doubts
from labeling.cuts.hints import Hints, recalls
from labeling.cuts.histogram import Counts, density_of, peak_levels, smooth
from labeling.cuts.propose import Candidate, Cuts, dark_peak
from labeling.ice.profile import ThresholdSettings

NEAR: Final = 10
"""Levels to either side of a cut within which pixels hang on exactly where it lies."""

_HANGS: Final = 0.1
"""Share of the pixels within NEAR levels of a cut, from which on that is said."""

_RARE: Final = 0.005
"""Share of the pixels of a class below which it may not be there at all."""

_WIDE: Final = 40
"""Levels of spread over scenes from which on that is said."""

_BEYOND: Final = 6
_FALLS: Final = 0.97
"""Levels beyond the lower cut, and density there as a share of the cut's, below which it is no valley."""

_SIGMA: Final = 2.0
_STANDS_OUT: Final = 1.3
"""As of the proposals."""

_MIXED: Final = 0.7
"""Share of a class's hints that cuts must get right for brightness to tell it."""


def class_shares(counts: Counts, cuts: Cuts) -> list[float]:
    """Return the share of each class by a pair of cuts, (3,)."""
    shares = np.add.reduceat(density_of(counts), [0, cuts.water_max + 1, cuts.thin_ice_max + 1])
    return [float(share) for share in shares]


def near_cuts(counts: Counts, cuts: Cuts) -> list[float]:
    """Return the share of the pixels within NEAR levels of each cut, (2,)."""
    density = density_of(counts)
    return [float(density[max(0, cut - NEAR + 1) : cut + NEAR + 1].sum()) for cut in cuts]


def remarks(counts: Counts, chosen: Candidate, hints: Hints | None) -> list[str]:
    """Return what speaks against a choice, or limits it, in sentences with figures.

    `counts` is the histogram of all scenes together.
    """
    cuts = chosen.cuts
    told = _absent(counts, cuts, hints)
    if not told and _still_falls(counts, cuts.water_max):
        told.append(
            "The histogram has no valley between open water and thin ice, so water_max "
            f"(V {cuts.water_max}) is uncertain. Hints of both, dark thin ice above all, settle it."
        )
    pairs = ("open water and thin ice", "thin and thick ice")
    for cut, share, classes in zip(cuts, near_cuts(counts, cuts), pairs, strict=True):
        if share >= _HANGS:
            told.append(
                f"There is no gap in brightness between {classes}: {share:.0%} of the pixels lie within "
                f"{NEAR} levels of the cut at V {cut}, so where it lies matters. Look at the pictures."
            )
    for name, spread in (("water_max", chosen.water_spread), ("thin_ice_max", chosen.thin_spread)):
        if spread.high - spread.low >= _WIDE:
            told.append(
                f"{name} lies anywhere from V {spread.low} to {spread.high}, as scenes are drawn: they do "
                "not agree. They may be of different renderings, or too few; calibrate those that look alike."
            )
    if hints is not None:
        told += _by_hints(cuts, hints)
    doubts = brightness_doubts(counts, ThresholdSettings(**cuts._asdict()))
    return told + [doubt.text.partition(" Determine cut points")[0] for doubt in doubts]


def _still_falls(counts: Counts, cut: int) -> bool:
    """Tell whether density goes on falling above a cut that should lie in a valley."""
    curve = smooth(density_of(counts), _SIGMA)
    return bool(curve[min(cut + _BEYOND, len(curve) - 1)] < _FALLS * curve[cut])


def _absent(counts: Counts, cuts: Cuts, hints: Hints | None) -> list[str]:
    """Say which cut is a guess because a class is not seen."""
    peaks = peak_levels(smooth(density_of(counts), _SIGMA), _STANDS_OUT)
    known = set() if hints is None else {int(code) for code in hints.ice}
    if len(peaks) < 2 and len(known) < CLASS_COUNT:
        return [
            "The histogram has one peak only: brightness does not tell classes apart in these scenes, or "
            "there is one class. Both cuts are guesses. Add scenes with open water and thick ice, or hints."
        ]
    told = []
    water, _, thick = class_shares(counts, cuts)
    if (dark_peak(counts) is None or water < _RARE) and IceClass.WATER not in known:
        told.append(
            f"There is hardly any open water in these scenes ({water:.2%} of the pixels by these cuts): "
            f"water_max (V {cuts.water_max}) is a guess. Add a scene with open water, or hints."
        )
    if thick < _RARE and IceClass.THICK_ICE not in known:
        told.append(
            f"There is hardly any thick ice in these scenes ({thick:.2%} of the pixels by these cuts): "
            f"thin_ice_max (V {cuts.thin_ice_max}) is a guess. Add a scene with it, or hints."
        )
    return told


def _by_hints(cuts: Cuts, hints: Hints) -> list[str]:
    told = []
    for code, recall in enumerate(recalls(hints, cuts)):
        title, count = IceClass(code).title, int((hints.ice == code).sum())
        if recall is None:
            told.append(f"No hint says {title}: what the cuts say of it rests on the histogram alone.")
        elif recall < _MIXED:
            told.append(
                f"Only {recall:.0%} of the {count} hints of {title} are on its side of the cuts: brightness "
                "does not tell it from its neighbours here, or hints are wrong."
            )
    middles = [float(np.median(hints.value[hints.ice == code])) for code in sorted(set(hints.ice.tolist()))]
    if middles != sorted(middles):
        told.append(
            "The hints' brightness does not rise from open water over thin to thick ice: classes are mixed "
            "up, or brightness says nothing of them here."
        )
    return told
