"""One map from many that overlap: which of them a pixel is taken from, by a stated rule.

Maps come one after the other, in the order of the rule, and what is kept has the size of one of them. A pixel
is taken once, so no area counts twice.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import CLASS_COUNT, IGNORE
from labeling.status import UNKNOWN, PixelStatus

Rule = Literal["newest", "clearest", "most-certain", "most-common"]

MOST_MAPS: Final = 65_535
"""That can be merged: their numbers are u16, and 0 is none."""


class Layer(NamedTuple):
    """A map's pixels on the grid of the merged one; all arrays (height, width)."""

    number: int
    """Of the map, from 1."""
    inside: NDArray[np.bool_]
    """Where the map has a pixel at all."""
    codes: NDArray[np.uint8]
    """IceClass or IGNORE, which it is outside."""
    status: NDArray[np.uint8] | None
    """PixelStatus; None where the map does not say."""
    certainty: NDArray[np.uint8] | None = None
    """How sure the map is of its class, 0..255 and the more the surer; None but for the rule most-certain."""


class Merged(NamedTuple):
    """A merged map; all arrays (height, width)."""

    codes: NDArray[np.uint8]
    """IceClass, or IGNORE where no map has a class."""
    status: NDArray[np.uint8]
    """PixelStatus: of the map that the class is from; else why the first that says so has none; NODATA where
    there is no map. UNKNOWN where those that are there do not say why."""
    source: NDArray[np.uint16]
    """Number of the map that the class is from; 0 where there is no class."""


class Merger:
    """Merges maps of one shape (height, width) that come in the order of a rule.

    newest, clearest: the first map that has a class decides. most-certain: the surest decides, of equals the
    first. most-common: the class that most maps name, of equals that which the earlier map names.
    """

    def __init__(self, rule: Rule, shape: tuple[int, int]) -> None:
        self._rule = rule
        self._codes = np.full(shape, IGNORE, np.uint8)
        self._source = np.zeros(shape, np.uint16)
        self._status = np.full(shape, PixelStatus.NODATA, np.uint8)
        """Of the pixel's class where it has one, else why not, as far as is known."""
        self._certainty = np.zeros(shape, np.uint8)
        # Of each class: how many maps name it, which was the first of them, and what its status was.
        votes = CLASS_COUNT if rule == "most-common" else 0
        self._votes, self._first = np.zeros((2, votes, *shape), np.uint16)
        self._firsts_status = np.zeros((votes, *shape), np.uint8)

    @property
    def is_full(self) -> bool:
        """Tell whether no further map can change anything."""
        return self._rule in ("newest", "clearest") and bool((self._codes != IGNORE).all())

    def add(self, layer: Layer) -> None:
        """Take in the next map; ValueError where the rule needs a certainty and it has none."""
        status = np.full(layer.codes.shape, UNKNOWN, np.uint8) if layer.status is None else layer.status
        classed = layer.inside & (layer.codes != IGNORE)
        self._explain(layer.inside & ~classed, status)
        if self._rule == "most-common":
            self._vote(layer, classed, status)
            return
        if self._rule == "most-certain":
            if layer.certainty is None:
                raise ValueError("a map that is merged by its certainty must have one")
            taken = classed & ((self._codes == IGNORE) | (layer.certainty > self._certainty))
            self._certainty[taken] = layer.certainty[taken]
        else:
            taken = classed & (self._codes == IGNORE)
        self._codes[taken], self._source[taken] = layer.codes[taken], layer.number
        self._status[taken] = status[taken]

    def _explain(self, without: NDArray[np.bool_], status: NDArray[np.uint8]) -> None:
        """Keep why pixels have no class: the first reason; that a map has no data there counts last."""
        open_ = without & (self._codes == IGNORE)
        known = status != PixelStatus.NODATA
        vague = (self._status == PixelStatus.NODATA) | (self._status == UNKNOWN)
        # A map that does not say why is outdone by one that does, and outdoes where there is no map.
        better = open_ & known & vague & ~((status == UNKNOWN) & (self._status == UNKNOWN))
        self._status[better] = status[better]

    def _vote(self, layer: Layer, classed: NDArray[np.bool_], status: NDArray[np.uint8]) -> None:
        for code in range(CLASS_COUNT):
            here = classed & (layer.codes == code)
            new = here & (self._votes[code] == 0)
            self._first[code][new] = layer.number
            self._firsts_status[code][new] = status[new]
            self._votes[code][here] += 1

    def result(self) -> Merged:
        """Return what all maps so far say together."""
        if self._rule == "most-common":
            self._elect()
        return Merged(self._codes, self._status, self._source)

    def _elect(self) -> None:
        # Of equals the one whose first map came first: maps are numbered as they come.
        came = np.where(self._votes == 0, MOST_MAPS, self._first).astype(np.int64)
        score = self._votes.astype(np.int64) * (MOST_MAPS + 1) - came
        best = score.argmax(axis=0)[None]
        elected = np.take_along_axis(self._votes, best, 0)[0] > 0
        self._codes[elected] = best[0][elected]
        self._source[elected] = np.take_along_axis(self._first, best, 0)[0][elected]
        self._status[elected] = np.take_along_axis(self._firsts_status, best, 0)[0][elected]
