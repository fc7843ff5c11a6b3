"""The files of a Sentinel-2 product: a folder `X.SAFE`, or a zip of it that is read in place.

X.SAFE/
  MTD_MSIL1C.xml                                   S2A_OPER_MTD_SAFL1C_*.xml in products before 2016-12
  GRANULE/<one granule>/
    MTD_TL.xml                                     S2A_OPER_MTD_L1C_TL_*.xml
    IMG_DATA/*_B02.jp2, *_TCI.jp2                  L1C
    IMG_DATA/R10m/*_B02_10m.jp2, R20m/*_SCL_20m.jp2  L2A
    QI_DATA/MSK_CLASSI_B00.jp2, MSK_DETFOO_B02.jp2   from baseline 04.00; GML before
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from labeling.bands import Band
from labeling.errors import SceneError
from labeling.files.links import check_inside
from labeling.files.storage import AnyPath, at, open_regular
from labeling.files.uri import gdal_path
from labeling.scenes.products.safe.aws import is_of_aws, of_aws
from labeling.scenes.products.safe.known import inner, product_xmls
from labeling.scenes.products.safe.zip import UNREADABLE, beside_mac, open_zip, zip_members

LARGEST_XML: Final = 16 << 20
"""Bytes; the XML of a real product stays below 1 MiB."""

_GRANULE_XML = re.compile(r"(MTD_TL|S2\w_\w{4}_MTD_L(1C|2A)_TL_.*)\.xml")
_IMAGE = re.compile(rf".*_(?P<layer>{'|'.join(Band)}|TCI|SCL)(_(?P<metres>[126]0)m)?\.jp2")
_MASK = re.compile(r"(.*_)?MSK_(?P<kind>[A-Z]+)_(.*_)?(?P<band>B\d[\dA])(_MSIL1C)?\.(?P<suffix>jp2|gml)")

_PREFERRED_METRES: Final = {"TCI": 10, "SCL": 20}


@dataclass(frozen=True)
class ProductFiles:
    """Where the files of one product are. Names are relative to the product, with `/`."""

    uri: AnyPath
    """The folder or the zip, absolute."""
    prefix: str
    """Folder of the product inside the zip with its `/`; empty at the top of a zip, and for a folder."""
    product_xml: str
    granule_xml: str
    names: tuple[str, ...]
    """Every file under the granule."""
    members: Mapping[str, str] = field(default_factory=dict)
    """Names in the zip, where there is one, by names with `/`."""

    @cached_property
    def zipped(self) -> bool:
        """Whether the files are inside a zip."""
        return self.uri.is_file()

    @cached_property
    def images(self) -> dict[str, str]:
        """Names by "B01".."B12", "B8A", "TCI", "SCL", each at its native resolution only."""
        found: dict[str, str] = {}
        for name in self.names:
            path = PurePosixPath(name)
            match = _IMAGE.fullmatch(path.name)
            if match is None or "IMG_DATA" not in path.parts:
                continue
            layer, metres = match["layer"], match["metres"]
            # L2A holds most bands at coarser resolutions too: those are not the measurement.
            if metres is None or int(metres) == _native_metres(layer):
                found[layer] = name
        return found

    @cached_property
    def masks(self) -> dict[str, str]:
        """Names of quality masks by "MSK_CLASSI_B00", "MSK_DETFOO_B02", …; raster where there are both."""
        found: dict[str, str] = {}
        for name in sorted(self.names, reverse=True):  # .jp2 after .gml, so that it stays
            match = _MASK.fullmatch(PurePosixPath(name).name)
            if match is not None:
                key = f"MSK_{match['kind']}_{match['band']}"
                if not found.get(key, "").endswith(".jp2"):
                    found[key] = name
        return found

    def band(self, band: Band) -> str:
        """Return the name of a band's image; SceneError when it is not there."""
        if band not in self.images:
            metres = band.resolution
            raise SceneError(
                f"{self.uri} has no image of band {band}: looked for IMG_DATA/*_{band}.jp2 and "
                f"IMG_DATA/R{metres}m/*_{band}_{metres}m.jp2 in its granule. Fetch the product again, with "
                "all of its bands."
            )
        return self.images[band]

    def gdal_path(self, name: str) -> str:
        """Return the path under which GDAL opens a file of the product, in place.

        SceneError where it is a link that leads out of the product.
        """
        if self.zipped:
            return f"/vsizip/{{{gdal_path(str(self.uri))}}}/{self.prefix}{name}"
        return gdal_path(str(self._file(name)))

    def _file(self, name: str) -> AnyPath:
        file = self.uri / name
        if isinstance(self.uri, Path):
            check_inside(self.uri, self.uri / name)
        return file

    def _member(self, name: str) -> str:
        return self.members.get(self.prefix + name, self.prefix + name)

    def read_xml(self, name: str) -> bytes:
        """Return the content of an XML file; SceneError when it is damaged or beyond LARGEST_XML."""
        try:
            if self.zipped:
                with open_zip(self.uri) as archive, archive.open(self._member(name)) as file:
                    content = file.read(LARGEST_XML + 1)
            else:
                with open_regular(self._file(name)) as file:
                    content = file.read(LARGEST_XML + 1)
        except UNREADABLE as error:
            raise SceneError(
                f"{self.uri} is damaged: its {name} cannot be read ({error}). Fetch it again."
            ) from None
        if len(content) > LARGEST_XML:
            raise SceneError(
                f"{self.uri}: {name} is larger than {LARGEST_XML >> 20} MiB, so it is no product's XML. "
                "Do not use this copy: fetch the product from its source."
            )
        return content


def find_files(uri: str) -> ProductFiles:
    """Find the files of the product at `uri`, a folder or a zip, without reading pixels.

    Raises SceneError when it does not exist, is no product, has not exactly one granule, lacks an XML file,
    or is a zip that is damaged or dangerous (paths that lead out of it, or far too much inside).
    """
    path, members = at(uri).absolute(), dict[str, str]()
    if path.is_dir():
        if isinstance(path, Path):
            path = _opened(path)
        prefix, product_xml = "", _product_xml(path, _list(path))
        names = _walk(path)
    elif path.is_file():
        members = zip_members(path)
        product_xml = _product_xml(path, members)
        folder, slash, product_xml = product_xml.rpartition("/")
        prefix = folder + slash
        names = [name.removeprefix(prefix) for name in members if name.startswith(prefix + "GRANULE/")]
    else:
        raise SceneError(f"{path} does not exist. Check the path of the product.")
    granule = _only_granule(path, names)
    found = [
        name
        for name in names
        if name.count("/") == 2 and name.startswith(granule) and _GRANULE_XML.fullmatch(Path(name).name)
    ]
    if len(found) != 1:
        raise SceneError(
            f"{path} has {len(found)} granule XML files: looked for {granule}MTD_TL.xml. Fetch the product "
            "again, complete."
        )
    return ProductFiles(path, prefix, product_xml, found[0], tuple(sorted(names)), members)


def _opened(folder: Path) -> Path:
    try:
        found = inner(folder) or folder
    except OSError as error:
        raise SceneError(f"{folder} cannot be listed ({error.strerror}). Check its permissions.") from None
    check_inside(folder, found)
    return found


def _native_metres(layer: str) -> int:
    return _PREFERRED_METRES[layer] if layer in _PREFERRED_METRES else Band(layer).resolution


def _product_xml(path: AnyPath, names: Iterable[str]) -> str:
    names = list(names)
    found = product_xmls(names)
    if not found and is_of_aws(names):
        raise SceneError(of_aws(path))
    if not found:
        raise SceneError(
            f"{path} is not a Sentinel-2 product: looked for MTD_MSIL1C.xml or MTD_MSIL2A.xml at its top. "
            "Give the .SAFE folder or its zip, or fetch the product again where that file is missing."
        )
    if len(found) > 1:
        raise SceneError(
            f"{path} holds {len(found)} products ({', '.join(sorted(found)[:3])}). Give each on its own."
        )
    return found[0]


def _list(folder: AnyPath) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir() if not beside_mac(entry.name)]
    except OSError as error:
        raise SceneError(f"{folder} cannot be listed ({error.strerror}). Check its permissions.") from None


def _walk(folder: AnyPath) -> list[str]:
    if not isinstance(folder, Path):
        found = [name for name in folder.files_below() if name.startswith("GRANULE/")]
        return [name for name in found if not beside_mac(name)]
    return [
        (Path(parent) / name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder / "GRANULE")
        for name in names
        if not beside_mac(name)
    ]


def _only_granule(path: AnyPath, names: list[str]) -> str:
    """Return "GRANULE/<name>/", the folder of the product's one granule."""
    granules = sorted({name.split("/")[1] for name in names if name.count("/") >= 2})
    if not granules:
        raise SceneError(
            f"{path} has no granule: looked for files in GRANULE/*/. Fetch the product again, complete."
        )
    if len(granules) > 1:
        raise SceneError(
            f"{path} has {len(granules)} granules ({', '.join(granules[:3])}): single-granule products only. "
            "Fetch the tiles one by one, as they are delivered since December 2016."
        )
    return f"GRANULE/{granules[0]}/"
