"""Cut points from hints: pixels whose class somebody knows.

Two ways. `least_error` is the pair of cuts that gets the fewest hints wrong; a few dozen hints leave it a
wide choice, and there the histogram's own proposal decides. `weighed` weighs both from the start: it is the
pair with the least logistic loss over the hints, which also feels how far a hint lies from the cut, plus
what a cut pays for its distance from the proposal and, between thin and thick ice, for the density where it
lies. People mark about as many places of each class, whatever its area, so there a class's hints count as
much as its share of the pixels by the proposal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import CLASS_COUNT
from labeling.cuts.histogram import LEVELS, Counts, Density, density_of, smooth, without_spikes
from labeling.cuts.propose import Candidate, Cuts, spreads, stepwise
from labeling.ice.profile import ThresholdSettings
from labeling.ice.thresholds import label_table

_SOFT: Final = 0.025
"""Width of the logistic curve, as a share of the range of brightness: how far classes mix around a cut."""

_WATER_HOLD: Final = 1000.0
_THIN_HOLD: Final = 150.0
"""What a cut pays for leaving the proposal by the whole range; that of water is known better."""

_DENSITY: Final = 1.0
"""What the upper cut pays for each factor e of density."""

_LEAST_SHARE: Final = 0.02
"""Share of the pixels that a class with hints is thought to have at least."""

_SIGMA: Final = 2.0


class Hints(NamedTuple):
    """Hints read from scenes; arrays (n,)."""

    value: NDArray[np.uint8]
    """Brightness V."""
    ice: NDArray[np.uint8]
    """Class codes 0..2."""
    scene: NDArray[np.int64]
    """Number of the scene that each was read from."""

    def of(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Hints:
        """Return some of the hints, by which they are or by their places."""
        return Hints(self.value[chosen], self.ice[chosen], self.scene[chosen])


Fit = Callable[[Hints, Counts], Cuts]
"""Takes hints and the histogram of all scenes, returns cuts."""


def errors(hints: Hints, cuts: Cuts) -> NDArray[np.bool_]:
    """Return which hints a pair of cuts gets wrong, (n,)."""
    table = label_table(ThresholdSettings(**cuts._asdict()))
    return np.asarray(table[hints.value] != hints.ice, np.bool_)


def least_error(hints: Hints, counts: Counts) -> Cuts:
    """Return the pair of cuts that gets the fewest hints wrong.

    Of equals that is taken which gives the fewest pixels another class than the histogram's proposal.
    """
    below = np.array(
        [np.cumsum(np.bincount(hints.value[hints.ice == c], minlength=LEVELS)) for c in range(3)]
    )
    above = below[:, -1:] - below
    wrong = above[0][:, None] + (below[1][:, None] + above[1][None, :]) + below[2][None, :]
    share = np.cumsum(density_of(counts))
    proposed = stepwise(counts)
    moved = [np.abs(share - share[cut]) for cut in proposed]
    # Together less than one hint.
    cost = wrong + (moved[0][:, None] + moved[1][None, :]) / 2.001
    cost[np.tril_indices(LEVELS)] = np.inf
    cost[:, -1] = np.inf
    lower, upper = np.unravel_index(cost.argmin(), cost.shape)
    return Cuts(int(lower), int(upper))


def weighed(hints: Hints, counts: Counts) -> Cuts:
    """Return the pair of cuts that hints and histogram agree on best."""
    density = density_of(counts)
    share = np.cumsum(density)
    extent = max(1, int(np.searchsorted(share, 0.99) - np.searchsorted(share, 0.01)))
    proposed = stepwise(counts)
    levels = np.arange(LEVELS)
    away = [((levels - cut) / extent) ** 2 for cut in proposed]
    weight = _weights(hints, density, proposed)
    water = _loss(hints, weight, 1, extent) + _WATER_HOLD * away[0]
    lower = int(water[: LEVELS - 2].argmin())
    curve = np.log(np.maximum(smooth(without_spikes(density), _SIGMA), 1e-9))
    thin = _loss(hints, weight, 2, extent) + _THIN_HOLD * away[1] + _DENSITY * curve
    return Cuts(lower, lower + 1 + int(thin[lower + 1 : LEVELS - 1].argmin()))


def _weights(hints: Hints, density: Density, cuts: Cuts) -> NDArray[np.float64]:
    """Return what each hint counts, (n,): together as many as there are hints."""
    shares = np.add.reduceat(density, [0, cuts.water_max + 1, cuts.thin_ice_max + 1]).clip(_LEAST_SHARE)
    given = np.bincount(hints.ice, minlength=CLASS_COUNT)
    each = (shares / np.maximum(given, 1))[hints.ice]
    return np.asarray(each * len(each) / each.sum(), np.float64)


def _loss(hints: Hints, weight: NDArray[np.float64], above: int, extent: int) -> Density:
    """Return the logistic loss, (256,), of each level as the cut below class `above`."""
    width = max(1.0, _SOFT * extent)
    far = (hints.value[:, None].astype(float) - (np.arange(LEVELS) + 0.5)) / width
    sign = np.where(hints.ice >= above, -1.0, 1.0)[:, None]
    return np.asarray(weight @ np.logaddexp(0, sign * far), np.float64)


def left_out_error(hints: Hints, scenes: NDArray[np.int64], fit: Fit) -> float | None:
    """Return the share of hints that cuts get wrong which were found without the hints' own scene.

    `scenes` are the histograms of all scenes, int64 (n, 256), which stay: only the hints are left out. None
    where fewer than two scenes have hints.
    """
    numbers = np.unique(hints.scene)
    if len(numbers) < 2:
        return None
    counts = scenes.sum(axis=0)
    wrong = 0
    for number in numbers:
        own = hints.scene == number
        wrong += int(errors(hints.of(own), fit(hints.of(~own), counts)).sum())
    return wrong / len(hints.value)


def recalls(hints: Hints, cuts: Cuts) -> list[float | None]:
    """Return the share of each class's hints that cuts get right, (3,); None for a class without hints."""
    wrong = errors(hints, cuts)
    own = [hints.ice == code for code in range(CLASS_COUNT)]
    return [float(1 - wrong[each].mean()) if each.any() else None for each in own]


def hinted_candidate(
    hints: Hints, scenes: NDArray[np.int64], fit: Fit, *, draws: int = 200, seed: int = 2024
) -> Candidate:
    """Return what a fit gives with all hints and scenes, and its spread as both are drawn with replacement.

    `scenes` is int64 (n, 256), a histogram each.
    """
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(draws):
        picked = rng.integers(len(hints.value), size=len(hints.value))
        times = rng.multinomial(len(scenes), np.full(len(scenes), 1 / len(scenes)))
        pairs.append(fit(hints.of(picked), times @ scenes))
    return Candidate(fit(hints, scenes.sum(axis=0)), *spreads(np.array(pairs)))
