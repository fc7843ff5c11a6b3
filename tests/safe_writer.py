"""A writer of small but valid Sentinel-2 products in SAFE format, for tests.

Element and file names are those of real products; what this project never reads is left out.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from rasterio.transform import from_origin

from labeling.bands import BANDS, BLUE, GREEN, NODATA_DN, RED, Band

QUANTIFICATION = 10_000
TCI_WHITE = {"L1C": 0.3558, "L2A": 0.2}
"""Reflectance that the true-colour image shows as 255."""


@dataclass(frozen=True)
class ProductSpec:
    """Which variant to write."""

    product_type: Literal["L1C", "L2A"] = "L1C"
    baseline: str = "05.00"
    zipped: bool = False
    long_names: bool = False
    """Names of files and folders as before December 2016."""
    unit: str = "A"
    tile: str = "58CDU"
    crs: str = "EPSG:32758"
    left: int = 399_960
    top: int = 1_700_040
    sun_zenith: float = 61.25
    sensing_time: str = "2019-11-03T20:39:01.024Z"
    relative_orbit: int = 57

    @property
    def masks_are_rasters(self) -> bool:
        return float(self.baseline) >= 4

    @property
    def offset(self) -> int:
        """Of every band; the writer follows the rule of the processors, readers must not."""
        return -1000 if float(self.baseline) >= 4 else 0

    @property
    def datatake(self) -> str:
        return f"GS2{self.unit}_20191103T203901_022802_N{self.baseline}"

    @property
    def name(self) -> str:
        if self.long_names:
            return f"S2{self.unit}_OPER_PRD_MSI{self.product_type}_PDMC_20191103T233010_R057_V20191103T203901"
        number = self.baseline.replace(".", "")
        sensing = "20191103T203901"
        return f"S2{self.unit}_MSI{self.product_type}_{sensing}_N{number}_R057_T{self.tile}_20191103T233010"

    @property
    def granule(self) -> str:
        if self.long_names:
            return f"{self.tile_id}_N{self.baseline}"
        return f"{self.product_type}_T{self.tile}_A022802_20191103T203901"

    @property
    def tile_id(self) -> str:
        return f"S2{self.unit}_OPER_MSI_{self.product_type}_TL_EPA__20191103T223154_A022802_T{self.tile}"

    @property
    def product_xml(self) -> str:
        if self.long_names:
            return f"S2{self.unit}_OPER_MTD_SAF{self.product_type}_PDMC_20191103T233010_R057.xml"
        return f"MTD_MSI{self.product_type}.xml"

    @property
    def granule_xml(self) -> str:
        return f"{self.tile_id.replace('_MSI_', '_MTD_')}.xml" if self.long_names else "MTD_TL.xml"

    def image(self, layer: str, metres: int) -> str:
        """Name of an image relative to the product."""
        stem = self.tile_id if self.long_names else f"T{self.tile}_20191103T203901"
        folder = f"GRANULE/{self.granule}/IMG_DATA"
        if self.product_type == "L2A":
            return f"{folder}/R{metres}m/{stem}_{layer}_{metres}m.jp2"
        return f"{folder}/{stem}_{layer}.jp2"


def mean_of_blocks(values, factor):
    """Average (height, width) over squares of `factor`."""
    height, width = values.shape
    return values.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))


def native_dn(reflectance, spec, nodata=None):
    """Return {band: DN at its native resolution} of (13, height, width) reflectance at 10 m.

    `nodata` (height, width) bool marks what was not observed; a coarse pixel that holds any of it is 0.
    """
    dn = {}
    for band, values in zip(Band, reflectance, strict=True):
        if band not in BANDS[spec.product_type]:
            continue
        factor = band.resolution // 10
        values = mean_of_blocks(values.astype(np.float64), factor)
        # 1 is the lowest DN of an observation: 0 is kept for no-data, and processors clip there too.
        dn[band] = np.clip(np.rint(values * QUANTIFICATION) - spec.offset, 1, 65534).astype(np.uint16)
        if nodata is not None:
            dn[band][mean_of_blocks(nodata, factor) > 0] = NODATA_DN
    return dn


def write_product(folder: Path, dn, spec: ProductSpec, *, leave_out=()) -> Path:
    """Write a product from {band: native DN} (see `native_dn`) and return its folder or zip.

    `leave_out` holds parts of names of files not to write.
    """
    root = folder / f"{spec.name}.SAFE"
    height, width = dn[RED].shape
    images = [spec.image(band, band.resolution) for band in dn]

    def write(name, content):
        if not any(part in name for part in leave_out):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                (root / name).write_text(content, encoding="utf-8")
            else:
                write_jp2(root / name, content, spec, metres=10 * height // content.shape[-2])

    write(spec.product_xml, product_xml(spec, images))
    write(f"GRANULE/{spec.granule}/{spec.granule_xml}", granule_xml(spec, height=height, width=width))
    for name, band in zip(images, dn, strict=True):
        write(name, dn[band])
    if not spec.long_names:
        write(spec.image("TCI", 10), true_colour(dn, spec))
    if spec.product_type == "L2A":
        # What scene classification calls no-data (0) and snow or ice (11).
        write(spec.image("SCL", 20), np.where(dn[Band.B11] == NODATA_DN, 0, 11).astype(np.uint8))
        # Real products hold the 10 m bands at 20 m too: a reader must not take those.
        write(spec.image(RED, 20), mean_of_blocks(dn[RED], 2).astype(np.uint16))
    for name, content in masks(dn, spec).items():
        write(name, content)
    if spec.zipped:
        return zip_product(root)
    return root


def zip_product(root: Path) -> Path:
    """Replace a .SAFE folder by a zip that holds it."""
    path = shutil.make_archive(str(root), "zip", root.parent, root.name)
    shutil.rmtree(root)
    return Path(path)


def write_jp2(path: Path, values, spec, *, metres):
    """Write (height, width) or (bands, height, width) without loss."""
    values = values if values.ndim == 3 else values[np.newaxis]
    count, height, width = values.shape
    profile = {"driver": "JP2OpenJPEG", "dtype": values.dtype, "count": count, "height": height}
    profile |= {"width": width, "crs": spec.crs, "REVERSIBLE": "YES", "QUALITY": "100", "YCBCR420": "NO"}
    profile["transform"] = from_origin(spec.left, spec.top, metres, metres)
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)


def true_colour(dn, spec):
    """Return the TCI (3, height, width): 1..255 from reflectance 0 to white, 0 where there is no data."""
    stored = np.stack([dn[RED], dn[GREEN], dn[BLUE]])
    reflectance = (stored.astype(np.float64) + spec.offset) / QUANTIFICATION
    shown = np.clip(np.rint(1 + 254 * reflectance / TCI_WHITE[spec.product_type]), 1, 255)
    return np.where((stored == NODATA_DN).any(axis=0), 0, shown).astype(np.uint8)


def masks(dn, spec):
    """Return {name: raster or GML} of the quality masks of the variant."""
    folder = f"GRANULE/{spec.granule}/QI_DATA"
    if not spec.masks_are_rasters:
        stem = f"S2{spec.unit}_OPER_MSK_" if spec.long_names else "MSK_"
        end = "_MSIL1C" if spec.long_names else ""
        return {f"{folder}/{stem}{kind}{end}.gml": GML for kind in ("CLOUDS_B00", "DETFOO_B02")}
    # Opaque cloud, cirrus, snow: the lower half is snow.
    classes = np.zeros((3, *dn[Band.B01].shape), np.uint8)
    classes[2, classes.shape[1] // 2 :] = 1
    detector = np.where(dn[BLUE] == NODATA_DN, 0, 7).astype(np.uint8)
    return {f"{folder}/MSK_CLASSI_B00.jp2": classes, f"{folder}/MSK_DETFOO_B02.jp2": detector}


GML = (
    '<?xml version="1.0" encoding="UTF-8"?><eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" '
    'xmlns:gml="http://www.opengis.net/gml/3.2"><gml:name>MSK</gml:name></eop:Mask>'
)


def product_xml(spec, images):
    """Return the product's metadata file."""
    kind, level = spec.product_type, spec.product_type.removeprefix("L")
    files = "".join(f"<IMAGE_FILE>{name.removesuffix('.jp2')}</IMAGE_FILE>" for name in images)
    schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="{schema}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{spec.sensing_time}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{spec.sensing_time}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{spec.name}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI{level}</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{spec.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>2019-11-03T23:30:10.000000Z</GENERATION_TIME>
      <Datatake datatakeIdentifier="{spec.datatake}">
        <SPACECRAFT_NAME>Sentinel-2{spec.unit}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{spec.sensing_time}</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{spec.relative_orbit}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Product_Organisation>
        <Granule_List>
          <Granule granuleIdentifier="{spec.tile_id}_N{spec.baseline}" imageFormat="JPEG2000">
            {files}
          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX>
      </Special_Values>
      {quantification_xml(kind)}
      {offsets_xml(kind, spec.offset) if spec.offset else ""}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-{level}_User_Product>
"""


def quantification_xml(product_type):
    """Return the elements that state the quantification."""
    if product_type == "L1C":
        return f'<QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</QUANTIFICATION_VALUE>'
    return (
        "<QUANTIFICATION_VALUES_LIST>"
        f'<BOA_QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</BOA_QUANTIFICATION_VALUE>'
        '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>'
        "</QUANTIFICATION_VALUES_LIST>"
    )


def offsets_xml(product_type, offset):
    """Return the list of offsets, `band_id` 0..12."""
    outer, inner = {
        "L1C": ("Radiometric_Offset_List", "RADIO_ADD_OFFSET"),
        "L2A": ("BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET"),
    }[product_type]
    items = "".join(f'<{inner} band_id="{index}">{offset}</{inner}>' for index in range(len(Band)))
    return f"<{outer}>{items}</{outer}>"


def granule_xml(spec, *, height, width):
    """Return the granule's metadata file for a 10 m grid of that size."""
    level = spec.product_type.removeprefix("L")
    sizes = "".join(
        f'<Size resolution="{metres}"><NROWS>{height * 10 // metres}</NROWS>'
        f"<NCOLS>{width * 10 // metres}</NCOLS></Size>"
        for metres in (10, 20, 60)
    )
    positions = "".join(
        f'<Geoposition resolution="{metres}"><ULX>{spec.left}</ULX><ULY>{spec.top}</ULY>'
        f"<XDIM>{metres}</XDIM><YDIM>-{metres}</YDIM></Geoposition>"
        for metres in (10, 20, 60)
    )
    schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{level}_Tile_Metadata.xsd"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_Tile_ID xmlns:n1="{schema}">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{spec.tile_id}_N{spec.baseline}</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{spec.sensing_time}</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>{spec.crs}</HORIZONTAL_CS_CODE>
      {sizes}{positions}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Mean_Viewing_Incidence_Angle_List>
        <Mean_Viewing_Incidence_Angle bandId="0"><ZENITH_ANGLE unit="deg">7.5</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">200.0</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>
      </Mean_Viewing_Incidence_Angle_List>
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{spec.sun_zenith}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">55.0</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
    </Tile_Angles>
  </n1:Geometric_Info>
</n1:Level-{level}_Tile_ID>
"""
