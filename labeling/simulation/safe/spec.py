"""What a written product says about itself: its place, its time, and the names that follow from them.

X.SAFE/
  MTD_MSIL1C.xml
  GRANULE/<granule>/
    MTD_TL.xml
    IMG_DATA/<tile>_<time>_B02.jp2, …, _TCI.jp2     L1C
    IMG_DATA/R10m/<tile>_<time>_B02_10m.jp2, …      L2A
    QI_DATA/MSK_CLASSI_B00.jp2, MSK_DETFOO_B02.jp2  from baseline 04.00
    QI_DATA/MSK_CLOUDS_B00.gml, MSK_DETFOO_B02.gml  before

Names are those of products since December 2016 (Sentinel-2 Products Specification Document).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import atan2, degrees, hypot, radians, tan
from typing import Final, NamedTuple

from labeling.bands import Band, ProductType

QUANTIFICATION: Final = 10_000
"""DN per unit of reflectance."""


class Direction(NamedTuple):
    """Where something stands in the sky as seen from the ground, degrees."""

    zenith: float
    """0 overhead, 90 at the horizon."""
    azimuth: float
    """Clockwise from north, 0..360."""


_LOOKS_LATER: Final = (
    2.314, 0.0, 0.527, 1.005, 1.269, 1.525, 1.790, 0.264, 2.055, 2.586, 0.851, 1.468, 2.085,
)  # fmt: skip
"""Seconds after B02 at which each band looks at the same ground (Sentinel-2 User Handbook, 2015, table of the
bands' parallax)."""

_ANGULAR_SPEED: Final = 6.7 / 786
"""Ground track's speed over the height of the orbit, km/s over km: how the direction changes in a second."""


def viewing(across: float, heading: float = 195.0) -> tuple[Direction, ...]:
    """Return where the satellite stands for each band, in the order of `Band`, when it looks `across`.

    `across` is degrees, positive to the right of the track, whose `heading` is degrees too (195: descending).
    Bands look ahead or back along the track one after another, so their angles differ by up to 1.3 degrees.
    """
    towards = []
    for later in _LOOKS_LATER:
        # The satellite stands to the left of ground that it sees to its right, and later further on.
        left = tan(radians(across))
        on = (later - sum(_LOOKS_LATER) / len(_LOOKS_LATER)) * _ANGULAR_SPEED
        zenith = degrees(atan2(hypot(left, on), 1))
        towards.append(Direction(round(zenith, 6), round((heading + degrees(atan2(-left, on))) % 360, 6)))
    return tuple(towards)


VIEW: Final = viewing(5.0)
"""An ordinary place in the swath, which reaches about 10 degrees to both sides."""


@dataclass(frozen=True, kw_only=True)
class ProductSpec:
    """Which product to write; times are UTC."""

    product_type: ProductType = "L1C"
    baseline: str = "05.00"
    """Processing baseline. As in real products it decides the offset, and whether masks are rasters."""
    unit: str = "A"
    """Satellite: A, B or C."""
    tile: str
    """MGRS tile, for example "58CDU"."""
    crs: str
    """UTM zone of the tile, for example "EPSG:32758"."""
    left: int
    """Easting of the upper left corner, metres."""
    top: int
    """Northing of the upper left corner, metres."""
    datatake_start: datetime
    """Start of the acquisition, which neighbouring granules share."""
    sensing_time: datetime
    """When this granule was seen."""
    generated: datetime
    """When the product was made; what keeps two versions of it apart."""
    absolute_orbit: int
    relative_orbit: int
    """1..143."""
    sun_zenith: float
    """Degrees: 0 overhead, 90 at the horizon."""
    sun_azimuth: float = 55.0
    """Degrees clockwise from north."""
    view: tuple[Direction, ...] = VIEW
    """Where the satellite stands for each band, in the order of `Band`."""

    def __post_init__(self) -> None:
        if len(self.view) != len(Band):
            raise ValueError(f"a product has viewing angles for {len(Band)} bands, not {len(self.view)}")

    @property
    def masks_are_rasters(self) -> bool:
        """Whether quality masks are JPEG 2000 images rather than polygons in GML."""
        return float(self.baseline) >= 4

    @property
    def offset(self) -> int:
        """DN to add to every band; a writer may follow the processors' rule, readers must not."""
        return -1000 if float(self.baseline) >= 4 else 0

    @property
    def datatake(self) -> str:
        """Identifier of the acquisition."""
        return f"GS2{self.unit}_{stamp(self.datatake_start)}_{self.absolute_orbit:06d}_N{self.baseline}"

    @property
    def name(self) -> str:
        """Name of the product, without an ending."""
        return "_".join([
            f"S2{self.unit}", f"MSI{self.product_type}", stamp(self.datatake_start),
            f"N{self.baseline.replace('.', '')}", f"R{self.relative_orbit:03d}", f"T{self.tile}",
            stamp(self.generated),
        ])  # fmt: skip

    @property
    def granule(self) -> str:
        """Name of the granule's folder."""
        time = stamp(self.sensing_time)
        return f"{self.product_type}_T{self.tile}_A{self.absolute_orbit:06d}_{time}"

    @property
    def tile_id(self) -> str:
        """Identifier of the granule."""
        return self.part_id("MSI", f"{self.product_type}_TL") + f"_T{self.tile}"

    @property
    def product_xml(self) -> str:
        """Name of the product's metadata file."""
        return f"MTD_MSI{self.product_type}.xml"

    @property
    def granule_xml(self) -> str:
        """Name of the granule's metadata file."""
        return f"GRANULE/{self.granule}/MTD_TL.xml"

    def part_id(self, kind: str, what: str) -> str:
        """Return the start of the identifier that every part of a product carries, up to its orbit."""
        made = stamp(self.generated)
        return f"S2{self.unit}_OPER_{kind}_{what}_EPA__{made}_A{self.absolute_orbit:06d}"

    def image(self, layer: str, metres: int) -> str:
        """Return the name, in the product, of the image of a band or of TCI or SCL."""
        stem = f"T{self.tile}_{stamp(self.datatake_start)}_{layer}"
        folder = f"GRANULE/{self.granule}/IMG_DATA"
        return (
            f"{folder}/R{metres}m/{stem}_{metres}m.jp2"
            if self.product_type == "L2A"
            else f"{folder}/{stem}.jp2"
        )

    def mask(self, kind: str, band: str) -> str:
        """Return the name, in the product, of a quality mask such as DETFOO of B02 or CLASSI of B00."""
        suffix = "jp2" if self.masks_are_rasters else "gml"
        return f"GRANULE/{self.granule}/QI_DATA/MSK_{kind}_{band}.{suffix}"


def stamp(time: datetime) -> str:
    """Return a time as file names have it."""
    return f"{time:%Y%m%dT%H%M%S}"


def iso(time: datetime) -> str:
    """Return a time as metadata has it, with milliseconds."""
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"
