"""Which chips train, validate and test: whole acquisitions, or parts of one scene that keep apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.chips.card import SPLITS, Split


def split_groups(
    groups: Iterable[str], *, val_share: float, test_share: float, seed: int
) -> dict[str, Split]:
    """Assign each acquisition to one split; needs at least three, and gives each split at least one.

    The order is that of a hash of seed and name, so it does not depend on the order of the input.
    """
    ordered = sorted(set(groups), key=lambda name: sha256(f"{seed}:{name}".encode()).digest())
    test = max(1, round(len(ordered) * test_share))
    val = max(1, round(len(ordered) * val_share))
    return {
        name: "test" if rank < test else "val" if rank < test + val else "train"
        for rank, name in enumerate(ordered)
    }


_SCALES: Final = (1.0, 0.5, 0.0)
"""Shares of the asked-for test and validation area that are tried in turn; 0 stands for a single chip."""

_LEAST_TRAIN: Final = 1 / 3
"""Share of a scene's usable chips that must be left to train on."""


class _Rectangle(NamedTuple):
    """Cells of a grid: first and one past the last row and column."""

    top: int
    bottom: int
    left: int
    right: int

    def grown(self) -> _Rectangle:
        """Return the rectangle with one more cell on each side."""
        return _Rectangle(max(0, self.top - 1), self.bottom + 1, max(0, self.left - 1), self.right + 1)

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def split_cells(
    fractions: NDArray[np.float64], usable: NDArray[np.bool_], *, val_share: float, test_share: float
) -> NDArray[np.str_]:
    """Assign the chips of one scene to splits that keep at least one chip apart; see `choose_regions`.

    Returns (rows, columns) of "train", "val", "test" or "" (left free, or not usable).
    """
    regions = choose_regions(fractions, usable, val_share=val_share, test_share=test_share)
    return np.where(usable, regions, "")


def choose_regions(
    fractions: NDArray[np.float64], usable: NDArray[np.bool_], *, val_share: float, test_share: float
) -> NDArray[np.str_]:
    """Part the chip grid of one scene into regions for the splits that keep at least one chip apart.

    `fractions` (rows, columns, 3) are the class fractions of each chip of the scene's chip grid and `usable`
    (rows, columns) says which chips may be used. Test and validation take a rectangle each at two corners;
    all that does not touch them trains. The corners are chosen so that the split with the least even mix of
    classes has as even a one as possible: a model can neither learn nor be judged on a class it never meets.
    Returns (rows, columns) of "train", "val", "test" or "" (left free), whether usable or not. Everything
    trains when the scene is too small to keep splits apart.
    """
    for scale in _SCALES:
        best, best_score = None, 0.0
        for test, val in _corner_pairs(usable.shape, val_share * scale, test_share * scale):
            regions = _assign(usable.shape, test, val)
            splits = np.where(usable, regions, "")
            score = min(_evenness(fractions, splits == part) for part in SPLITS)
            score *= usable[test.slices].mean() * usable[val.slices].mean()
            if (splits == "train").sum() >= _LEAST_TRAIN * usable.sum() and score > best_score:
                best, best_score = regions, score
        if best is not None:
            return best
    return np.full(usable.shape, "train", dtype="U5")


def _corner_pairs(
    shape: tuple[int, ...], val_share: float, test_share: float
) -> Iterator[tuple[_Rectangle, _Rectangle]]:
    rows, columns = shape
    for test in _corners(rows, columns, test_share):
        for val in _corners(rows, columns, val_share):
            free_rows = max(test.top, val.top) > min(test.bottom, val.bottom)
            free_columns = max(test.left, val.left) > min(test.right, val.right)
            if free_rows or free_columns:
                yield test, val


def _corners(rows: int, columns: int, share: float) -> Iterator[_Rectangle]:
    """Yield the four corner rectangles with about this share of the cells, at least one."""
    height, width = (max(1, round(length * share**0.5)) for length in (rows, columns))
    for top in (0, rows - height):
        for left in (0, columns - width):
            yield _Rectangle(top, top + height, left, left + width)


def _assign(shape: tuple[int, ...], test: _Rectangle, val: _Rectangle) -> NDArray[np.str_]:
    splits = np.full(shape, "train", dtype="U5")
    for part in (test, val):
        splits[part.grown().slices] = ""
    splits[test.slices] = "test"
    splits[val.slices] = "val"
    return splits


def _evenness(fractions: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
    """Return the entropy, in nats, of the mean class fractions of some chips; a bit above 0 for one class.

    0 for no chips at all: a split that is empty is no split.
    """
    if not chosen.any():
        return 0.0
    mean = fractions[chosen].mean(axis=0)
    mean = mean[mean > 0]
    return float(0.01 - (mean * np.log(mean)).sum())
