"""What the filter and its guard did to a scene, for its metadata: regions, lifted pixels, held ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labeling.classes import IGNORE, IceClass
from labeling.ice.label import PixelState, SceneTable


def filter_facts(table: SceneTable) -> dict[str, bool | float]:
    """Return what the guard decided in a scene, for its metadata; empty without a guard.

    filter_shadow       whether there is a region in which the filter may lift ice
    filter_shadow_area  the share of the scene's cells that lie in one
    filter_soft_edges   the share of the scene's edges that are soft
    filter_soft_area    the share of the scene's cells around which more edges are soft than those of ice are
    """
    if table.shadow is None:
        return {}
    opened = table.shadow.evidence > 0
    return {
        "filter_shadow": bool(opened.any()),
        "filter_shadow_area": round(float(opened.mean()), 6),
        "filter_soft_edges": round(table.shadow.soft_edges, 6),
        "filter_soft_area": round(table.shadow.soft_area, 6),
    }


class LiftCount:
    """How many pixels the filter turned to thick ice, and how many the guard kept from it, block by block."""

    def __init__(self, table: SceneTable) -> None:
        self._codes = table.codes if table.shadow else None
        self._classed = self._lifted = self._wanted = 0

    def add(self, key: NDArray[np.uint8], state: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        """Count a block, once: its keys and states, and the labels they became; u8 (height, width) each."""
        if self._codes is None:
            return
        thin = state == PixelState.SEEN
        self._classed += int(np.count_nonzero(labels != IGNORE))
        self._lifted += int(np.count_nonzero(thin & (labels == IceClass.THICK_ICE)))
        self._wanted += int(np.count_nonzero(thin & (self._codes[key] == IceClass.THICK_ICE)))

    @property
    def facts(self) -> dict[str, float]:
        """Shares of the classed pixels, for the scene's metadata: empty without a guard.

        filter_lifted  those that the filter turned from thin to thick ice
        filter_held    those that it would have turned, had the guard let it
        """
        if self._codes is None:
            return {}
        pixels = max(1, self._classed)
        return {
            "filter_lifted": round(self._lifted / pixels, 6),
            "filter_held": round((self._wanted - self._lifted) / pixels, 6),
        }
