"""Whether cut points can be right for a scene, from its histogram of brightness alone.

Open water and deep snow are the two surfaces of one brightness each, so their peaks are narrow, and thin ice
lies broadly between. Where a narrow peak is on the wrong side of a cut point, or across it, the picture was
drawn by another rendering than the cut points were made for. A scene without such a peak says nothing: one
that is all thin ice, or all snow, is believed.

The limits were chosen on simulated scenes under stretches, so that under 2 % of right ones are doubted
(`python -m benchmarks.science.doubts`, docs/calibration.md).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from labeling.cuts.histogram import Counts, Density, Peak, density_of, peaks, smooth
from labeling.doubt import Doubt
from labeling.ice.profile import ThresholdSettings

_SIGMA: Final = 1.5
_STANDS_OUT: Final = 1.5
"""Height of a peak over what parts it from others, at least."""

_NARROW: Final = 24
"""Levels of width of a peak that is one surface, at most."""

_HARDLY: Final = 0.01
"""Share of the pixels below which a class counts as absent."""

_DARK_SIDE: Final = 0.45
"""How far a peak of water can lie on the way from the lower cut to the upper."""

_DARK_CORE: Final = 0.02
_BRIGHT_CORE: Final = 0.05
"""Share of the pixels that a peak on the wrong side of a cut holds, at least."""

_PARTED: Final = 0.4
"""Density between a dark peak and what is brighter, as a share of the peak's, at most."""

_AT_CUT: Final = 0.5
"""Density at a cut that lies inside a peak, as a share of the peak's, at least."""

_SPLIT: Final = 0.03
"""Share of the pixels that such a cut parts from the rest of the peak, at least."""

_ONE_CLASS: Final = 0.98
_APART: Final = 30
"""Levels between two peaks that cannot be one class."""

_SATURATED: Final = 0.75
"""Share of the thick ice that is 255, from which on brightness has been cut off."""

_WORTH: Final = 0.1
"""Share of the pixels that thick ice must have for that to matter."""

_CALIBRATE: Final = "Determine cut points that fit: python -m jobs.calibrate --scenes … --out CAL."


def brightness_doubts(counts: Counts, cuts: ThresholdSettings) -> list[Doubt]:
    """Return what speaks against cut points, from the histogram of V of a scene's classed pixels.

    Whole numbers in, so the same doubts for any order of counting. None for an empty histogram.
    """
    if not counts.any():
        return []
    density = density_of(counts)
    curve = smooth(density, _SIGMA)
    found = peaks(curve, _STANDS_OUT)
    told = [
        _dark_peak(density, found, cuts),
        _bright_peak(density, found, cuts),
        *(_inside_peak(density, curve, found, cut) for cut in (cuts.water_max, cuts.thin_ice_max)),
        _one_class(density, found, cuts),
        _saturation(density, cuts),
    ]
    return [doubt for doubt in told if doubt is not None]


def _dark_peak(density: Density, found: list[Peak], cuts: ThresholdSettings) -> Doubt | None:
    water = density[: cuts.water_max + 1].sum()
    reach = cuts.water_max + _DARK_SIDE * (cuts.thin_ice_max - cuts.water_max)
    for peak in found:
        dark = cuts.water_max < peak.level <= reach
        alone = peak.width <= _NARROW and peak.valley <= _PARTED and peak.core >= _DARK_CORE
        if dark and alone and water < _HARDLY:
            return Doubt(
                "dark-peak",
                f"{water:.1%} of the pixels are open water (V up to {cuts.water_max}), but {peak.core:.0%} "
                f"lie in a narrow peak by itself around V {peak.level}, just above the cut: water may be "
                f"brighter in this picture than the profile says. {_CALIBRATE}",
            )
    return None


def _bright_peak(density: Density, found: list[Peak], cuts: ThresholdSettings) -> Doubt | None:
    thick = density[cuts.thin_ice_max + 1 :].sum()
    middle = (cuts.water_max + cuts.thin_ice_max) / 2
    for peak in found:
        bright = middle < peak.level <= cuts.thin_ice_max
        if bright and peak.width <= _NARROW and peak.core >= _BRIGHT_CORE and thick < _HARDLY:
            return Doubt(
                "bright-peak",
                f"{thick:.1%} of the pixels are thick ice (V above {cuts.thin_ice_max}), but {peak.core:.0%} "
                f"lie in a narrow peak around V {peak.level}, below the cut: snow may be darker in this "
                f"picture than the profile says. {_CALIBRATE}",
            )
    return None


def _inside_peak(density: Density, curve: Density, found: list[Peak], cut: int) -> Doubt | None:
    for peak in found:
        across = peak.low <= cut < peak.high and peak.width <= _NARROW
        below = density[peak.low : cut + 1].sum()
        above = density[cut + 1 : peak.high].sum()
        if across and min(below, above) >= _SPLIT and curve[cut] >= _AT_CUT * curve[peak.level]:
            return Doubt(
                "cut-in-peak",
                f"the cut at V {cut} lies inside a narrow peak around V {peak.level} and parts it, "
                f"{below:.0%} of the pixels below and {above:.0%} above: one surface gets two classes. "
                f"{_CALIBRATE}",
            )
    return None


def _one_class(density: Density, found: list[Peak], cuts: ThresholdSettings) -> Doubt | None:
    shares = np.add.reduceat(density, [0, cuts.water_max + 1, cuts.thin_ice_max + 1])
    large = [peak for peak in found if peak.core >= _BRIGHT_CORE]
    if shares.max() < _ONE_CLASS or not large or large[-1].level - large[0].level < _APART:
        return None
    title = ("open water", "thin ice", "thick ice")[int(shares.argmax())]
    levels = " and ".join(str(peak.level) for peak in (large[0], large[-1]))
    return Doubt(
        "one-class",
        f"{shares.max():.1%} of the pixels are {title}, but the histogram has separate peaks around V "
        f"{levels}, which are hardly one kind of ice. {_CALIBRATE}",
    )


def _saturation(density: Density, cuts: ThresholdSettings) -> Doubt | None:
    thick = density[cuts.thin_ice_max + 1 :].sum()
    if thick < _WORTH or density[-1] < _SATURATED * thick:
        return None
    return Doubt(
        "saturated",
        f"{density[-1]:.0%} of the pixels, and {density[-1] / thick:.0%} of the thick ice, are saturated "
        "(V 255), as in a product's true-colour image: grey ice and snow may be cut off alike, and no cut "
        "points part them. Give the product's bands, or a picture that keeps snow below 255.",
    )
