"""Reading products at 10, 20 and 60 m: right, whatever the blocks, and each block decoded once."""

import logging
import re
from collections import Counter
from functools import partial
from itertools import product

import cv2
import numpy as np
import pytest
import rasterio
from conftest import DATA
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.windows import Window
from safe_writer import ProductSpec, native_dn, write_product

from labeling.bands import BLUE, RED, Band, to_reflectance
from labeling.grid import Block, blocks
from labeling.scenes.contract.resample import Measured, coarser, cover
from labeling.scenes.products.safe.blocks import KEPT_BYTES, BlockCache, BlockRaster
from labeling.scenes.products.safe.images import GDAL_OPTIONS
from labeling.scenes.products.safe.reader import open_product

SPEC = ProductSpec()
SIZE = 480
JP2_SIDE = {10: 128, 20: 64, 60: 32}
"""Blocks that do not line up between resolutions, as in real products: 16, 16 and 9 of them."""

FOOTPRINT_SIDE = {10: 200, 20: 80, 60: 48}
"""9, 9 and 4 blocks."""


def whole(resolution, size=SIZE):
    return Block(0, 0, size * 10 // resolution, size * 10 // resolution)


def rewrite(path, metres, side, values=None):
    """Write an image again, in blocks of `side` pixels."""
    if values is None:
        with rasterio.open(path) as image:
            values = image.read(1)
    profile = {"driver": "JP2OpenJPEG", "dtype": values.dtype, "count": 1, "crs": SPEC.crs}
    profile |= {"height": values.shape[0], "width": values.shape[1], "REVERSIBLE": "YES", "QUALITY": "100"}
    grid = from_origin(SPEC.left, SPEC.top, metres, metres)
    with rasterio.open(
        path, "w", **profile, transform=grid, tiled=True, blockxsize=side, blockysize=side
    ) as image:
        image.write(values, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A product with all that is special about pixels, in small JPEG 2000 blocks, and its DN."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    wedge = columns - rows > SIZE * 2 // 3
    dn = native_dn(rng.uniform(-0.02, 1.2, (13, SIZE, SIZE)), SPEC, wedge)
    for band, stored in dn.items():
        stored[rng.random(stored.shape) < 0.05] = 0
        stored[rng.random(stored.shape) < 0.02] = 65535
        patch = slice(600 // band.resolution, 960 // band.resolution)
        stored[patch, patch] = 65535
    path = write_product(tmp_path_factory.mktemp("made"), dn, SPEC)
    for band, stored in dn.items():
        metres = band.resolution
        rewrite(path / SPEC.image(band, metres), metres, JP2_SIDE[metres])
        detectors = np.full(stored.shape, 6, np.uint8)
        detectors[:, : 300 // metres] = 0
        rewrite(path / SPEC.mask("DETFOO", band), metres, FOOTPRINT_SIDE[metres], detectors)
        stored[:, : 300 // metres] = 0
    return path, dn


def reflectance(stored):
    return to_reflectance(stored, SPEC.offset, 10_000).astype(np.float64)


# Any block

RESOLUTIONS, METHODS = (10, 20, 60), (Resampling.bilinear, Resampling.nearest)
BANDS = (Band.B02, Band.B11, Band.B01)
BLOCKS = st.builds(Block, *[st.integers(0, SIZE - 1)] * 2, *[st.integers(1, SIZE)] * 2)


@pytest.fixture(scope="module")
def wholes(made):
    """All of the product in each way to read it."""
    with open_product(str(made[0])) as opened:
        return {
            (band, resolution, method): opened.read(
                whole(resolution), [band], resolution=resolution, resampling=method
            )
            for band, resolution, method in product(BANDS, RESOLUTIONS, METHODS)
        }


@given(
    way=st.tuples(st.sampled_from(BANDS), st.sampled_from(RESOLUTIONS), st.sampled_from(METHODS)),
    parts=st.lists(BLOCKS, min_size=1, max_size=3),
)
def test_any_block_is_cut_from_the_whole(made, wholes, way, parts):
    """Whatever was read before it, too."""
    band, resolution, method = way
    side = SIZE * 10 // resolution
    with open_product(str(made[0])) as opened:
        for row, column, height, width in parts:
            row, column = row % side, column % side
            block = Block(row, column, min(height, side - row), min(width, side - column))
            found = opened.read(block, [band], resolution=resolution, resampling=method)
            equal(found, wholes[way], block)


def equal(part, expected, block):
    for one, of_whole in zip(part, expected, strict=True):
        np.testing.assert_array_equal(one, of_whole[..., *block.slices])


# Right values


@pytest.mark.parametrize(("resolution", "band"), [(10, "B02"), (20, "B11"), (60, "B09")])
def test_bands_of_that_resolution_are_read_as_they_are(made, resolution, band):
    path, dn = made
    with open_product(str(path)) as opened:
        values, valid, saturated = opened.read(whole(resolution), [Band(band)], resolution=resolution)
        native = opened.read_native(Band(band))
    np.testing.assert_array_equal(values[0], reflectance(dn[band]).astype(np.float32))
    np.testing.assert_array_equal(valid, dn[band] > 0)
    np.testing.assert_array_equal(saturated, dn[band] == 65535)
    for one, other in zip(native, (values, valid, saturated), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("resolution", "band"), [(20, "B02"), (60, "B02"), (60, "B11")])
def test_finer_bands_are_averaged(made, resolution, band):
    path, dn = made
    with open_product(str(path)) as opened:
        found = opened.read(whole(resolution), [Band(band)], resolution=resolution)
        nearest = opened.read(
            whole(resolution), [Band(band)], resolution=resolution, resampling=Resampling.nearest
        )
    equal(nearest, found, whole(resolution))
    factor, side = resolution // Band(band).resolution, len(found.valid)
    squares = dn[band].reshape(side, factor, side, factor).swapaxes(1, 2).reshape(side, side, -1)
    usable = (squares > 0) & (squares < 65535)
    np.testing.assert_array_equal(found.valid, (squares > 0).mean(axis=-1) >= 0.5)
    np.testing.assert_array_equal(found.saturated, (squares == 65535).any(axis=-1))
    np.testing.assert_array_equal(np.isnan(found.values[0]), ~found.valid)
    mean = np.ma.masked_array(reflectance(squares), ~usable).mean(axis=-1)
    expected = mean.filled((65535 - 1000) / 10_000)  # where every valid pixel is saturated
    np.testing.assert_allclose(found.values[0][found.valid], expected[found.valid], rtol=0, atol=1e-6)
    assert (mean.mask & found.valid).any()
    kinds = Counter(zip(found.valid.ravel().tolist(), found.saturated.ravel().tolist(), strict=True))
    assert len(kinds) == 4, "the product was to have pixels of every kind"


@pytest.mark.parametrize(("seen", "expected"), [(18, True), (17, False)])
def test_half_of_the_native_pixels_make_a_valid_one(seen, expected):
    valid = np.arange(36).reshape(6, 6) < seen
    native = Measured(np.where(valid, np.float32(0.5), np.nan), valid, np.zeros_like(valid))
    values, found, saturated = coarser(native, 6)
    assert found.item() is expected
    assert saturated.item() is False
    np.testing.assert_array_equal(values, np.float32(0.5 if expected else np.nan))


@pytest.mark.parametrize(("resolution", "band"), [(10, "B11"), (10, "B01"), (20, "B01")])
def test_coarser_bands_are_linear_between_centres(tmp_path, resolution, band):
    """OpenCV's linear resizing places pixels in the same way."""
    stored = np.random.default_rng(1).integers(1, 9000, (60 * 60 // Band(band).resolution,) * 2)
    dn = {Band(band): stored.astype(np.uint16)}
    size = 360
    with open_product(str(write_product(tmp_path, dn, SPEC))) as opened:
        found = opened.read(whole(resolution, size), list(dn), resolution=resolution)
    side = size * 10 // resolution
    expected = cv2.resize(reflectance(dn[Band(band)]), (side, side), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(found.values[0], expected, rtol=0, atol=1e-6)
    assert found.valid.all()


@pytest.mark.parametrize(("resolution", "band"), [(20, "B01"), (20, "B11"), (10, "B09")])
def test_nearest_takes_the_native_pixel_a_pixel_lies_in(made, resolution, band):
    path, dn = made
    factor = Band(band).resolution // resolution
    stored = dn[band].repeat(factor, 0).repeat(factor, 1)
    with open_product(str(path)) as opened:
        found = opened.read(
            whole(resolution), [Band(band)], resolution=resolution, resampling=Resampling.nearest
        )
    np.testing.assert_array_equal(found.values[0], reflectance(stored).astype(np.float32))
    np.testing.assert_array_equal(found.saturated, stored == 65535)


def test_bands_of_any_resolution_share_a_grid(made):
    with open_product(str(made[0])) as opened:
        for resolution in RESOLUTIONS:
            together = opened.read(whole(resolution), BANDS, resolution=resolution)
            alone = [opened.read(whole(resolution), [band], resolution=resolution) for band in BANDS]
            np.testing.assert_array_equal(together.values, np.concatenate([one.values for one in alone]))
            np.testing.assert_array_equal(together.valid, np.all([one.valid for one in alone], axis=0))
            np.testing.assert_array_equal(
                together.saturated, np.any([one.saturated for one in alone], axis=0)
            )


def test_mistakes_of_the_caller(made):
    with open_product(str(made[0])) as opened:
        with pytest.raises(ValueError, match="10, 20 or 60 m, not 30"):
            opened.read(Block(0, 0, 2, 2), [RED], resolution=30)
        with pytest.raises(ValueError, match="not inside 80 rows and 80 columns of 60 m"):
            opened.read(Block(0, 0, 81, 1), [RED], resolution=60)
        with pytest.raises(ValueError, match="not inside 240 rows and 240 columns of 20 m"):
            opened.read_native(Band.B11, Block(-1, 0, 2, 2))


# Decoding


@pytest.fixture
def decoded(caplog, monkeypatch):
    """Counts decoded JPEG 2000 blocks, by OpenJPEG's own messages: call it, and the count starts anew.

    GDAL's block cache is next to nothing meanwhile: it is shared by all of a process, so it promises nothing.
    """

    def count():
        found = re.findall(r"Tile (\d+)/(\d+) has been decoded", "\n".join(caplog.messages))
        caplog.clear()
        return Counter((int(number), int(of)) for number, of in found)

    monkeypatch.setitem(GDAL_OPTIONS, "GDAL_CACHEMAX", 1)
    with caplog.at_level(logging.DEBUG, logger="rasterio"), rasterio.Env(CPL_DEBUG=True):
        yield count


def once(of, tiles=None):
    """Return the count in which each of `tiles`, all where not given, of so many was decoded once."""
    return Counter(dict.fromkeys(((tile, of) for tile in tiles or range(1, of + 1)), 1))


@pytest.fixture(scope="module")
def bare(made, tmp_path_factory):
    """The same product without footprints: every block that is decoded is one of a band."""
    path = write_product(tmp_path_factory.mktemp("bare"), made[1], SPEC, leave_out=["MSK", "TCI"])
    for band in made[1]:
        rewrite(path / SPEC.image(band, band.resolution), band.resolution, JP2_SIDE[band.resolution])
    return path


def test_an_aligned_window_decodes_its_own_blocks_once(bare, decoded):
    with open_product(str(bare)) as opened:
        assert opened.layout(BLUE) == (10, 128, 128)
        assert opened.layout(Band.B11) == (20, 64, 64)
        opened.read(Block(0, 128, 128, 128), [BLUE])
        assert decoded() == once(16, [2])
        opened.read(Block(128, 0, 256, 384), [BLUE])
        assert decoded() == once(16, [5, 6, 7, 9, 10, 11])
        opened.read(Block(192, 128, 48, 64), [BLUE], resolution=20)
        assert decoded() == once(16, [15])
        opened.read_native(Band.B11, Block(64, 0, 64, 240))
        assert decoded() == once(16, [5, 6, 7, 8])


def test_interpolation_decodes_the_surroundings_once(bare, decoded):
    """One native pixel on each side of the window takes eight blocks more."""
    with open_product(str(bare)) as opened:
        opened.read(Block(128, 128, 128, 128), [Band.B11])
        assert decoded() == once(16, [1, 2, 3, 5, 6, 7, 9, 10, 11])
        opened.read(Block(128, 256, 128, 128), [Band.B11])
        assert decoded() == once(16, [4, 8, 12])
        opened.read(Block(128, 128, 128, 128), [Band.B11], resampling=Resampling.nearest)
        assert not decoded()


WINDOWS = list(blocks(height=SIZE, width=SIZE, size=128))


@pytest.mark.parametrize(("band", "tiles"), [(Band.B02, (16, 9)), (Band.B11, (16, 9)), (Band.B01, (9, 4))])
@pytest.mark.parametrize("part", [128, 200])
def test_a_run_decodes_each_block_of_band_and_footprint_once(made, decoded, band, tiles, part):
    """In windows that are aligned to the 10 m bands, and in windows that are aligned to none."""
    with open_product(str(made[0])) as opened:
        for window in blocks(height=SIZE, width=SIZE, size=part):
            opened.read(window, [band])
    assert decoded() == once(tiles[0]) + once(tiles[1])


def test_without_kept_blocks_a_run_decodes_them_again(made, decoded, monkeypatch):
    """So what the tests above count is decoding, and it is the kept blocks that save it."""
    monkeypatch.setattr("labeling.scenes.products.safe.reader.BlockCache", partial(BlockCache, 0))
    with open_product(str(made[0])) as opened:
        for window in WINDOWS:
            opened.read(window, [Band.B11])
    counted = decoded()
    assert set(counted) == set(once(16) + once(9))
    assert counted[6, 16] == 9


def granule(band, made_blocks):
    """Return a band of a whole granule whose blocks cost nothing."""
    side = 10_980 * 10 // band.resolution
    block_side = {20: 640, 60: 192}[band.resolution]

    def make(block):
        made_blocks[band, block] += 1
        return np.zeros((1, block.height, block.width), np.uint16)

    return BlockRaster(band, 1, "uint16", band.resolution, side, side, block_side, block_side, make)


@pytest.mark.parametrize("side", [1024, 1280])
def test_what_is_kept_is_bounded_and_enough_for_all_coarser_bands_of_a_granule(side):
    made_blocks = Counter()
    bands = [granule(band, made_blocks) for band in Band if band.resolution > 10]
    cache = BlockCache()
    for window in blocks(height=10_980, width=10_980, size=side):
        for band in bands:
            source = cover(window, band.metres // 10).grow(1, height=band.height, width=band.width)
            cache.read(band, source)
            assert cache.bytes <= KEPT_BYTES
    assert set(made_blocks.values()) == {1}
    assert len(made_blocks) == 6 * 9**2 + 3 * 10**2


def test_aligned_windows_keep_nothing():
    cache, band = BlockCache(), granule(Band.B11, Counter())
    for block in (Block(0, 0, 640, 640), Block(4480, 1280, 1010, 1280), Block(0, 0, 5490, 5490)):
        cache.read(band, block)
        assert cache.bytes == 0
    cache.read(band, Block(0, 0, 640, 639))
    assert cache.bytes == 640 * 640 * 2


def test_the_blocks_used_last_are_kept():
    made_blocks = Counter()
    band = granule(Band.B11, made_blocks)
    first, second, third = (Block(0, 640 * column, 10, 10) for column in range(3))
    cache = BlockCache(limit=2 * 640 * 640 * 2)
    for part in (first, second, first, third, first, second):
        cache.read(band, part)
    assert [count for _, count in sorted(made_blocks.items())] == [1, 2, 1]


# Real data


def real(band):
    path = DATA / "l1c-jp2" / f"s2_{band}.jp2"
    if not path.exists():
        pytest.skip(f"real data not present: {path} (POLYNYA_DATA names another folder)")
    return path


ROWS, COLUMNS = 323, 322
"""60 m pixels that both resolutions cover: the 60 m images begin 20 m further north."""

FIRST_ROW = {20: 2, 60: 1}
REAL_BANDS = (Band.B01, Band.B05, Band.B8A, Band.B09, Band.B10, Band.B11, Band.B12)


def window(band):
    factor = 60 // band.resolution
    return Window(0, FIRST_ROW[band.resolution], COLUMNS * factor, ROWS * factor)


@pytest.fixture(scope="module")
def real_product(tmp_path_factory):
    """The real bands in a product, as JPEG 2000: by their names they are, but they hold GeoTIFF."""
    dn = {}
    for band in REAL_BANDS:
        with rasterio.open(real(band)) as raster:
            dn[band] = raster.read(1, window=window(band))
    return write_product(tmp_path_factory.mktemp("real"), dn, ProductSpec(baseline="02.08"))


def rasterio_reads(band, resolution, resampling):
    """Return what rasterio makes of the real file, DN as f64."""
    shape = ROWS * 60 // resolution, COLUMNS * 60 // resolution
    with rasterio.open(real(band)) as raster:
        return raster.read(
            1, window=window(band), out_shape=shape, resampling=resampling, out_dtype="float64"
        )


@pytest.mark.parametrize("band", REAL_BANDS)
def test_real_bands_are_what_rasterio_reads(real_product, band):
    expected = rasterio_reads(band, band.resolution, Resampling.nearest)
    with open_product(str(real_product)) as opened:
        values, valid, saturated = opened.read_native(band)
    np.testing.assert_array_equal(valid, expected > 0)
    np.testing.assert_allclose(values[0][valid], expected[valid] / 10_000, rtol=1e-6)
    assert not saturated.any()


HALF_DN = 0.5 / 10_000 + 1e-6
"""GDAL resamples in whole DN."""


@pytest.mark.parametrize("band", [band for band in REAL_BANDS if band.resolution == 20])
def test_real_bands_are_averaged_as_rasterio_averages(real_product, band):
    expected = rasterio_reads(band, 60, Resampling.average)
    with open_product(str(real_product)) as opened:
        values, valid, _ = opened.read(Block(0, 0, ROWS, COLUMNS), [band], resolution=60)
    assert valid.all()
    np.testing.assert_allclose(values[0], expected / 10_000, rtol=0, atol=HALF_DN)


@pytest.mark.parametrize(
    ("band", "resolution"),
    [
        (band, metres)
        for band in REAL_BANDS
        for metres in (10, 20)
        # B10 holds DN 0 here and there, which rasterio would interpolate as a value.
        if metres < band.resolution and band is not Band.B10
    ],
)
def test_real_bands_are_interpolated_as_rasterio_interpolates(real_product, band, resolution):
    expected = rasterio_reads(band, resolution, Resampling.bilinear)
    near = rasterio_reads(band, resolution, Resampling.nearest)
    block = Block(0, 0, *expected.shape)
    with open_product(str(real_product)) as opened:
        values, valid, _ = opened.read(block, [band], resolution=resolution)
        nearest = opened.read(block, [band], resolution=resolution, resampling=Resampling.nearest)
    assert valid.all()
    # At its border rasterio looks at pixels of the file that the product does not have.
    inside = (slice(band.resolution // resolution, -band.resolution // resolution),) * 2
    np.testing.assert_allclose(values[0][inside], expected[inside] / 10_000, rtol=0, atol=HALF_DN)
    np.testing.assert_allclose(nearest.values[0], near / 10_000, rtol=1e-6)
