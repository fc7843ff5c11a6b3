"""What a cell of a concentration grid says, from the areas that were counted in it."""

from __future__ import annotations

from enum import IntFlag
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import CLASS_COUNT, IceClass
from labeling.maps.errors import MapErrors
from labeling.maps.sums import STATUSES, Sums
from labeling.status import UNKNOWN, PixelStatus

ICE: Final = (IceClass.THIN_ICE, IceClass.THICK_ICE)
THIN: Final = (IceClass.THIN_ICE,)
"""Classes whose share is told."""


class CellFlag(IntFlag):
    """What to know of a cell; bits of status_flag."""

    LAND = 1
    """More than `mostly` of the cell is land or ice shelf."""
    CLOUD = 2
    """The same of what has no class under a cloud mask."""
    NODATA = 4
    """The same of what no map has data for."""
    FEW_PIXELS = 8
    """Too little of the cell has a class, so it has no concentration."""
    LOW_SUN = 16
    """More than `mostly` of what has a class was seen under a low sun."""
    DOUBT = 32
    """The same of what is classified in doubt."""
    UNEXPLAINED = 64
    """More than `mostly` of the cell has no class, and its maps do not say why."""


_UNCLASSED: Final = {
    CellFlag.LAND: PixelStatus.LAND,
    CellFlag.CLOUD: PixelStatus.CLOUD,
    CellFlag.NODATA: PixelStatus.NODATA,
    CellFlag.UNEXPLAINED: UNKNOWN,
}
_CLASSED: Final = {CellFlag.LOW_SUN: PixelStatus.LOW_SUN, CellFlag.DOUBT: PixelStatus.DOUBT}


class Cells(NamedTuple):
    """Cells of a grid, (n,) each; fractions are 0..1, NaN where they are not known."""

    ice: NDArray[np.float64]
    """Share of what has a class that is ice."""
    thin: NDArray[np.float64]
    ice_uncertainty: NDArray[np.float64]
    thin_uncertainty: NDArray[np.float64]
    unclassified: NDArray[np.float64]
    """Share of the whole cell that has no class, whyever."""
    pixels: NDArray[np.int64]
    """That have a class."""
    flags: NDArray[np.uint8]
    """CellFlag."""


def cells_from(sums: Sums, errors: MapErrors | None, *, least: float, mostly: float = 0.5) -> Cells:
    """Return what cells say, from the sums of each over all of its pixels, those without a map included.

    A cell of which less than the share `least` has a class has no concentration. Uncertainties are NaN
    without `errors`.
    """
    whole = sums.areas.sum(axis=(1, 2)).astype(np.float64)
    by_class = sums.areas[:, :CLASS_COUNT].sum(axis=2).astype(np.float64)
    classed = by_class.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(whole > 0, classed / whole, 0.0)
        enough = (share >= least) & (classed > 0)
        shares = np.where(enough[:, None], by_class / classed[:, None], np.nan)
    flags = np.where(enough, 0, CellFlag.FEW_PIXELS).astype(np.uint8)
    for flag, status in _UNCLASSED.items():
        area = sums.areas[:, CLASS_COUNT, STATUSES.index(status)]
        flags[area > mostly * whole] |= flag
    for flag, status in _CLASSED.items():
        area = sums.areas[:, :CLASS_COUNT, STATUSES.index(status)].sum(axis=1)
        flags[area > mostly * classed] |= flag
    unknown = np.full(len(whole), np.nan)
    told = [
        unknown if errors is None else np.where(enough, errors.uncertainty(shares, classes), np.nan)
        for classes in (ICE, THIN)
    ]
    return Cells(
        shares[:, ICE].sum(axis=1),
        shares[:, IceClass.THIN_ICE],
        told[0],
        told[1],
        np.asarray(1.0 - share),
        sums.pixels[:, :CLASS_COUNT].sum(axis=(1, 2)),
        flags,
    )
