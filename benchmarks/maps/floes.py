"""Floes found in simulated packs whose floes are known, one by one, also where neighbours touch.

    python -m benchmarks.maps.floes

A plate breaks (labeling/simulation/floes.py), and a rim of a pixel is taken off every piece, so that all lie
apart: these are the floes. Then bridges of ice join neighbours, `width` pixels wide, at the nearest places of
a share of all pairs. A floe is found if a found one covers it and no more, by an intersection over union of
0.8 at least. Sizes are compared by what the lists say: the exponent of the power law from both.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.classes import IceClass
from labeling.maps.floes.find import NECK, find_floes
from labeling.maps.floes.sizes import PowerLaw, fit_power_law
from labeling.simulation.floes import SHEAR_STEP, Breakage, break_up
from labeling.simulation.noise import fractal

LEAST = 100
"""Pixels of a floe that is looked for."""

BREAKAGE = Breakage(smallest=15.0, largest=250.0, opening=1.0, bearing=0.4)


class Pack(NamedTuple):
    """Floes that are known, (height, width): 0 between them, and the gaps where two come near each other."""

    ids: NDArray[np.int32]
    near: dict[tuple[int, int], tuple[int, int]]
    """A row and column between each pair of neighbours."""


def make_pack(seed: int, side: int) -> Pack:
    """Break a plate, and take a rim off every piece."""
    rng = np.random.default_rng(seed)
    points = -(-side // SHEAR_STEP)
    shear = fractal(rng, height=points, width=points, slope=2.0, longest=50, stretch=2.5, angle=0.4)
    ids = break_up(rng, height=side, width=side, breakage=BREAKAGE, shear=shear).ids
    picture = ids.astype(np.float32)
    rim = cv2.morphologyEx(picture, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    _, floes = cv2.connectedComponents(np.where(rim, 0, ids > 0).astype(np.uint8), connectivity=4)
    around = np.ones((5, 5))
    most = cv2.dilate(floes.astype(np.float32), around)
    least = cv2.erode(np.where(floes == 0, np.float32(1e9), floes).astype(np.float32), around)
    rows, columns = np.nonzero((floes == 0) & (most != least) & (most > 0))
    near = {}
    for place in rng.permutation(len(rows)):
        row, column = rows[place], columns[place]
        near.setdefault((int(least[row, column]), int(most[row, column])), (int(row), int(column)))
    return Pack(floes, near)


def bridged(pack: Pack, *, share: float, width: int, seed: int) -> NDArray[np.bool_]:
    """Return where there is ice when a share of neighbours are joined."""
    rng = np.random.default_rng(seed)
    ice = pack.ids > 0
    for row, column in pack.near.values():
        if rng.random() < share:
            top, left = max(0, row - width // 2), max(0, column - width // 2)
            ice[top : row + width // 2 + 1, left : column + width // 2 + 1] = True
    return ice


class Score(NamedTuple):
    """How found floes compare with known ones."""

    known: int
    found: int
    matched: float
    """Share of the known that are found."""
    bias: float
    """Mean of how much larger the area of a matched floe is found than it is, as a share."""
    law: PowerLaw | None
    true_law: PowerLaw | None


def score(pack: Pack, ice: NDArray[np.bool_], neck: float) -> Score:
    """Find floes, and compare them with those of the pack."""
    found = find_floes(np.where(ice, IceClass.THICK_ICE, IceClass.WATER).astype(np.uint8), neck=neck)
    known_pixels = np.bincount(pack.ids.ravel())
    found_pixels = np.bincount(found.labels.ravel(), minlength=len(found.cut) + 1)
    pairs = pack.ids.astype(np.int64) * len(found_pixels) + found.labels
    both, shared = np.unique(pairs[(pack.ids > 0) & (found.labels > 0)], return_counts=True)
    one, other = both // len(found_pixels), both % len(found_pixels)
    overlap = shared / (known_pixels[one] + found_pixels[other] - shared)
    inner = np.ones(len(known_pixels), np.bool_)
    for border in (pack.ids[0], pack.ids[-1], pack.ids[:, 0], pack.ids[:, -1]):
        inner[border] = False
    inner[0] = False
    looked_for = inner & (known_pixels >= LEAST)
    good = (overlap >= 0.8) & looked_for[one]
    kept = ~found.cut & (found_pixels[1:] >= LEAST)
    laws = [
        fit_power_law(2 * np.sqrt(pixels / np.pi), at_least=2 * np.sqrt(LEAST / np.pi))
        for pixels in (found_pixels[1:][kept], known_pixels[looked_for])
    ]
    return Score(
        int(looked_for.sum()),
        int(kept.sum()),
        float(good.sum() / looked_for.sum()),
        float((found_pixels[other[good]] / known_pixels[one[good]]).mean() - 1),
        *laws,
    )


def main() -> None:
    """Print a line for each kind of touching, and each width of a neck."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--side", type=int, default=768, help="pixels along a pack")
    options.add_argument("--packs", type=int, default=2)
    options.add_argument("--necks", type=float, nargs="+", default=[0.5, 0.6, NECK, 0.8])
    given = options.parse_args()
    packs = [make_pack(seed, given.side) for seed in range(1, given.packs + 1)]
    print("joined  width  neck  known  found  matched  area  alpha: found, known")
    for share, width in ((0.0, 0), (0.3, 3), (0.3, 5), (0.6, 5)):
        pictures = [bridged(pack, share=share, width=width, seed=9) for pack in packs]
        for neck in given.necks:
            scores = [score(pack, ice, neck) for pack, ice in zip(packs, pictures, strict=True)]
            known, found = (sum(getattr(each, name) for each in scores) for name in ("known", "found"))
            matched = sum(each.matched * each.known for each in scores) / known
            bias = float(np.mean([each.bias for each in scores]))
            laws = ", ".join(
                f"{law.alpha:.2f}±{law.error:.2f}" for law in (scores[0].law, scores[0].true_law) if law
            )
            touching = f"{share:6.0%}  {width:5}  {neck:4.1f}"
            print(f"{touching}  {known:5}  {found:5}  {matched:7.1%}  {bias:+.1%}  {laws}")


if __name__ == "__main__":
    main()
