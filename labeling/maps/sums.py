"""Areas and pixels of a map by class and status, for zones of any kind: all of it, polygons, cells."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from labeling.classes import CLASS_CODES, IGNORE, IceClass
from labeling.errors import SceneError
from labeling.maps.grids import SQUARE_CM
from labeling.status import UNKNOWN, PixelStatus

STATUSES: Final = (*PixelStatus, UNKNOWN)
"""Statuses by their column of sums; the last is that of maps which have none."""

KINDS: Final = len(CLASS_CODES) + 1
"""Classes by their row of sums; the last is no class."""

NAMES: Final = (*(each.name.lower() for each in IceClass), "unclassified")
"""Rows of sums, as columns of tables are called."""

_CLASSED, _UNCLASSED = slice(0, KINDS - 1), slice(KINDS - 1, KINDS)

WHY: Final = {
    "nodata": (_UNCLASSED, STATUSES.index(PixelStatus.NODATA)),
    "cloud": (_UNCLASSED, STATUSES.index(PixelStatus.CLOUD)),
    "land": (_UNCLASSED, STATUSES.index(PixelStatus.LAND)),
    "classified_under_cloud": (_CLASSED, STATUSES.index(PixelStatus.CLOUD)),
    "classified_under_low_sun": (_CLASSED, STATUSES.index(PixelStatus.LOW_SUN)),
    "classified_in_doubt": (_CLASSED, STATUSES.index(PixelStatus.DOUBT)),
}
"""What status.tif tells, by the name of its column: which rows of sums, and which column."""

_ROW: Final = np.full(256, -1)
_ROW[[*CLASS_CODES, IGNORE]] = range(KINDS)
_COLUMN: Final = np.full(256, -1)
_COLUMN[list(STATUSES)] = range(len(STATUSES))

Columns = dict[str, NDArray[Any] | None]
"""Values by zone, None where they are unknown."""


class Sums(NamedTuple):
    """What was counted of some zones, by zone, class and status: i64 (zones, KINDS, len(STATUSES)) both."""

    pixels: NDArray[np.int64]
    areas: NDArray[np.int64]
    """Square centimetres: whole, so that sums do not depend on their order."""

    @classmethod
    def empty(cls, zones: int) -> Self:
        """Return sums of nothing."""
        shape = (zones, KINDS, len(STATUSES))
        return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64))

    def add(
        self,
        zones: NDArray[np.int64],
        codes: NDArray[np.uint8],
        status: NDArray[np.uint8] | None,
        areas: NDArray[np.int64],
    ) -> None:
        """Count pixels, all arrays of one shape; zones below 0 count nowhere. SceneError for unknown codes.

        `codes` are IceClass or IGNORE, `status` is PixelStatus, `areas` is in square centimetres.
        """
        kinds = _ROW[codes]
        statuses = np.full(codes.shape, len(STATUSES) - 1) if status is None else _COLUMN[status]
        if (kinds < 0).any() or (statuses < 0).any():
            raise SceneError(
                "a map holds codes that are no classes, or its status.tif codes that are no reasons: it was "
                "changed. Run the job that made it again."
            )
        inside = zones >= 0
        index = (zones[inside] * KINDS + kinds[inside]) * len(STATUSES) + statuses[inside]
        np.add.at(self.areas.reshape(-1), index, areas[inside])
        np.add.at(self.pixels.reshape(-1), index, 1)

    def columns(self, *, placed: bool = True, explained: bool = True) -> Columns:
        """Return what was counted by zone, under the names of a table's columns; areas in square metres.

        Areas are None unless `placed`: then the map has no place on Earth. What only status.tif tells is None
        unless `explained`.
        """
        areas = self.areas / SQUARE_CM
        found: Columns = {}
        for row, name in enumerate(NAMES):
            found[f"{name}_m2"] = self.areas[:, row].sum(axis=1) / SQUARE_CM if placed else None
        for name, (rows, column) in WHY.items():
            known = placed and explained
            found[f"{name}_m2"] = areas[:, rows, column].sum(axis=1) if known else None
        for row, name in enumerate(NAMES):
            found[f"{name}_pixels"] = self.pixels[:, row].sum(axis=1)
        return found
