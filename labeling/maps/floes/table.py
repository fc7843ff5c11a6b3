"""A map's floes as a table with outlines, and what they say together: counts, sizes by bin, a power law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray

from labeling.maps.floes.find import Floes
from labeling.maps.floes.shapes import Shapes, on_ground
from labeling.maps.floes.sizes import count_bins, fit_power_law
from labeling.maps.geopackage import with_shapes
from labeling.maps.ground import Ground


def whole_floes(floes: Floes, shapes: Shapes, least: int) -> NDArray[np.bool_]:
    """Return which floes (n,) are known whole and have `least` pixels: the others are in no statistics."""
    return np.asarray(~floes.cut & (shapes.pixels >= least))


def floe_table(
    floes: Floes, shapes: Shapes, ground: Ground, kept: NDArray[np.bool_], transform: Affine
) -> pa.Table:
    """Return a row for each of the floes that are `kept` (n,), with its outline by `transform`.

    `ground` is that of all floes' middles. Outlines are those of pixels; holes in a floe are holes in it.
    """
    sizes = on_ground(shapes, ground)
    numbers = np.flatnonzero(kept)
    rows = pa.table(
        {
            "floe": pa.array(numbers + 1, pa.int32()),
            "area_m2": sizes.area[numbers],
            "diameter_m": sizes.diameter[numbers],
            "perimeter_m": sizes.perimeter[numbers],
            "major_axis_m": sizes.major[numbers],
            "minor_axis_m": sizes.minor[numbers],
            "bearing_deg": sizes.bearing[numbers],
            "pixels": shapes.pixels[numbers],
        }
    )
    return with_shapes(rows, _outlines(floes, kept, transform))


def _outlines(floes: Floes, kept: NDArray[np.bool_], transform: Affine) -> NDArray[np.object_]:
    mask = np.concatenate([[False], kept])[floes.labels]
    outlines = np.full(len(kept) + 1, None, object)
    for outline, number in rasterio.features.shapes(floes.labels, mask, 4, transform):
        outlines[int(number)] = shapely.geometry.shape(outline)
    return outlines[1:][kept]


def summary(
    table: pa.Table, shapes: Shapes, ground: Ground, floes: Floes, *, power_law_from: float | None
) -> dict[str, Any]:
    """Return what a map's floes say together; areas in square metres, sizes are diameters in metres.

    `table` has the floes that count; of the others it says how many touch a border or no-data, and how many
    are too small. The power law is None for too few floes.
    """
    diameters = np.asarray(table["diameter_m"])
    areas = shapes.pixels * ground.areas
    law = fit_power_law(diameters, power_law_from)
    small = len(floes.cut) - table.num_rows - int(floes.cut.sum())
    kept_area = float(np.asarray(table["area_m2"]).sum())
    return {
        "floes": table.num_rows,
        "floe_area_m2": kept_area,
        "cut_floes": int(floes.cut.sum()),
        "cut_area_m2": float(areas[floes.cut].sum()),
        "small_floes": small,
        "small_area_m2": float(areas[~floes.cut].sum()) - kept_area if small else 0.0,
        "median_diameter_m": float(np.median(diameters)) if len(diameters) else None,
        "largest_diameter_m": float(diameters.max()) if len(diameters) else None,
        "alpha": None if law is None else law.alpha,
        "alpha_error": None if law is None else law.error,
        "alpha_from_m": None if law is None else law.at_least,
        "alpha_floes": None if law is None else law.floes,
        "alpha_distance": None if law is None else law.distance,
    }


def bins(table: pa.Table, edges: Sequence[float]) -> list[dict[str, Any]]:
    """Return a row for each bin of diameters, from `edges` on; the last is open, its `below_m` None."""
    return [
        {
            "from_m": each.at_least,
            "below_m": None if np.isinf(each.below) else each.below,
            "floes": each.floes,
            "area_m2": each.area_m2,
        }
        for each in count_bins(np.asarray(table["diameter_m"]), np.asarray(table["area_m2"]), edges)
    ]
