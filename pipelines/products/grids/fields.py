"""Fields of concentration read from NetCDF: ours, and those of others that follow the CF conventions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import netCDF4
import numpy as np
import pyproj
from numpy.typing import NDArray
from pyproj.exceptions import CRSError

from labeling.errors import ConfigError
from labeling.files.storage import AnyPath
from labeling.maps.grids import MapGrid

MOST_CELLS: Final = 1 << 24
"""Of a slice; more is no grid of concentrations."""

_EVEN: Final = 1e-3
"""Share of a cell by which it may be off its place on an even grid: coordinates are often rounded."""

_METRES: Final = {"m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0, "km": 1000.0}
_SHARES: Final = {"1": 1.0, "": 1.0, "%": 0.01, "percent": 0.01}
"""What a unit is worth in metres, or as a share."""


class Fields(NamedTuple):
    """Concentrations on a grid, a slice for each time."""

    name: str
    """Of the file, for messages."""
    grid: MapGrid
    days: list[date | None]
    """Of each slice, UTC; None for one of no time, or of more than a day."""
    values: Any
    """The open variable."""
    share: float
    """What its unit is worth."""

    def read(self, index: int) -> NDArray[np.float32]:
        """Return a slice, 0..1 (rows, columns), NaN where it is unknown."""
        found = self.values[index] if self.values.ndim == 3 else self.values[:]
        return np.asarray(found.astype(np.float64).filled(np.nan) * self.share, np.float32)

    def slice_of(self, day: date) -> int:
        """Return which slice is of a day; ConfigError where none is."""
        if day not in self.days:
            there = ", ".join(sorted(each.isoformat() for each in self.days if each)) or "none"
            raise ConfigError(f"{self.name} has nothing of {day.isoformat()}. Days that are there: {there}.")
        if (count := self.days.count(day)) > 1:
            raise ConfigError(
                f"{self.name} has {count} times of {day.isoformat()}, and nothing says which is meant. Give "
                "one with one time a day."
            )
        return self.days.index(day)


@contextmanager
def open_fields(path: AnyPath, variable: str, grid: MapGrid | None = None) -> Iterator[Fields]:
    """Open a variable (time, y, x) or (y, x) on an even grid; ConfigError where it is none.

    `grid` is where it lies, if that is known otherwise: of one cell coordinates say too little.
    """
    try:
        file = _open(path)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{path} cannot be read as NetCDF ({error}). Give a file that can.") from None
    with file:
        if variable not in file.variables:
            names = (
                ", ".join(sorted(name for name, each in file.variables.items() if each.ndim >= 2)) or "none"
            )
            raise ConfigError(f"{path} has no variable {variable}. Fields that are there: {names}.")
        yield _fields(str(path), file, file[variable], grid)


def _open(path: AnyPath) -> netCDF4.Dataset:
    if isinstance(path, Path):
        return netCDF4.Dataset(path)
    return netCDF4.Dataset(path.name, memory=path.read_bytes())


def _fields(name: str, file: netCDF4.Dataset, values: Any, grid: MapGrid | None) -> Fields:
    try:
        grid = grid or _grid(file, values)
        share = _SHARES[str(getattr(values, "units", "1")).strip()]
        days = _days(file, values)
    except (ValueError, KeyError, AttributeError, CRSError, TypeError) as error:
        raise ConfigError(
            f"{name} does not say where and when {values.name} is ({error}). After the CF conventions "
            "it needs even coordinates in m or km, a grid mapping, a unit of 1 or %, and times of its slices."
        ) from None
    if grid.height * grid.width > MOST_CELLS:
        raise ConfigError(
            f"{name} has {grid.height} x {grid.width} cells, and edges are drawn on {MOST_CELLS} at most. "
            "Make a coarser one (concentration.cell_km)."
        )
    return Fields(name, grid, days, values, share)


def _grid(file: netCDF4.Dataset, values: Any) -> MapGrid:
    """Return where cells lie by their coordinates."""
    y, x = (_coordinate(file, dimension) for dimension in values.dimensions[-2:])
    step_x, step_y = (x[-1] - x[0]) / (len(x) - 1), (y[-1] - y[0]) / (len(y) - 1)
    transform = (step_x, 0.0, x[0] - step_x / 2, 0.0, step_y, y[0] - step_y / 2)
    return MapGrid(_system(file, values), tuple(map(float, transform)), len(y), len(x))


def _coordinate(file: netCDF4.Dataset, dimension: str) -> NDArray[np.float64]:
    """Return coordinates in metres, rising or falling evenly; ValueError otherwise."""
    found = file[dimension]
    places = np.asarray(found[:], np.float64) * _METRES[str(found.units)]
    if len(places) < 2:
        raise ValueError(f"one cell along {dimension}, and lines need two")
    even = np.linspace(places[0], places[-1], len(places))
    if np.abs(places - even).max() > _EVEN * abs(even[1] - even[0]):
        raise ValueError(f"{dimension} is not even")
    return places


def _system(file: netCDF4.Dataset, values: Any) -> str:
    mapping = file[values.grid_mapping]
    return pyproj.CRS.from_cf({key: mapping.getncattr(key) for key in mapping.ncattrs()}).to_wkt()


def _days(file: netCDF4.Dataset, values: Any) -> list[date | None]:
    if values.ndim == 2:
        return [None]
    if values.ndim != 3:
        raise ValueError(f"{values.ndim} dimensions")
    time = file[values.dimensions[0]]
    bounds = getattr(time, "bounds", None)
    # Bounds have the unit of what they bound.
    spans = [(0.0, 0.0)] * len(time) if bounds is None else file[bounds][:].tolist()
    days = []
    for middle, span in zip(_times(time[:], time), spans, strict=True):
        begin, end = _times(np.array(span, np.float64), time)
        days.append(middle.date() if end - begin <= timedelta(days=1) else None)
    return days


def _times(values: NDArray[np.float64], time: Any) -> list[datetime]:
    # Years of a model's own calendar are no days of ours.
    found: Any = netCDF4.num2date(
        values, time.units, getattr(time, "calendar", "standard"), only_use_cftime_datetimes=False,
        only_use_python_datetimes=True,
    )  # fmt: skip
    return [datetime.fromisoformat(str(each)).replace(tzinfo=UTC) for each in found]


def check_same_grid(fields: Fields, other: Fields) -> None:
    """Raise ConfigError unless two files are on one grid."""
    one, two = fields.grid, other.grid
    step = abs(one.transform[0])
    same = (one.height, one.width) == (two.height, two.width) and np.allclose(
        one.transform, two.transform, rtol=0, atol=_EVEN * step
    )
    if same and pyproj.CRS.from_wkt(one.crs).is_exact_same(two.crs):
        return
    if same and _alike(one, two):
        return
    raise ConfigError(
        f"{other.name} is on another grid than {fields.name}: {_said(two)} there, {_said(one)} here. Regrid "
        "it, or make the concentration on its grid (concentration.crs and concentration.cell_km)."
    )


def _alike(one: MapGrid, two: MapGrid) -> bool:
    """Tell whether two systems that are written differently put the corners of a grid in the same places."""
    corners = [one.affine @ corner for corner in ((0, 0), (one.width, 0), (0, one.height))]
    x, y = np.array(corners, np.float64).T
    between = pyproj.Transformer.from_crs(one.crs, two.crs, always_xy=True).transform(x, y)
    return bool(np.allclose(between, (x, y), rtol=0, atol=_EVEN * abs(one.transform[0])))


def _said(grid: MapGrid) -> str:
    name = pyproj.CRS.from_wkt(grid.crs).name
    corner = f"({grid.transform[2]:.0f}, {grid.transform[5]:.0f})"
    return f"{grid.height} x {grid.width} cells of {abs(grid.transform[0]):g} m from {corner} in {name}"
