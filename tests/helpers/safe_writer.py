"""Small Sentinel-2 products for tests, in the variants that readers must cope with.

The products are written by `labeling.simulation.safe.writer`; added here are zips, the long names of before
December 2016, and layers that real L2A products have besides.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from labeling.bands import BANDS, RED, Band, ProductType
from labeling.simulation.safe import spec as safe_writer_spec
from labeling.simulation.safe import writer as safe_writer
from labeling.simulation.safe.writer import mean_of_blocks, write_jp2
from labeling.simulation.safe.xml import offsets_xml

__all__ = ["ProductSpec", "mean_of_blocks", "native_dn", "offsets_xml", "write_jp2", "write_product"]


@dataclass(frozen=True)
class ProductSpec(safe_writer_spec.ProductSpec):
    """Which variant to write."""

    product_type: ProductType = "L1C"
    baseline: str = "05.00"
    unit: str = "A"
    tile: str = "58CDU"
    crs: str = "EPSG:32758"
    left: int = 399_960
    top: int = 1_700_040
    datatake_start: datetime = datetime(2019, 11, 3, 20, 39, 1, tzinfo=UTC)
    sensing_time: datetime = datetime(2019, 11, 3, 20, 39, 1, 24_000, tzinfo=UTC)
    generated: datetime = datetime(2019, 11, 3, 23, 30, 10, tzinfo=UTC)
    absolute_orbit: int = 22_802
    relative_orbit: int = 57
    sun_zenith: float = 61.25
    zipped: bool = False
    long_names: bool = False
    """Names of files and folders as before December 2016."""

    @property
    def name(self):
        if not self.long_names:
            return super().name
        return f"S2{self.unit}_OPER_PRD_MSI{self.product_type}_PDMC_20191103T233010_R057_V20191103T203901"

    @property
    def granule(self):
        return f"{self.tile_id}_N{self.baseline}" if self.long_names else super().granule

    @property
    def product_xml(self):
        if not self.long_names:
            return super().product_xml
        return f"S2{self.unit}_OPER_MTD_SAF{self.product_type}_PDMC_20191103T233010_R057.xml"

    @property
    def granule_xml(self):
        if not self.long_names:
            return super().granule_xml
        return f"GRANULE/{self.granule}/{self.tile_id.replace('_MSI_', '_MTD_')}.xml"

    def image(self, layer, metres):
        short = super().image(layer, metres)
        stem = f"T{self.tile}_20191103T203901"
        return short.replace(f"/{stem}", f"/{self.tile_id}") if self.long_names else short

    def mask(self, kind, band):
        short = super().mask(kind, band)
        if not self.long_names:
            return short
        long = f"{self.part_id('MSK', kind)}_T{self.tile}_{band}_MSIL1C"
        return short.replace(f"MSK_{kind}_{band}", long)


def native_dn(reflectance, spec, nodata=None):
    """Return {band: DN at its native resolution} of (13, height, width) reflectance at 10 m.

    `nodata` (height, width) bool marks what was not observed; a coarse pixel that holds any of it is 0.
    """
    return {
        band: safe_writer.native_dn(
            values if nodata is None else np.where(nodata, np.nan, values), band, spec.offset
        )
        for band, values in zip(Band, reflectance, strict=True)
        if band in BANDS[spec.product_type]
    }


def write_product(folder, dn, spec, *, leave_out=()) -> Path:
    """Write a product from {band: native DN} (see `native_dn`) and return its folder or zip.

    Its lower half is snow, with an opaque cloud and a ring of cirrus above. `leave_out` holds parts of names
    of files that are then removed.
    """
    root = safe_writer.write_product(folder, spec, dn.items(), quality(dn))
    if spec.product_type == "L2A":
        # What scene classification calls no-data (0) and snow or ice (11).
        write_jp2(
            root / spec.image("SCL", 20), np.where(dn[Band.B11] == 0, 0, 11).astype(np.uint8), spec, metres=20
        )
        # Real products hold the 10 m bands at 20 m too: a reader must not take those.
        write_jp2(root / spec.image(RED, 20), mean_of_blocks(dn[RED], 2).astype(np.uint16), spec, metres=20)
    for file in [file for file in root.rglob("*") if file.is_file()]:
        if any(part in file.relative_to(root).as_posix() for part in leave_out):
            file.unlink()
    return zip_product(root) if spec.zipped else root


def quality(dn):
    """Return opaque cloud, cirrus and snow, u8 (3, height, width) at 60 m; None without a 60 m band."""
    if Band.B01 not in dn:
        return None
    classes = np.zeros((3, *dn[Band.B01].shape), np.uint8)
    height, width = dn[Band.B01].shape
    classes[2, height // 2 :] = 1
    classes[0, 1:3, 1:4] = 1
    classes[1, height // 5 : height // 2, width // 3 : width - 2] = 1
    classes[1, height // 5 + 1 : height // 2 - 1, width // 3 + 1 : width - 3] = 0
    return classes


def zip_product(root: Path) -> Path:
    """Replace a .SAFE folder by a zip that holds it."""
    path = shutil.make_archive(str(root), "zip", root.parent, root.name)
    shutil.rmtree(root)
    return Path(path)
