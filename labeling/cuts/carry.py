"""A profile for other cut points: its filter's levels are carried over from the old cuts to the new.

Levels (where a background is snow, where ice is greyish, where the filter's scale ends) go by the piecewise
linear map that takes 0, the old cuts and 255 to 0, the new cuts and 255. Spans of grey levels (how much an
edge or a slope may differ) are scaled as the range between the cuts is. On stretched scenes the filter so
carried gains under cloud about what it gains without a stretch (benchmarks/science/carried.py).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from labeling.cuts.propose import Cuts
from labeling.ice.profile import GuardSettings, LabelingProfile, ThinCloudSettings, ThresholdSettings

_WHITE: Final = 255

_LEAST_RANGE: Final = 40
"""Levels between the cuts that the filter needs: in less, soft edges are no softer than noise."""

_LEAST_SNOW: Final = 5
"""Levels above the upper cut that it needs: where snow is saturated, its shadow is not a darker snow."""


def carry_level(level: int, old: ThresholdSettings, new: Cuts) -> int:
    """Return the level, 0..255, that is to the new cuts what `level` is to the old ones."""
    knots = [0, old.water_max, old.thin_ice_max, _WHITE]
    return round(float(np.interp(level, knots, [0, *new, _WHITE])))


def carry_profile(start: LabelingProfile, new: Cuts, *, name: str, description: str) -> LabelingProfile:
    """Return a profile of the start's rendering with other cuts, and its filter where that makes sense."""
    filtered = None
    if start.thin_clouds is not None and filter_fits(new):
        filtered = carry_filter(start.thin_clouds, start.thresholds, new)
    return LabelingProfile(
        name=name,
        version=1,
        description=description,
        rendering=start.rendering,
        nodata=start.nodata,
        thresholds=ThresholdSettings(**new._asdict()),
        thin_clouds=filtered,
    )


def filter_fits(cuts: Cuts) -> bool:
    """Tell whether cuts leave the filter enough levels between them, and above."""
    between, above = cuts.thin_ice_max - cuts.water_max, _WHITE - cuts.thin_ice_max
    return between >= _LEAST_RANGE and above >= _LEAST_SNOW


def carry_filter(settings: ThinCloudSettings, old: ThresholdSettings, new: Cuts) -> ThinCloudSettings:
    """Return the filter, and its guard, for other cuts.

    Where the filter has a bound of its own for thin ice, that and the end of its scale stay: they are no V.
    """
    guard = settings.guard and _carry_guard(settings.guard, old, new)
    levels = {} if settings.thin_max else {"truncate": max(1, carry_level(settings.truncate, old, new))}
    return settings.model_copy(update=levels | {"guard": guard})


def _carry_guard(guard: GuardSettings, old: ThresholdSettings, new: Cuts) -> GuardSettings:
    scale = (new.thin_ice_max - new.water_max) / (old.thin_ice_max - old.water_max)
    levels = {
        name: _rising([carry_level(level, old, new) for level in getattr(guard, name)])
        for name in ("background_levels", "snow_levels")
    }
    spans = [min(max(1, round(scale * span)), _WHITE) for span in reversed(guard.spans)]
    reach = min(max(1, round(scale * guard.reach)), _WHITE - 1)
    return guard.model_copy(update=levels | {"spans": _rising(spans)[::-1], "reach": reach})


def _rising(levels: list[int]) -> tuple[int, ...]:
    """Return levels of which each is at least one above the one before, and none above 255."""
    found = list(levels)
    for index in range(1, len(found)):
        found[index] = max(found[index], found[index - 1] + 1)
    beyond = max(0, found[-1] - _WHITE)
    return tuple(level - beyond for level in found)
