"""Writers of files that are damaged, or made to do harm, each in one way."""

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import rasterio
from pictures import write_png, write_tif

WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS = 256, 257, 322, 323, 324
"""TIFF tags."""

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


def shorten(path: Path, keep: float | int) -> Path:
    """Cut a file off, at a share of its length or at a byte."""
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    return path


def overwrite(path: Path, start: int, data: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)
    return path


def set_tag(path: Path, tag: int, value: int, item: int | None = None) -> Path:
    """Give a tag of a little-endian TIFF another value, or one `item` of a tag that has several."""
    data = path.read_bytes()
    directory = struct.unpack_from("<I", data, 4)[0]
    entries = range(directory + 2, directory + 2 + 12 * struct.unpack_from("<H", data, directory)[0], 12)
    [entry] = [place for place in entries if struct.unpack_from("<H", data, place)[0] == tag]
    kind = struct.unpack_from("<H", data, entry + 2)[0]
    if item is not None:  # the entry says where the items are
        size = {3: 2, 4: 4}[kind]
        place = struct.unpack_from("<I", data, entry + 8)[0] + item * size
        return overwrite(path, place, struct.pack({3: "<H", 4: "<I"}[kind], value))
    return overwrite(path, entry + 2, struct.pack("<HII", 4, 1, value))


def huge_tif(path: Path, rgb, side: int) -> Path:
    """A small tiled TIFF whose header claims side x side pixels."""
    write_tif(path, rgb, **TILED)
    return set_tag(set_tag(path, WIDTH, side), HEIGHT, side)


def huge_png(path: Path, rgb, side: int) -> Path:
    """A small PNG whose header claims side x side pixels, with the checksum that belongs to it."""
    write_png(path, rgb.transpose(1, 2, 0))
    header = b"IHDR" + struct.pack(">II", side, side) + path.read_bytes()[24:29]
    return overwrite(path, 12, header + struct.pack(">I", zlib.crc32(header)))


def short_png(path: Path, rgb, rows: int) -> Path:
    """A PNG with nothing wrong in it but that its pixels end after `rows` rows."""
    picture = rgb.transpose(1, 2, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in picture[:rows]))
    header = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )
    return path


def absurd_tiles(path: Path, rgb, side: int) -> Path:
    """A TIFF whose tiles claim to be side x side pixels, many times the picture."""
    write_tif(path, rgb, **TILED)
    return set_tag(set_tag(path, TILE_WIDTH, side), TILE_HEIGHT, side)


def lost_tile(path: Path, rgb, offset: int) -> Path:
    """A TIFF one of whose tiles is said to begin at `offset`, which is beyond its end."""
    return set_tag(write_tif(path, rgb, **TILED), TILE_OFFSETS, offset, item=3)


def unwritten_tile(path: Path, rgb) -> Path:
    """A TIFF whose lower right tile was never written, as a writer leaves it that was stopped."""
    count, height, width = rgb.shape
    profile = {"driver": "GTiff", "dtype": "uint8", "count": count, "height": height, "width": width}
    with rasterio.open(path, "w", **profile, **TILED, SPARSE_OK=True) as raster:
        for window in [window for _, window in raster.block_windows()][:-1]:
            rows, columns = window.toslices()
            raster.write(rgb[:, rows, columns], window=window)
    return path


def not_finite(
    path: Path, rgb, names=(None, None, None), numbers=(np.nan, np.inf, -np.inf), **options
) -> Path:
    """A float TIFF with a square of each of these numbers among its values of 0 to 0.3."""
    values = rgb.astype(np.float32) * np.float32(0.3 / 255)
    for start, number in zip((10, 30, 50), numbers, strict=True):
        values[:, start : start + 10, start : start + 10] = number
    write_tif(path, values, **options)
    with rasterio.open(path, "r+") as raster:
        raster.descriptions = names
    return path


def disguised_vrt(path: Path, other: Path) -> Path:
    """A file that GDAL takes for a virtual raster, and that would open another file in its name."""
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename>{other}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    path.write_text(f'<VRTDataset rasterXSize="200" rasterYSize="200">{bands}</VRTDataset>')
    return path


def cut_zip(path: Path) -> Path:
    """A zip that ends before its directory."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside.SAFE/MTD_MSIL1C.xml", "<xml/>" * 500)
    return shorten(path, 0.5)
