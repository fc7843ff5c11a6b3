"""Concentration as NetCDF after the CF conventions 1.11, written a time at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import netCDF4
import numpy as np
import pyproj
from numpy.typing import NDArray

import labeling
from labeling.errors import OutputError
from labeling.files.atomic import replacing
from labeling.files.storage import AnyPath
from labeling.maps.cover import to_degrees
from labeling.maps.fractions import CellFlag, Cells
from labeling.maps.grids import MapGrid

CONVENTIONS: Final = "CF-1.11"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_FLAGS: Final = [(flag.value, flag.name.lower()) for flag in CellFlag if flag.name]


class Slice(NamedTuple):
    """A time of a file."""

    begin: datetime | None
    """None where no map says when it was taken: then the file has no times."""
    end: datetime | None
    cells: Cells
    """Row by row."""


class _Variable(NamedTuple):
    name: str
    field: str
    """Of Cells."""
    dtype: str
    fill: float
    attributes: dict[str, Any]


_SHARE: Final = {"units": "1", "valid_min": np.float32(0), "valid_max": np.float32(1)}

_ABOUT: Final = "unclassified_fraction number_of_pixels status_flag"

_VARIABLES: Final = [
    _Variable(
        "ice_conc", "ice", "f4", np.nan,
        {
            "standard_name": "sea_ice_area_fraction",
            "long_name": "share of the classified area of the cell that is ice, thin or thick",
            "ancillary_variables": f"total_standard_uncertainty {_ABOUT}",
            **_SHARE,
        },
    ),
    _Variable(
        "thin_ice_fraction", "thin", "f4", np.nan,
        {
            "long_name": "share of the classified area of the cell that is thin ice",
            "ancillary_variables": f"thin_ice_standard_uncertainty {_ABOUT}",
            **_SHARE,
        },
    ),
    _Variable(
        "total_standard_uncertainty", "ice_uncertainty", "f4", np.nan,
        {
            "standard_name": "sea_ice_area_fraction standard_error",
            "long_name": "standard uncertainty of ice_conc from errors of the classes",
            "units": "1",
        },
    ),
    _Variable(
        "thin_ice_standard_uncertainty", "thin_uncertainty", "f4", np.nan,
        {"long_name": "standard uncertainty of thin_ice_fraction from errors of the classes", "units": "1"},
    ),
    _Variable(
        "unclassified_fraction", "unclassified", "f4", np.nan,
        {"long_name": "share of the cell that has no class, for whatever reason", **_SHARE},
    ),
    _Variable(
        "number_of_pixels", "pixels", "i4", -1,
        {"long_name": "pixels of the cell that have a class", "units": "1"},
    ),
    _Variable(
        "status_flag", "flags", "u1", 255,
        {
            "standard_name": "status_flag",
            "long_name": "what to know of the cell",
            "flag_masks": np.array([value for value, _ in _FLAGS], np.uint8),
            "flag_meanings": " ".join(name for _, name in _FLAGS),
        },
    ),
]  # fmt: skip


def write_concentration(
    target: AnyPath, grid: MapGrid, slices: Iterator[Slice], *, timed: bool, attributes: dict[str, str]
) -> None:
    """Write slices of a grid, in the order of their times, atomically; `timed` unless the maps say none.

    OutputError when the disk is full.
    """
    with replacing(target) as temporary:
        try:
            with netCDF4.Dataset(temporary, "w", format="NETCDF4") as file:
                file.setncatts({"Conventions": CONVENTIONS, **attributes})
                _write_all(file, grid, slices, timed=timed)
        except (RuntimeError, OSError) as error:
            # Its library calls a full disk an HDF error, or a permission that is lacking.
            raise OutputError(
                f"{target} cannot be written ({error}): the disk is full, most likely. Make room there, and "
                "run the same command again: what is finished stays."
            ) from error


def _write_all(file: netCDF4.Dataset, grid: MapGrid, slices: Iterator[Slice], *, timed: bool) -> None:
    _write_grid(file, grid)
    if timed:
        _write_times(file)
    dimensions = ("time", "yc", "xc") if timed else ("yc", "xc")
    for variable in _VARIABLES:
        made = file.createVariable(
            variable.name, variable.dtype, dimensions, zlib=True, complevel=4, fill_value=variable.fill
        )
        made.setncatts(variable.attributes | {"grid_mapping": "crs", "coordinates": "lat lon"})
    for index, each in enumerate(slices):
        if timed:
            _write_time(file, index, each)
        place = index if timed else slice(None)
        for variable in _VARIABLES:
            values = getattr(each.cells, variable.field)
            file[variable.name][place] = values.reshape(grid.height, grid.width)


def _write_grid(file: netCDF4.Dataset, grid: MapGrid) -> None:
    """Write where cells lie: their middles in the grid's system and on Earth, and that system."""
    crs = pyproj.CRS.from_wkt(grid.crs)
    a, _, c, _, e, f = grid.transform
    x, y = c + a * (np.arange(grid.width) + 0.5), f + e * (np.arange(grid.height) + 0.5)
    for name, values, axis in (("yc", y, "Y"), ("xc", x, "X")):
        file.createDimension(name, len(values))
        made = file.createVariable(name, "f8", (name,))
        made.setncatts(
            {
                "standard_name": f"projection_{axis.lower()}_coordinate",
                "long_name": f"{axis.lower()} of the middle of the cell",
                "units": "m" if crs.axis_info[0].unit_conversion_factor == 1 else crs.axis_info[0].unit_name,
                "axis": axis,
            }
        )
        made[:] = values
    for name, long in (("lat", "latitude"), ("lon", "longitude")):
        made = file.createVariable(name, "f8", ("yc", "xc"), zlib=True, complevel=4)
        made.setncatts({"standard_name": long, "long_name": long, "units": f"degrees_{_SIDE[name]}"})
    for row, middle in enumerate(y):
        file["lon"][row], file["lat"][row] = to_degrees(grid.crs, x, np.full(x.shape, middle))
    made = file.createVariable("crs", "i4")
    made.setncatts({**crs.to_cf(), "long_name": f"coordinate system: {crs.name}"})


_SIDE: Final = {"lat": "north", "lon": "east"}


def _write_times(file: netCDF4.Dataset) -> None:
    file.createDimension("time", None)
    file.createDimension("nv", 2)
    made = file.createVariable("time", "f8", ("time",))
    made.setncatts(
        {
            "standard_name": "time", "long_name": "middle of the time that maps are from", "axis": "T",
            "units": "seconds since 1970-01-01 00:00:00", "calendar": "standard", "bounds": "time_bnds",
            "units_metadata": "leap_seconds: none",
        }
    )  # fmt: skip
    file.createVariable("time_bnds", "f8", ("time", "nv"))


def _write_time(file: netCDF4.Dataset, index: int, each: Slice) -> None:
    if each.begin is None or each.end is None:
        raise ValueError("a slice of a file with times must have one")
    seconds = np.array([(time - _EPOCH).total_seconds() for time in (each.begin, each.end)])
    file["time"][index], file["time_bnds"][index] = seconds.mean(), seconds


def attributes_of(source: str, comment: str, institution: str, made: datetime) -> dict[str, str]:
    """Return what a file says of itself."""
    return {
        "title": "Sea-ice concentration and thin-ice fraction from optical scenes",
        "institution": institution,
        "source": source,
        "history": f"{made.isoformat(timespec='seconds')} made by Polynya {labeling.__version__}",
        "references": "Iqrah et al. 2024; Olofsson et al. 2014, doi:10.1016/j.rse.2014.02.015",
        "comment": comment,
    }


def nothing(cells: int) -> Cells:
    """Return cells that no map reaches."""
    unknown = np.full(cells, np.nan)
    return Cells(
        unknown, unknown.copy(), unknown.copy(), unknown.copy(), np.ones(cells), np.zeros(cells, np.int64),
        np.full(cells, CellFlag.NODATA | CellFlag.FEW_PIXELS, np.uint8),
    )  # fmt: skip


def put(all_cells: Cells, grid: NDArray[np.int64], part: Cells) -> None:
    """Put cells of a part where they belong: `grid` has their index among all, below 0 for those outside."""
    inside = grid >= 0
    for name in Cells._fields:
        getattr(all_cells, name)[grid[inside]] = getattr(part, name)[inside]
