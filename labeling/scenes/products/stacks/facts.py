"""What rasters and tags say about a product, in the form of `ProductFacts`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Final, NamedTuple

from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader

from labeling.bands import Band, ProductType
from labeling.errors import SceneError
from labeling.scenes.contract.product import GRID, ORBITS, View

RESOLUTIONS: Final = (10, 20, 60)
"""Sides in metres that a pixel may have."""

# Not any "2A": "sentinel-2a" is a satellite.
_TYPE: Final = re.compile(r"(MSIL?|(?<![A-Z])L(EVEL)?[-_ ]?)(?P<level>1C|2A)P?(?![A-Z0-9])", re.IGNORECASE)
_NAME: Final = re.compile(
    r"S2(?P<unit>[A-D])_MSIL(?P<level>1C|2A)_(?P<start>\d{8}T\d{6})_N(?P<baseline>\d{4})_R(?P<orbit>\d{3})"
    r"_T(?P<tile>\d\d[A-Z]{3})_.*",
)


class Grid(NamedTuple):
    """The 10 m grid of a product."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    def fits(self, other: Grid) -> bool:
        """Tell whether two grids are one, up to a thousandth of a pixel."""
        same_size = (self.height, self.width) == (other.height, other.width)
        return (
            same_size and self.crs == other.crs and self.transform.almost_equals(other.transform, GRID / 1000)
        )


class ProductName(NamedTuple):
    """What the name of a product says, `S2A_MSIL1C_20191103T203901_N0500_R057_T58CDU_….SAFE`."""

    product_type: ProductType
    baseline: str
    relative_orbit: int
    tile: str
    acquisition: str
    """Satellite and start of the datatake: equal for all tiles and levels of one pass."""
    unit: str
    """The satellite: A, B or C."""


@dataclass(frozen=True)
class RasterFacts:
    """`ProductFacts` of a product that is no SAFE; None where nothing says."""

    product_id: str
    product_type: ProductType | None
    baseline: str | None
    sensing_time: datetime | None
    relative_orbit: int | None
    acquisition: str
    tile: str | None
    sun_zenith: float | None
    crs: CRS
    transform: Affine
    height: int
    width: int
    sun_azimuth: float | None = None
    views: Mapping[Band, View] = field(default_factory=dict)
    unit: str | None = None


def same_view(zenith: float | None, azimuth: float | None) -> dict[Band, View]:
    """Return one view for every band, where both angles are known: bands differ by a degree or so."""
    if zenith is None or azimuth is None:
        return {}
    return dict.fromkeys(Band, View(zenith, azimuth))


def parse_unit(text: str) -> str | None:
    """Return the satellite, A to D, from "Sentinel-2A", "sentinel-2b" or "S2C"; None for anything else."""
    match = re.fullmatch(r"(sentinel-?|s)2([a-d])", text.strip(), re.IGNORECASE)
    return match[2].upper() if match else None


def parse_number(text: str) -> float | None:
    """Return a finite number; None for anything else."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def parse_within(bounds: tuple[float, float]) -> Callable[[str], float | None]:
    """Return a reader of numbers that lie between two others; anything else is as good as not said."""
    low, high = bounds

    def parse(text: str) -> float | None:
        number = parse_number(text)
        return number if number is not None and low <= number <= high else None

    return parse


def parse_orbit(text: str) -> int | None:
    """Return a relative orbit, 1 to 143; None for anything else."""
    number = parse_within((1, ORBITS))(text)
    return None if number is None else int(number)


def grid_of(image: DatasetReader, name: str) -> Grid:
    """Return the 10 m grid that a raster of 10, 20 or 60 m pixels lies on; SceneError when it has none.

    `name` is the raster's name for messages.
    """
    metres = resolution_of(image, name)
    scale = metres // GRID
    transform = Affine(GRID, 0, image.transform.c, 0, -GRID, image.transform.f)
    return Grid(image.crs, transform, image.height * scale, image.width * scale)


def resolution_of(image: DatasetReader, name: str) -> int:
    """Return the side of a raster's pixels in metres; SceneError when that is not 10, 20 or 60."""
    if image.crs is None or not image.crs.is_projected or image.crs.linear_units_factor[1] != 1:
        raise SceneError(
            f"{name} has no coordinate system in metres ({image.crs or 'none'}). Bring it to that of its "
            "tile, for example with `rio warp in.tif out.tif --dst-crs EPSG:32758 --res 10`; state names "
            "and scale again."
        )
    a, b, _, d, e, _ = tuple(image.transform)[:6]
    metres = round(a) if isfinite(a) else 0
    if b or d or metres not in RESOLUTIONS or max(abs(a - metres), abs(e + metres)) > 1e-6:
        raise SceneError(
            f"{name} has pixels of {a:g} x {-e:g} m; they must be squares of 10, 20 or 60 m with north up. "
            "Bring it to such a grid, for example with `rio warp in.tif out.tif --res 10`; state names and "
            "scale again."
        )
    return metres


def parse_type(text: str) -> ProductType | None:
    """Return L1C or L2A from "L1C", "S2MSI2A", "Level-2A", "sentinel-2-c1-l2a", …; None for anything else."""
    match = _TYPE.search(text)
    if match is None:
        return None
    return "L1C" if match["level"].upper() == "1C" else "L2A"


def parse_name(text: str) -> ProductName | None:
    """Read a product's name, with or without `.SAFE`; None when it is not of the form used since 2016."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    digits = match["baseline"]
    return ProductName(
        product_type="L1C" if match["level"] == "1C" else "L2A",
        baseline=f"{digits[:2]}.{digits[2:]}",
        relative_orbit=int(match["orbit"]),
        tile=match["tile"],
        acquisition=f"GS2{match['unit']}_{match['start']}",
        unit=match["unit"],
    )


def parse_time(text: str) -> datetime | None:
    """Return a time in UTC from ISO 8601 or TIFF's "2019:11:03 20:39:01"; None for anything else."""
    tiff = re.fullmatch(r"(\d{4}):(\d\d):(\d\d) (.*)", text.strip())
    text = f"{tiff[1]}-{tiff[2]}-{tiff[3]}T{tiff[4]}" if tiff else text.strip()
    # Python 3.11 reads no more than six digits of a second.
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_baseline(text: str) -> str | None:
    """Return a processing baseline, "05.00", from "05.00", "N0500" or "5.0"; None for anything else."""
    text = text.strip()
    digits = re.fullmatch(r"N?(\d\d)\.?(\d\d)", text) or re.fullmatch(r"(\d{1,2})\.(\d)", text)
    return f"{digits[1]:0>2}.{digits[2]:0<2}" if digits else None


def without_baseline(datatake: str) -> str:
    """Return a datatake's id without the baseline: equal for every reprocessing of one pass."""
    return re.sub(r"_N\d\d\.\d\d$", "", datatake)
