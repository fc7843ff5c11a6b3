"""Sentinel-2 products: reflectance within half a DN for every variant; bad ones refused with a way out."""

import pickle
import re
import weakref
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import numpy as np
import pytest
import rasterio
from conftest import DATA
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.features import rasterize
from safe_writer import ProductSpec, mean_of_blocks, native_dn, offsets_xml, quality, write_jp2, write_product

from labeling.bands import BANDS, BLUE, GREEN, RED, Band, to_reflectance
from labeling.errors import SceneError
from labeling.grid import Block, blocks
from labeling.scenes.products.safe import files as safe_files
from labeling.scenes.products.safe import zip as safe_zip
from labeling.scenes.products.safe.metadata import parse_metadata
from labeling.scenes.products.safe.reader import open_product
from labeling.simulation.safe import writer as safe_writer

SIZE = 120
WHOLE = Block(0, 0, SIZE, SIZE)
ALL_VARIANTS = [
    ProductSpec(product_type, baseline, zipped=zipped, long_names=long_names)
    for product_type, baseline, zipped, long_names in product(
        ("L1C", "L2A"), ("02.08", "05.00"), (False, True), (False, True)
    )
]
HALF_DN = 0.5 / 10_000 + 1e-6  # and the rounding of float32


def name_of(spec):
    names = "long" if spec.long_names else "compact"
    return f"{spec.product_type}-{spec.baseline}-{'zip' if spec.zipped else 'folder'}-{names}"


def surface(size=SIZE, seed=0):
    """Reflectance (13, size, size) of ice and dark water, -0.02..1.1, the same at all of a 60 m pixel."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-0.02, 1.1, (13, size // 6, size // 6))
    return np.repeat(np.repeat(coarse, 6, axis=1), 6, axis=2) + rng.normal(0, 0.002, (13, size, size))


def wedge(size=SIZE):
    """No-data in the upper right corner."""
    rows, columns = np.mgrid[:size, :size]
    return columns - rows > size * 2 // 3


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A product nobody changes, with a wedge of no-data, and its DN."""
    spec = ProductSpec()
    dn = native_dn(surface(), spec, wedge())
    dn[RED][50:53, 60:70] = 65535
    dn[Band.B11][30, 20] = 65535
    dn[GREEN][100, 100] = 1
    return write_product(tmp_path_factory.mktemp("plain"), dn, spec), dn, spec


# Reading


@pytest.mark.parametrize("spec", ALL_VARIANTS, ids=name_of)
def test_every_variant_gives_back_its_reflectance(tmp_path, spec):
    reflectance, nodata = surface(), wedge()
    path = write_product(tmp_path, native_dn(reflectance, spec, nodata), spec)
    lowest = (1 + spec.offset) / 10_000  # a DN cannot say less
    with open_product(str(path)) as opened:
        assert opened.facts.radiometry.offsets == dict.fromkeys(BANDS[spec.product_type], spec.offset)
        for band in BANDS[spec.product_type]:
            factor = band.resolution // 10
            expected = np.maximum(mean_of_blocks(reflectance[list(Band).index(band)], factor), lowest)
            values, valid, saturated = opened.read_native(band)
            assert not saturated.any()
            np.testing.assert_array_equal(valid, mean_of_blocks(nodata, factor) == 0)
            np.testing.assert_array_equal(np.isnan(values[0]), ~valid)
            np.testing.assert_allclose(values[0][valid], expected[valid], rtol=0, atol=HALF_DN)
        colour = opened.read(WHOLE, (RED, GREEN, BLUE))
        np.testing.assert_array_equal(colour.valid, ~nodata)
        for index, band in enumerate((RED, GREEN, BLUE)):
            np.testing.assert_array_equal(colour.values[index], opened.read_native(band).values[0])


@pytest.mark.parametrize("resampling", [Resampling.bilinear, Resampling.nearest])
@pytest.mark.parametrize(
    ("part_of", "size"), [(WHOLE, 7), (WHOLE, 50), (Block(33, 61, 31, 59), 13), (Block(83, 1, 5, 5), 1)]
)
def test_blocks_at_any_offset_equal_the_whole_read(plain, resampling, part_of, size):
    path, _, _ = plain
    bands = (Band.B02, Band.B11, Band.B01)
    with open_product(str(path)) as opened:
        whole = opened.read(WHOLE, bands, resampling=resampling)
        for cut in blocks(height=part_of.height, width=part_of.width, size=size):
            block = Block(part_of.row + cut.row, part_of.column + cut.column, cut.height, cut.width)
            part = opened.read(block, bands, resampling=resampling)
            rows, columns = block.slices
            np.testing.assert_array_equal(part.values, whole.values[:, rows, columns])
            np.testing.assert_array_equal(part.valid, whole.valid[rows, columns])
            np.testing.assert_array_equal(part.saturated, whole.saturated[rows, columns])


def test_nearest_repeats_native_pixels(plain):
    path, _, _ = plain
    with open_product(str(path)) as opened:
        for band in (Band.B05, Band.B09):
            factor = band.resolution // 10
            fine = opened.read(WHOLE, [band], resampling=Resampling.nearest).values[0]
            native = opened.read_native(band).values[0]
            np.testing.assert_array_equal(fine, native.repeat(factor, 0).repeat(factor, 1))


def test_bilinear_keeps_a_ramp_and_lets_no_special_value_in(tmp_path):
    spec = ProductSpec()
    ramp = np.broadcast_to(np.linspace(0.1, 0.8, SIZE), (13, SIZE, SIZE))
    dn = native_dn(ramp, spec)
    dn[Band.B11][20, 10], dn[Band.B11][40, 30] = 0, 65535
    with open_product(str(write_product(tmp_path, dn, spec))) as opened:
        fine = opened.read(WHOLE, [Band.B11])
        usable = fine.valid & ~fine.saturated
        assert (~fine.valid).sum() == 4
        assert fine.saturated.sum() == 4
        np.testing.assert_array_equal(np.isnan(fine.values[0]), ~fine.valid)
        error = np.abs(fine.values[0] - ramp[0])[usable]
        # Beside a hole, and at the border, half a native pixel of the ramp is what can be lost.
        assert error.max() <= 0.8 / SIZE * 2
        assert np.median(error) <= HALF_DN


def test_offset_never_touches_no_data(plain):
    path, _, _ = plain
    with open_product(str(path)) as opened:
        values, valid, _ = opened.read(Block(99, 99, 3, 3), [GREEN])
        assert valid.all()
        assert values[0, 1, 1] == np.float32(-0.0999)
        assert not opened.read(Block(0, SIZE - 2, 2, 2), [GREEN]).valid.any()


def test_saturated_is_marked_and_stays_valid(plain):
    path, dn, _ = plain
    with open_product(str(path)) as opened:
        _, valid, saturated = opened.read(WHOLE, (RED, GREEN))
        np.testing.assert_array_equal(saturated, dn[RED] == 65535)
        assert valid[saturated].all()
        assert opened.read(Block(60, 40, 2, 2), [Band.B11]).saturated.all()


def test_layers_come_by_nearest_neighbour(plain, tmp_path):
    path, dn, spec = plain
    with open_product(str(path)) as opened:
        classes = opened.read_layer("MSK_CLASSI_B00", Block(57, 5, 8, 9))
        assert classes.shape == (3, 8, 9)
        np.testing.assert_array_equal(classes[2].any(axis=1), np.arange(57, 65) >= 60)
        detector = opened.read_layer("MSK_DETFOO_B02", WHOLE)
        np.testing.assert_array_equal(detector[0] == 0, dn[BLUE] == 0)
        colour = opened.read_layer("TCI", WHOLE)
        np.testing.assert_array_equal((colour == 0).all(axis=0), wedge())
        assert opened.read_layer("SCL", WHOLE) is None
    corrected = replace(spec, product_type="L2A", baseline="02.08")
    path = write_product(tmp_path, native_dn(surface(), corrected, wedge()), corrected)
    with open_product(str(path)) as opened:
        assert set(np.unique(opened.read_layer("SCL", WHOLE))) == {0, 11}
        assert opened.read_layer("MSK_DETFOO_B99", WHOLE) is None
        detector = opened.read_layer("MSK_DETFOO_B02", WHOLE)
        np.testing.assert_array_equal(detector[0] == 0, wedge())
        assert opened.files.masks["MSK_DETFOO_B02"].endswith("MSK_DETFOO_B02.gml")


@given(dn=st.lists(st.integers(0, 65535), min_size=1, max_size=30), offset=st.sampled_from([0, -1000, 1000]))
@settings(max_examples=50, deadline=None)
def test_reflectance_of_any_dn(dn, offset):
    values = to_reflectance(np.array(dn, np.uint16), offset, 10_000)
    assert values.dtype == np.float32
    for stored, value in zip(dn, values, strict=True):
        assert np.isnan(value) if stored == 0 else abs(value - (stored + offset) / 10_000) < 1e-6


def test_reflectance_refuses_other_types():
    with pytest.raises(ValueError, match="uint16"):
        to_reflectance(np.array([-5], np.int16), 0, 10_000)


@pytest.mark.parametrize("block", [Block(-1, 0, 5, 5), Block(0, SIZE - 4, 5, 5), Block(0, 0, 0, 5)], ids=str)
def test_a_block_outside_is_a_mistake_of_the_caller(plain, block):
    with open_product(str(plain[0])) as opened, pytest.raises(ValueError, match="not inside"):
        opened.read(block, [RED])


def test_other_mistakes_of_the_caller(plain):
    with open_product(str(plain[0])) as opened:
        with pytest.raises(ValueError, match="no bands"):
            opened.read(WHOLE, [])
        with pytest.raises(ValueError, match="bilinear or nearest"):
            opened.read(WHOLE, [RED], resampling=Resampling.cubic)


# Metadata


@pytest.mark.parametrize("unit", "ABC")
def test_metadata_is_exact_and_travels(tmp_path, unit):
    spec = ProductSpec(
        unit=unit, tile="01CDV", crs="EPSG:32701", left=499_980, sun_zenith=68.5, relative_orbit=143
    )
    path = write_product(tmp_path, native_dn(surface(60), spec), spec)
    with open_product(str(path)) as opened:
        found = pickle.loads(pickle.dumps(opened.facts))
    assert (found.product_id, found.product_type, found.baseline) == (spec.name, "L1C", "05.00")
    assert found.sensing_time == datetime(2019, 11, 3, 20, 39, 1, 24_000, tzinfo=UTC)
    assert (found.relative_orbit, found.tile, found.sun_zenith) == (143, "01CDV", 68.5)
    assert found.datatake == f"GS2{unit}_20191103T203901_022802_N05.00"
    assert found.acquisition == f"GS2{unit}_20191103T203901_022802"
    assert found.crs == rasterio.crs.CRS.from_epsg(32701)
    assert tuple(found.transform)[:6] == (10, 0, 499_980, 0, -10, 1_700_040)
    assert (found.height, found.width) == (60, 60)
    assert found.radiometry.quantification == 10_000
    assert len(found.image_files) == 13
    assert found.image_files[0].endswith("_B01")


def test_offsets_belong_to_bands_by_band_id(plain):
    path, _, spec = plain
    with open_product(str(path)) as opened:
        files = opened.files
    text = files.read_xml(files.product_xml).decode()
    for index in range(13):
        text = text.replace(f'band_id="{index}">-1000<', f'band_id="{index}">{-index}<')
    offsets = parse_metadata(text.encode(), files.read_xml(files.granule_xml), where="x").radiometry.offsets
    names = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
    assert offsets == {Band(name): -index for index, name in enumerate(names)}
    assert spec.offset == -1000


def test_offsets_follow_the_xml_and_not_the_baseline(tmp_path):
    """An old product reprocessed into a collection with offsets, whatever its date or baseline."""
    spec = ProductSpec(baseline="02.08")
    path = write_product(tmp_path, native_dn(surface(), spec), spec)
    before = open_red(path)
    xml = path / spec.product_xml
    end = "</Product_Image_Characteristics>"
    xml.write_text(xml.read_text().replace(end, offsets_xml("L1C", -1000) + end))
    np.testing.assert_allclose(open_red(path), before - 0.1, atol=1e-6)


def open_red(path):
    with open_product(str(path)) as opened:
        return opened.read(WHOLE, [RED]).values[0]


# Writing


def read_gml(path):
    """Return [(feature id, mask type, numbers per point, GeoJSON polygon in x and y)] and the corners."""
    eop, gml = "{http://www.opengis.net/eop/2.0}", "{http://www.opengis.net/gml/3.2}"
    root = fromstring(path.read_bytes())
    assert root.tag == f"{eop}Mask"
    features = []
    for feature in root.findall(f"{eop}maskMembers/{eop}MaskFeature"):
        lists = feature.findall(f"{eop}extentOf/{gml}Polygon/*/{gml}LinearRing/{gml}posList")
        [dimension] = {int(positions.get("srsDimension")) for positions in lists}
        rings = [np.array(p.text.split(), float).reshape(-1, dimension)[:, :2].tolist() for p in lists]
        assert all(ring[0] == ring[-1] for ring in rings)
        polygon = {"type": "Polygon", "coordinates": rings}
        features.append((feature.get(f"{gml}id"), feature.find(f"{eop}maskType").text, dimension, polygon))
    corners = [[float(v) for v in c.text.split()[:2]] for c in root.iter() if c.tag.endswith("Corner")]
    return features, corners


def draw(polygons, dn, spec, metres):
    """Return which native pixels lie in any of the polygons, bool of the shape of `dn`."""
    grid = rasterio.transform.from_origin(spec.left, spec.top, metres, metres)
    return rasterize(polygons, out_shape=dn.shape, transform=grid).astype(bool)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A product of a baseline with masks in GML, its DN and its quality classes."""
    spec = ProductSpec(baseline="02.08")
    dn = native_dn(surface(), spec, wedge())
    return write_product(tmp_path_factory.mktemp("old"), dn, spec), dn, spec


def test_cloud_polygons_cover_exactly_the_cloudy_pixels(old):
    path, dn, spec = old
    features, [lower, upper] = read_gml(path / spec.mask("CLOUDS", "B00"))
    opaque, cirrus, _ = quality(dn)
    for kind, expected in (("OPAQUE", opaque), ("CIRRUS", cirrus)):
        polygons = [polygon for _, name, _, polygon in features if name == kind]
        np.testing.assert_array_equal(draw(polygons, expected, spec, 60), expected == 1)
    assert [(name, size) for name, _, size, _ in features] == [("OPAQUE.0", 2), ("CIRRUS.0", 2)]
    assert len(features[1][3]["coordinates"]) == 2  # a ring has a hole
    rows, columns = np.nonzero(opaque | cirrus)
    assert lower == [spec.left + 60 * columns.min(), spec.top - 60 * (rows.max() + 1)]
    assert upper == [spec.left + 60 * (columns.max() + 1), spec.top - 60 * rows.min()]


def test_footprints_of_every_band_cover_what_was_seen_and_overlap(old):
    path, dn, spec = old
    for band, stored in dn.items():
        features, _ = read_gml(path / spec.mask("DETFOO", band))
        polygons = [polygon for *_, polygon in features]
        np.testing.assert_array_equal(draw(polygons, stored, spec, band.resolution), stored > 0)
        numbers = [int(re.fullmatch(rf"detector_footprint-{band}-(\d\d)-\d+", f[0])[1]) for f in features]
        assert sorted(set(numbers)) == list(range(4, 4 + len(set(numbers))))
        assert len(set(numbers)) >= 3
        assert {(kind, size) for _, kind, size, _ in features} == {("DETECTOR_FOOTPRINT", 3)}
    seen = [draw([polygon], dn[RED], spec, 10) for polygon in polygons]
    assert np.sum(seen, axis=0).max() == 2


def test_an_empty_mask_has_no_members(tmp_path):
    spec = ProductSpec(baseline="02.08")
    dn = {band: np.zeros((60 * 10 // band.resolution,) * 2, np.uint16) for band in BANDS["L1C"]}
    classes = np.zeros((3, 10, 10), np.uint8)
    path = safe_writer.write_product(tmp_path, spec, dn.items(), classes)
    for name in (spec.mask("CLOUDS", "B00"), spec.mask("DETFOO", RED)):
        assert read_gml(path / name) == ([], [])
        assert "<eop:maskMembers/>" in (path / name).read_text()


def test_detectors_are_slanted_stripes_of_what_was_seen(plain):
    path, dn, spec = plain
    for band, stored in dn.items():
        with rasterio.open(path / spec.mask("DETFOO", band)) as raster:
            numbers = raster.read(1)
        np.testing.assert_array_equal(numbers == 0, stored == 0)
        found = numbers[numbers > 0]
        assert len(np.unique(found)) >= 3
        assert found.max() <= 12
        # Detectors are numbered from the west, and the track of a descending pass leads there.
        numbers = np.ma.masked_equal(numbers.astype(int), 0)
        for axis in (0, 1):
            assert (np.diff(numbers, axis=axis) >= 0).all()
            assert (np.diff(numbers, axis=axis) > 0).any()


def test_quality_classes_are_a_raster_of_three_layers(plain):
    path, dn, spec = plain
    with rasterio.open(path / spec.mask("CLASSI", "B00")) as raster:
        np.testing.assert_array_equal(raster.read(), quality(dn))
        assert raster.res == (60, 60)


@pytest.mark.parametrize(("metres", "block"), [(10, 1024), (20, 640), (60, 192)])
def test_images_are_lossless_and_in_the_blocks_of_real_products(tmp_path, metres, block):
    stored = np.random.default_rng(metres).integers(0, 65536, (200, 1100)).astype(np.uint16)
    write_jp2(tmp_path / "x.jp2", stored, ProductSpec(), metres=metres)
    with rasterio.open(tmp_path / "x.jp2") as raster:
        np.testing.assert_array_equal(raster.read(1), stored)
        assert raster.block_shapes[0][1] == block
        assert raster.crs == rasterio.crs.CRS.from_epsg(32758)
        assert tuple(raster.transform)[:6] == (metres, 0, 399_960, 0, -metres, 1_700_040)
    assert [file.name for file in tmp_path.iterdir()] == ["x.jp2"]


def test_bands_are_written_as_they_come_and_not_kept(tmp_path):
    given = []

    def bands():
        for band in Band:
            # The last one may still be at hand.
            assert sum(dn() is not None for dn in given) <= 1
            dn = np.full((60 * 10 // band.resolution,) * 2, 2000, np.uint16)
            given.append(weakref.ref(dn))
            yield band, dn
            del dn

    path = safe_writer.write_product(tmp_path, ProductSpec(), bands())
    with open_product(str(path)) as opened:
        np.testing.assert_allclose(opened.read(Block(0, 0, 60, 60), list(Band)).values, 0.1, atol=1e-6)


def test_a_product_is_whole_or_absent(tmp_path):
    def breaks_off():
        yield RED, np.full((60, 60), 2000, np.uint16)
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="gone"):
        safe_writer.write_product(tmp_path, ProductSpec(), breaks_off())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sides", [(), (60, 66)])
def test_bands_of_no_or_different_ground_are_refused(tmp_path, sides):
    dn = [(band, np.ones((side, side), np.uint16)) for band, side in zip((RED, BLUE), sides, strict=False)]
    with pytest.raises(ValueError, match="different grounds"):
        safe_writer.write_product(tmp_path, ProductSpec(), dn)
    assert not list(tmp_path.iterdir())


# Real data


@pytest.mark.parametrize(("name", "offset"), [("282D_485L_3_3.tif", -1000), ("38D_378R_2_3.tif", 0)])
def test_real_dn_with_and_without_offset(tmp_path, name, offset):
    """The darkest red of each real tile is that of vegetation or water only with its own offset."""
    path = DATA / "terramesh" / "S2L1C" / name
    if not path.exists():
        pytest.skip(f"real data not present: {path} (POLYNYA_DATA names another folder)")
    with rasterio.open(path) as raster:
        stored = raster.read().astype(np.uint16)[:, :222, :222]
    spec = ProductSpec(baseline="05.00" if offset else "02.08")
    dn = {
        band: stored[index, :: band.resolution // 10, :: band.resolution // 10]
        for index, band in enumerate(Band)
    }
    with open_product(str(write_product(tmp_path, dn, spec))) as opened:
        size = stored.shape[1]
        values, valid, _ = opened.read(Block(0, 0, size, size), [RED])
    assert valid.all()
    np.testing.assert_allclose(values[0], (stored[3].astype(float) + offset) / 10_000, atol=1e-6)
    assert 0.02 < values.min() < 0.08


@pytest.mark.parametrize("band", [Band.B05, Band.B09])
def test_real_jp2_bands(tmp_path, band):
    path = DATA / "l1c-jp2" / f"s2_{band}.jp2"
    if not path.exists():
        pytest.skip(f"real data not present: {path} (POLYNYA_DATA names another folder)")
    with rasterio.open(path) as raster:
        stored = raster.read(1)[:300, :300]
    spec = ProductSpec(baseline="02.08")
    size = stored.shape[0] * band.resolution // 10
    dn = native_dn(np.zeros((13, size, size), np.float32), spec) | {band: stored}
    with open_product(str(write_product(tmp_path, dn, spec))) as opened:
        values, valid, _ = opened.read_native(band)
        fine = opened.read(Block(101, 203, 120, 130), [band])
    np.testing.assert_array_equal(valid, stored > 0)
    np.testing.assert_allclose(values[0][valid], stored[valid] / np.float32(10_000))
    assert np.nanmin(values) <= np.nanmin(fine.values)
    assert np.nanmax(fine.values) <= np.nanmax(values)


# Bad products: each says what was looked for, where, and the way out


def refused(path, *, says, way_out="Fetch the product again", bands=(RED,)):
    """Assert that opening or reading raises a SceneError with those words and the product's path."""
    with pytest.raises(SceneError) as caught, open_product(str(path)) as opened:
        opened.read(WHOLE, bands)
    message = str(caught.value)
    assert re.search(says, message), message
    assert way_out in message, message
    assert str(path) in message, message


def small(folder, spec=ProductSpec(), **options):  # noqa: B008 - it is frozen
    return write_product(folder, native_dn(surface(), spec), spec, **options)


@pytest.mark.parametrize("zipped", [False, True])
def test_missing_band(tmp_path, zipped):
    path = small(tmp_path, ProductSpec(zipped=zipped), leave_out=["_B04"])
    refused(path, says=r"no image of band B04: looked for IMG_DATA/\*_B04\.jp2")


def test_coarse_copy_is_not_the_band(tmp_path):
    path = small(tmp_path, ProductSpec("L2A"), leave_out=["_B04_10m"])
    refused(path, says="no image of band B04")


def test_band_that_l2a_does_not_have(tmp_path):
    path = small(tmp_path, ProductSpec("L2A"))
    refused(path, says="is L2A, which has no band B10", way_out="Give the L1C product", bands=[Band.B10])


def test_missing_xml(tmp_path):
    refused(
        small(tmp_path / "a", leave_out=["MTD_MSIL1C"]),
        says=r"looked for MTD_MSIL1C\.xml or MTD_MSIL2A\.xml",
        way_out="fetch the product again",
    )
    refused(small(tmp_path / "b", leave_out=["MTD_TL"]), says=r"looked for GRANULE/L1C_.*/MTD_TL\.xml")


@pytest.mark.parametrize(
    ("pattern", "replacement", "says"),
    [
        (r"<Radiometric_Offset_List>.*</Radiometric_Offset_List>", "", "05.00 comes with RADIO_ADD_OFFSET"),
        (r'<RADIO_ADD_OFFSET band_id="8">-1000</RADIO_ADD_OFFSET>', "", "not for B8A"),
        (r'band_id="8"', 'band_id="B8A"', "band_id 'B8A', not one of 0..12"),
        (r"<QUANTIFICATION_VALUE .*/QUANTIFICATION_VALUE>", "", "QUANTIFICATION_VALUE is missing"),
        (r"10000</QUANT", "0</QUANT", "QUANTIFICATION_VALUE is 0; it lies in 1000 to 100000"),
        (r"10000</QUANT", "nan</QUANT", "not a number"),
        (r"65535", "4095", "SATURATED is 4095"),
        (r"S2MSI1C</", "S2MSI1B</", "PRODUCT_TYPE is 'S2MSI1B'"),
        (r"datatakeIdentifier", "other", "no datatakeIdentifier"),
        (r"</n1:General_Info>", "", "not well-formed"),
        (r"05\.00</PROC", "five</PROC", "PROCESSING_BASELINE 'five'"),
    ],
)
def test_bad_product_xml(tmp_path, plain, pattern, replacement, says):
    refused(with_xml(tmp_path, plain, "product_xml", pattern, replacement), says=says)


@pytest.mark.parametrize(
    ("pattern", "replacement", "says"),
    [
        (r"EPSG:32758", "EPSG:0", "no known coordinate system"),
        (r"<Mean_Sun_Angle>.*</Mean_Sun_Angle>", "", "Mean_Sun_Angle is missing"),
        (r'<Size resolution="10">', '<Size resolution="5">', 'Size resolution="10" is missing'),
        (r"2019-11-03T20:39:01.024Z", "yesterday", "not a time"),
        (r"<NROWS>120</NROWS>", "<NROWS>121</NROWS>", "60 m pixels do not divide"),
        (r"<NROWS>120</NROWS>", "<NROWS>126</NROWS>", "its XML promises uint16 over 1260 x 1200 m"),
        (r"_T58CDU_", "_", "TILE_ID"),
    ],
)
def test_bad_granule_xml(tmp_path, plain, pattern, replacement, says):
    refused(with_xml(tmp_path, plain, "granule_xml", pattern, replacement), says=says)


def with_xml(folder, plain, which, pattern, replacement):
    """Return a product with one RED band whose XML was changed."""
    _, dn, spec = plain
    path = write_product(folder, dn, spec, leave_out=[f"_{band}.jp2" for band in dn if band != RED])
    name = getattr(spec, which)
    text, count = re.subn(pattern, replacement, (path / name).read_text(), flags=re.DOTALL)
    assert count >= 1
    (path / name).write_text(text)
    return path


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize("head", [BOMB, '<!DOCTYPE x SYSTEM "file:///etc/hostname">'])
def test_document_type_and_entities(tmp_path, plain, head):
    path = with_xml(tmp_path, plain, "product_xml", r"(<\?xml.*?\?>)", rf"\1{head}")
    refused(path, says="document type or entities", way_out="fetch the product from its source")


def test_oversized_xml(tmp_path, plain, monkeypatch):
    monkeypatch.setattr(safe_files, "LARGEST_XML", 1000)
    refused(plain[0], says="MTD_MSIL1C.xml is larger than", way_out="fetch the product from its source")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
@pytest.mark.parametrize("zipped", [False, True])
def test_truncated_jp2(tmp_path, share, zipped):
    path = small(tmp_path)
    image = path / ProductSpec().image(RED, 10)
    image.write_bytes(image.read_bytes()[: int(image.stat().st_size * share)])
    if zipped:
        path = zip_files(path, tmp_path / "again.zip")
    refused(path, says="is damaged: .*_B04.jp2.*(cannot be decoded|cannot be opened)")


def test_truncated_jp2_of_many_blocks_is_never_filled_in(tmp_path):
    """GDAL with several threads returns arbitrary pixels for the blocks that are missing."""
    spec, size = ProductSpec(), 2100
    stored = np.random.default_rng(3).integers(1000, 9000, (size, size)).astype(np.uint16)
    path = write_product(tmp_path, {RED: stored}, spec)
    image = path / spec.image(RED, 10)
    image.write_bytes(image.read_bytes()[: int(image.stat().st_size * 0.6)])
    with open_product(str(path)) as opened:
        first = opened.read(Block(0, 0, 64, 64), [RED])  # what did arrive can be read
        np.testing.assert_allclose(first.values[0], (stored[:64, :64] - 1000.0) / 10_000, atol=1e-6)
        for block in (Block(0, 0, size, size), Block(1000, 1000, 1100, 1100), Block(2090, 2090, 4, 4)):
            with pytest.raises(
                SceneError, match=r"is damaged: .* cannot be decoded .* Fetch the product again"
            ):
                opened.read(block, [RED])


def test_image_that_is_no_jp2(tmp_path):
    path = small(tmp_path)
    (path / ProductSpec().image(RED, 10)).write_text("<VRTDataset rasterXSize='120' rasterYSize='120'/>")
    refused(path, says="cannot be opened as JPEG 2000")


def test_image_of_another_size(tmp_path):
    path, spec = small(tmp_path), ProductSpec()
    write_jp2(path / spec.image(RED, 10), np.ones((60, 60), np.uint16), spec, metres=20)
    refused(path, says="has 60 rows and 60 columns of uint16; its XML promises uint16 over 1200 x 1200 m")


def zip_files(folder, target, extra=()):
    """Zip a product and add (name, content) that no honest zip has."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent).as_posix())
        for name, content in extra:
            archive.writestr(name, content)
    return target


@pytest.mark.parametrize(
    "name", ["../evil.xml", "/etc/evil.xml", "a/../../evil.xml", "..\\evil.xml", "C:/evil"]
)
def test_zip_with_path_traversal(tmp_path, plain, name):
    path = zip_files(plain[0], tmp_path / "x.zip", [(name, "x")])
    refused(path, says="leads out of the product", way_out="fetch the product from its source")


def test_zip_bomb(tmp_path, plain):
    path = zip_files(plain[0], tmp_path / "x.zip", [("zeros.bin", bytes(80 << 20))])
    refused(path, says="more than 50 times its size", way_out="fetch the product from its source")


@pytest.mark.parametrize(
    ("limit", "says"), [("LARGEST_PRODUCT", "unpacks to .* MiB"), ("MOST_FILES", "lists .* files")]
)
def test_zip_beyond_a_limit(tmp_path, plain, monkeypatch, limit, says):
    monkeypatch.setattr(safe_zip, limit, 3)
    path = zip_files(plain[0], tmp_path / "x.zip")
    refused(path, says=says, way_out="fetch the product from its source")


def test_zip_damaged(tmp_path, plain):
    whole = zip_files(plain[0], tmp_path / "whole.zip")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:-500])
    refused(cut, says="is damaged, or no zip at all", way_out="Fetch it again")
    with zipfile.ZipFile(whole) as archive:
        xml = next(entry for entry in archive.infolist() if entry.filename.endswith("MSIL1C.xml"))
    content = bytearray(whole.read_bytes())
    start = xml.header_offset + 30 + len(xml.filename) + xml.compress_size // 2
    content[start : start + 60] = bytes(60)
    cut.write_bytes(content)
    refused(cut, says="is damaged: its MTD_MSIL1C.xml cannot be read", way_out="Fetch it again")


def test_zip_without_a_folder_for_the_product(tmp_path, plain):
    target = tmp_path / "flat.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(plain[0].rglob("*")):
            archive.write(file, file.relative_to(plain[0]).as_posix())
    np.testing.assert_array_equal(open_red(target), open_red(plain[0]))


def test_name_of_a_zip_does_not_matter(tmp_path, plain):
    path = zip_files(plain[0], tmp_path / "a product {1} of ours")
    np.testing.assert_array_equal(open_red(path), open_red(plain[0]))


def test_two_granules_and_none(tmp_path):
    path, spec = small(tmp_path / "a"), ProductSpec()
    other = path / "GRANULE" / spec.granule.replace(spec.tile, "58CEU")
    other.mkdir()
    (other / "MTD_TL.xml").write_text("<x/>")
    refused(path, says="2 granules .*: single-granule products only", way_out="Fetch the tiles one by one")
    path = small(tmp_path / "b", leave_out=["GRANULE"])
    refused(path, says=r"no granule: looked for files in GRANULE/\*/")


def test_two_products_in_one_zip(tmp_path, plain):
    path = zip_files(plain[0], tmp_path / "x.zip", [("Other.SAFE/MTD_MSIL2A.xml", "<x/>")])
    refused(path, says="holds 2 products", way_out="Give each on its own")


def test_no_product_at_all(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    refused(tmp_path, says="is not a Sentinel-2 product", way_out="Give the .SAFE folder or its zip")
    refused(tmp_path / "photo.jpg", says="no zip at all", way_out="Fetch it again")
    refused(tmp_path / "absent.SAFE", says="does not exist", way_out="Check the path")
