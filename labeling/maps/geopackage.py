"""GeoPackages: tables with a shape in each row, in layers of any CRS, with the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyogrio
import shapely
from numpy.typing import NDArray

from labeling.files.atomic import replacing
from labeling.files.storage import AnyPath

SHAPE: Final = "geom"
"""Name of the column with the shapes, as WKB."""

_DAY: Final = "2000-01-01T00:00:00.000Z"
"""When every layer was last changed, as it says: the present time would make every file another one."""


class Layer(NamedTuple):
    """A layer, or more rows of one."""

    name: str
    rows: pa.Table
    """With the shapes in the column SHAPE."""
    crs: str
    """WKT."""
    kind: str
    """Of the shapes: Polygon, MultiLineString, …"""


def with_shapes(rows: pa.Table, shapes: NDArray[np.object_] | list[shapely.Geometry]) -> pa.Table:
    """Return a table with shapes beside its rows."""
    encoded = shapely.to_wkb(np.asarray(shapes, object))
    return rows.append_column(SHAPE, pa.array(encoded, pa.binary()))


def write_geopackage(target: AnyPath, layers: Iterable[Layer]) -> None:
    """Write layers, in this order, as one GeoPackage, atomically; rows of a layer's name are added to it."""
    begun = False
    with _one_day(), replacing(target) as temporary:
        for layer in layers:
            pyogrio.write_arrow(
                layer.rows, temporary, layer=layer.name, driver="GPKG", geometry_name=SHAPE,
                geometry_type=layer.kind, crs=layer.crs, append=begun,
            )  # fmt: skip
            begun = True


@contextmanager
def _one_day() -> Iterator[None]:
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _DAY})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
