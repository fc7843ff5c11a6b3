"""The two metadata files of a written product.

Elements are those of the Sentinel-2 Products Specification Document; what nobody here reads is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from labeling.bands import NODATA_DN, SATURATED_DN, Band, ProductType
from labeling.simulation.safe.spec import QUANTIFICATION, ProductSpec, iso

_RESOLUTIONS: Final = (10, 20, 60)

_OFFSETS: Final[dict[ProductType, tuple[str, str]]] = {
    "L1C": ("Radiometric_Offset_List", "RADIO_ADD_OFFSET"),
    "L2A": ("BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET"),
}

_QUANTIFICATION: Final[dict[ProductType, str]] = {
    "L1C": f'<QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</QUANTIFICATION_VALUE>',
    "L2A": f"""<QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</BOA_QUANTIFICATION_VALUE>
        <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>""",
}


def product_xml(spec: ProductSpec, images: Iterable[str]) -> str:
    """Return the product's metadata file; `images` are the names of its bands' images."""
    level = spec.product_type.removeprefix("L")
    files = "".join(f"<IMAGE_FILE>{name.removesuffix('.jp2')}</IMAGE_FILE>" for name in images)
    schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="{schema}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{iso(spec.sensing_time)}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{iso(spec.sensing_time)}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{spec.name}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI{level}</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{spec.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{iso(spec.generated)}</GENERATION_TIME>
      <Datatake datatakeIdentifier="{spec.datatake}">
        <SPACECRAFT_NAME>Sentinel-2{spec.unit}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{iso(spec.datatake_start)}</DATATAKE_SENSING_START>
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
        <SPECIAL_VALUE_INDEX>{NODATA_DN}</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>{SATURATED_DN}</SPECIAL_VALUE_INDEX>
      </Special_Values>
      {_QUANTIFICATION[spec.product_type]}
      {offsets_xml(spec.product_type, spec.offset) if spec.offset else ""}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-{level}_User_Product>
"""


def offsets_xml(product_type: ProductType, offset: int) -> str:
    """Return the list of offsets, `band_id` 0..12, all the same."""
    outer, inner = _OFFSETS[product_type]
    items = "".join(f'<{inner} band_id="{index}">{offset}</{inner}>' for index in range(len(Band)))
    return f"<{outer}>{items}</{outer}>"


def granule_xml(spec: ProductSpec, *, height: int, width: int) -> str:
    """Return the granule's metadata file for a grid of (height, width) pixels of 10 m."""
    level = spec.product_type.removeprefix("L")
    sizes = "".join(
        f'<Size resolution="{metres}"><NROWS>{height * 10 // metres}</NROWS>'
        f"<NCOLS>{width * 10 // metres}</NCOLS></Size>"
        for metres in _RESOLUTIONS
    )
    positions = "".join(
        f'<Geoposition resolution="{metres}"><ULX>{spec.left}</ULX><ULY>{spec.top}</ULY>'
        f"<XDIM>{metres}</XDIM><YDIM>-{metres}</YDIM></Geoposition>"
        for metres in _RESOLUTIONS
    )
    views = "".join(
        f'<Mean_Viewing_Incidence_Angle bandId="{index}">'
        f'<ZENITH_ANGLE unit="deg">{view.zenith}</ZENITH_ANGLE>'
        f'<AZIMUTH_ANGLE unit="deg">{view.azimuth}</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>'
        for index, view in enumerate(spec.view)
    )
    schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-{level}_Tile_Metadata.xsd"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_Tile_ID xmlns:n1="{schema}">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{spec.tile_id}_N{spec.baseline}</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{iso(spec.sensing_time)}</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>{spec.crs}</HORIZONTAL_CS_CODE>
      {sizes}{positions}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{spec.sun_zenith}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">{spec.sun_azimuth}</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
      <Mean_Viewing_Incidence_Angle_List>
        {views}
      </Mean_Viewing_Incidence_Angle_List>
    </Tile_Angles>
  </n1:Geometric_Info>
</n1:Level-{level}_Tile_ID>
"""
