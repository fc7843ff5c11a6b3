"""Stacks: bands by their names, reflectance that the file states and nothing guesses, any of three grids."""

import pickle
import shlex
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from advice import commands, follow, rio_lines
from conftest import DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.transform import Affine, from_origin
from stac_server import FileServer
from stack_writer import NAMES, write_stack

from labeling.bands import BLUE, GREEN, RED, Band, to_reflectance
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.contract.product import BandLayout
from labeling.scenes.open import open_scene
from labeling.scenes.products.stacks.facts import parse_time, parse_type
from labeling.scenes.products.stacks.names import band_named
from labeling.scenes.products.stacks.reader import is_stack, open_stack

SIZE = 72


def dn(seed=0, size=SIZE, dtype=np.uint16, count=3):
    return np.random.default_rng(seed).integers(1, 9000, (count, size, size)).astype(dtype)


def read(path, bands=(BLUE, GREEN, RED), **options):
    """Read all of a stack."""
    with open_stack(str(path)) as (stack, _):
        size = Block(0, 0, stack.facts.height, stack.facts.width)
        return stack.read(size, bands, **options)


def refused(path, *words, bands=(RED,)):
    """Assert that opening or reading raises a SceneError with those words, and return its message."""
    with pytest.raises(SceneError) as caught:
        read(path, bands)
    message = str(caught.value)
    for word in (*words, str(path)):
        assert word in message, message
    return message


# Names


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("B02", Band.B02),
        ("b2", Band.B02),
        ("B8A", Band.B8A),
        ("b08a", Band.B8A),
        ("B08 - NIR", Band.B08),
        ("B8", Band.B08),
        ("B12", Band.B12),
        ("B1", Band.B01),
        ("B4, central wavelength 665 nm", Band.B04),
        ("B04_10m", Band.B04),
        (" red ", Band.B04),
        ("NIR", Band.B08),
        ("Red Edge 1", Band.B05),
        ("swir_16", Band.B11),
        ("SWIR2", Band.B12),
        ("nir08", Band.B8A),
    ],
)
def test_names_of_bands(text, band):
    assert band_named(text) is band


@pytest.mark.parametrize(
    "text",
    ["", "B", "B0", "B13", "B00", "B4x", "Band 4", "gray", "reddish", "not red", "SCL", "NDVI", "4", "8A"],
)
def test_names_of_nothing(text):
    assert band_named(text) is None


@given(st.text())
def test_no_text_upsets_the_names(text):
    assert band_named(text) in {None, *Band}
    assert parse_type(text) in {None, "L1C", "L2A"}
    parse_time(text)


# Values


def test_floating_point_is_reflectance(tmp_path):
    values = np.random.default_rng(1).uniform(-0.02, 1.1, (3, SIZE, SIZE)).astype(np.float32)
    values[:, 3, 4], values[1, 5, 6], values[2, 7, 8] = np.nan, -9999, np.inf
    found = read(write_stack(tmp_path / "a.tif", values, nodata=-9999))
    expected_valid = np.ones((SIZE, SIZE), bool)
    expected_valid[[3, 5, 7], [4, 6, 8]] = False
    np.testing.assert_array_equal(found.valid, expected_valid)
    np.testing.assert_array_equal(found.values[:, found.valid], values[:, found.valid])
    assert np.isnan(found.values[1, 5, 6])
    assert np.isnan(found.values[2, 7, 8])
    assert not found.saturated.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_point_with_a_scale_is_scaled(tmp_path, dtype):
    path = write_stack(tmp_path / "a.tif", dn(dtype=dtype), scale=0.0001, offset=-0.1)
    np.testing.assert_array_equal(
        read(path).values, (dn().astype(np.float32) - 1000) / np.float32(10_000), strict=True
    )


@pytest.mark.parametrize("offset", [0, -1000])
def test_dn_give_the_bits_that_safe_gives(tmp_path, offset):
    stored = dn()
    stored[0, 1, 2], stored[1, 3, 4], stored[2, 5, 6] = 0, 65535, 1
    found = read(write_stack(tmp_path / "a.tif", stored, scale=0.0001, offset=offset / 10_000))
    np.testing.assert_array_equal(found.values, to_reflectance(stored, offset, 10_000))
    np.testing.assert_array_equal(found.valid, (stored != 0).all(axis=0))
    np.testing.assert_array_equal(found.saturated, (stored == 65535).any(axis=0))
    assert found.values[2, 5, 6] == np.float32((1 + offset) / 10_000)


def test_signed_dn_may_be_negative_and_no_data_is_the_files(tmp_path):
    stored = dn(dtype=np.int16)
    stored[:, 1, 2], stored[:, 3, 4], stored[:, 5, 6] = -32768, 0, -150
    found = read(write_stack(tmp_path / "a.tif", stored, scale=0.0001, offset=0, nodata=-32768))
    assert np.argwhere(~found.valid).tolist() == [[1, 2]]
    np.testing.assert_array_equal(found.values[:, 3, 4], 0)
    np.testing.assert_allclose(found.values[:, 5, 6], -0.015)


@pytest.mark.parametrize(
    ("tags", "offset"),
    [
        ({"QUANTIFICATION_VALUE": "10000", "RADIO_ADD_OFFSET": "-1000"}, -1000),
        ({"boa_quantification_value": "10000", "BOA_ADD_OFFSET": "0", "PROCESSING_BASELINE": "05.00"}, 0),
        ({"QUANTIFICATION_VALUE": "10000", "PROCESSING_BASELINE": "02.08"}, 0),
    ],
)
def test_tags_say_how_to_read_dn(tmp_path, tags, offset):
    path = write_stack(tmp_path / "a.tif", dn(), tags=tags)
    np.testing.assert_array_equal(read(path).values, to_reflectance(dn(), offset, 10_000))


def test_tags_of_a_band_come_before_those_of_the_file(tmp_path):
    path = write_stack(
        tmp_path / "a.tif", dn(), tags={"QUANTIFICATION_VALUE": "10000", "RADIO_ADD_OFFSET": "-1000"}
    )
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(2, RADIO_ADD_OFFSET="-900")
    expected = [
        to_reflectance(dn()[index], offset, 10_000) for index, offset in enumerate((-1000, -900, -1000))
    ]
    np.testing.assert_array_equal(read(path).values, expected)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"tags": {"QUANTIFICATION_VALUE": "10000"}},
        {"tags": {"QUANTIFICATION_VALUE": "10000", "PROCESSING_BASELINE": "05.00"}},
        {"tags": {"QUANTIFICATION_VALUE": "many", "RADIO_ADD_OFFSET": "0"}},
        {"tags": {"QUANTIFICATION_VALUE": "0", "RADIO_ADD_OFFSET": "0"}},
        {"tags": {"RADIO_ADD_OFFSET": "-1000"}},
        {"offset": -0.1},
    ],
    ids=str,
)
def test_dn_that_say_too_little_are_refused_with_both_ways_out(tmp_path, said):
    folder = tmp_path / "with a space"
    folder.mkdir()
    path = write_stack(folder / "a.tif", dn(), **said)
    message = refused(path, "QUANTIFICATION_VALUE and RADIO_ADD_OFFSET", "baseline 04.00")
    for command, offset in zip(commands(message), (-1000, 0), strict=True):
        assert shlex.split(rio_lines(command)[0])[-1] == str(path)
        follow(command)
        np.testing.assert_array_equal(read(path).values, to_reflectance(dn(), offset, 10_000))


@pytest.mark.parametrize(
    ("name", "names", "true", "trap"),
    [
        ("282D_485L_3_3.tif", list(Band), -0.1, 0),
        ("38D_378R_2_3.tif", list(Band), 0, -0.1),
    ],
)
def test_real_dn_with_and_without_offset(tmp_path, name, names, true, trap):
    """Each real tile reads like water and plants with its own offset only; without a word it is refused."""
    source = DATA / "terramesh" / "S2L1C" / name
    if not source.exists():
        pytest.skip(f"real data not present: {source} (POLYNYA_DATA names another folder)")
    with rasterio.open(source) as raster:
        stored, place = raster.read(), {"crs": raster.crs, "transform": raster.transform}
    assert not is_stack(source)
    described = write_stack(tmp_path / "described.tif", stored, names, **place)
    refused(described, "REFLECTANCE_OFFSET=-0.1", "REFLECTANCE_OFFSET=0")
    right = write_stack(tmp_path / "right.tif", stored, names, scale=0.0001, offset=true, **place)
    wrong = write_stack(tmp_path / "wrong.tif", stored, names, scale=0.0001, offset=trap, **place)
    red, trapped = (read(path, [RED]).values for path in (right, wrong))
    np.testing.assert_allclose(red[0], stored[3] / 10_000 + true, atol=1e-6)
    assert 0.02 < red.min() < 0.08
    assert not 0.02 < trapped.min() < 0.08
    with open_scene(str(right)) as scene:
        assert scene.info.renderings == ["linear-1.0", "linear-0.3"]
        assert scene.info.windowed
        assert scene.read(Block(0, 0, 224, 224)).valid.all()


# Grids


@pytest.fixture(scope="module", params=[10, 20, 60])
def any_grid(tmp_path_factory, request):
    """A stack of each pixel size with special pixels; never changed."""
    metres = request.param
    size = 720 // metres
    stored = dn(metres, size)
    stored[0, 2, 3], stored[1, 4, 5] = 0, 65535
    folder = tmp_path_factory.mktemp(str(metres))
    transform = from_origin(399_960, 1_700_040, metres, metres)
    return (
        metres,
        write_stack(folder / "a.tif", stored, scale=0.0001, offset=-0.1, transform=transform),
        stored,
    )


def test_every_pixel_size_lies_on_the_10_m_grid(any_grid):
    metres, path, stored = any_grid
    with open_stack(str(path)) as (stack, _):
        assert (stack.facts.height, stack.facts.width) == (72, 72)
        assert tuple(stack.facts.transform)[:6] == (10, 0, 399_960, 0, -10, 1_700_040)
        assert stack.layout(RED) == BandLayout(metres, stack.layout(RED).block_height, 720 // metres)
        fine = stack.read(Block(0, 0, 72, 72), [RED], resampling=Resampling.nearest)
        native = stack.read_native(RED)
        np.testing.assert_array_equal(native.values[0], to_reflectance(stored[2], -1000, 10_000))
        np.testing.assert_array_equal(
            fine.values[0], native.values[0].repeat(metres // 10, 0).repeat(metres // 10, 1)
        )
        np.testing.assert_array_equal(
            stack.read_native(RED, Block(1, 2, 3, 4)).values, native.values[:, 1:4, 2:6]
        )
    with open_scene(str(path)) as scene:
        assert scene.info.block[1] == 72
        assert scene.preview(height=18, width=18).shape == (18, 18, 3)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_blocks_equal_the_whole_whatever_the_grid(any_grid, data):
    _, path, _ = any_grid
    resolution = data.draw(st.sampled_from([10, 20, 60]))
    method = data.draw(st.sampled_from([Resampling.bilinear, Resampling.nearest]))
    size = 720 // resolution
    row, column = data.draw(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)))
    height = data.draw(st.integers(1, size - row))
    width = data.draw(st.integers(1, size - column))
    block = Block(row, column, height, width)
    with open_stack(str(path)) as (stack, _):
        options = {"resolution": resolution, "resampling": method}
        whole = stack.read(Block(0, 0, size, size), (BLUE, GREEN, RED), **options)
        part = stack.read(block, (BLUE, GREEN, RED), **options)
    rows, columns = block.slices
    np.testing.assert_array_equal(part.values, whole.values[:, rows, columns])
    np.testing.assert_array_equal(part.valid, whole.valid[rows, columns])
    np.testing.assert_array_equal(part.saturated, whole.saturated[rows, columns])


def test_a_size_that_60_m_does_not_divide_is_read_as_far_as_it_does(tmp_path):
    path = write_stack(tmp_path / "a.tif", dn(size=64), scale=0.0001, offset=0)
    with open_stack(str(path)) as (stack, _):
        coarse = stack.read(Block(0, 0, 10, 10), [RED], resolution=60)
        mean = (dn(size=64)[2, :60, :60] / 10_000).reshape(10, 6, 10, 6).mean(axis=(1, 3))
        np.testing.assert_allclose(coarse.values[0], mean, atol=1e-6)
        with pytest.raises(ValueError, match="not inside 10 rows"):
            stack.read(Block(0, 0, 11, 11), [RED], resolution=60)


def test_mistakes_of_the_caller(any_grid):
    with open_stack(str(any_grid[1])) as (stack, _):
        for block in (Block(-1, 0, 5, 5), Block(0, 70, 5, 5), Block(0, 0, 0, 5)):
            with pytest.raises(ValueError, match="not inside"):
                stack.read(block, [RED])
        with pytest.raises(ValueError, match="no bands"):
            stack.read(Block(0, 0, 5, 5), [])
        with pytest.raises(ValueError, match="bilinear or nearest"):
            stack.read(Block(0, 0, 5, 5), [RED], resampling=Resampling.cubic)
        with pytest.raises(ValueError, match="10, 20 or 60"):
            stack.read(Block(0, 0, 5, 5), [RED], resolution=30)


def test_scene_classes_come_along(tmp_path):
    stored = dn(count=4)
    stored[3] = np.arange(SIZE) % 12
    path = write_stack(tmp_path / "a.tif", stored, (*NAMES, "SCL"), scale=0.0001, offset=0)
    with open_stack(str(path)) as (stack, _):
        codes = stack.read_layer("SCL", Block(3, 5, 6, 7))
        assert codes.dtype == np.uint8
        np.testing.assert_array_equal(codes, stored[3:, 3:9, 5:12])
        assert stack.read_layer("MSK_CLASSI_B00", Block(3, 5, 6, 7)) is None


# Facts


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def test_facts_come_from_tags(tmp_path):
    tags = {
        "PRODUCT_URI": "S2A_MSIL1C_20191103T203901_N0208_R057_T58CDU_20191103T233010.SAFE",
        "PRODUCT_TYPE": "S2MSI1C",
        "PROCESSING_BASELINE": "02.08",
        "SENSING_TIME": "2019-11-03T20:39:01.024Z",
        "SUN_ZENITH": "61.25",
        "DATATAKE_1_ID": "GS2A_20191103T203901_022802_N02.08",
        "QUANTIFICATION_VALUE": "10000",
        "TIFFTAG_DATETIME": "2024:01:01 00:00:00",
    }
    path = write_stack(tmp_path / "a.tif", dn(), tags=tags)
    with open_stack(str(path)) as (stack, state):
        facts = pickle.loads(pickle.dumps(stack.facts))
        assert state.bytes == path.stat().st_size
    assert facts.product_id == tags["PRODUCT_URI"].removesuffix(".SAFE")
    assert (facts.product_type, facts.baseline, facts.relative_orbit) == ("L1C", "02.08", 57)
    assert facts.sensing_time == utc(2019, 11, 3, 20, 39, 1, 24_000)
    assert (facts.tile, facts.sun_zenith) == ("58CDU", 61.25)
    assert facts.acquisition == "GS2A_20191103T203901_022802"
    with open_scene(str(path), "tci-l1c-sun60-k0.9") as scene:
        assert scene.info.renderings[0] == "tci-l1c"
        assert scene.info.group == "GS2A_20191103T203901_022802"


@pytest.mark.parametrize(
    ("tags", "field", "value"),
    [
        ({"TIFFTAG_DATETIME": "2019:11:03 20:39:01"}, "sensing_time", utc(2019, 11, 3, 20, 39, 1)),
        ({"ACQUISITION_DATE": "2019-11-03"}, "sensing_time", utc(2019, 11, 3)),
        ({"ACQUISITION_DATE": "a fine day"}, "sensing_time", None),
        ({"datetime": "2021-07-23T13:22:41.000000000"}, "sensing_time", utc(2021, 7, 23, 13, 22, 41)),
        ({"SUN_ELEVATION": "21.5"}, "sun_zenith", 68.5),
        ({"SUN_ZENITH": "low"}, "sun_zenith", None),
        ({"MEAN_SOLAR_AZIMUTH_ANGLE": "55.5"}, "sun_azimuth", 55.5),
        ({"VIEW_ZENITH": "4", "VIEW_AZIMUTH": "200"}, "views", dict.fromkeys(Band, (4.0, 200.0))),
        ({"VIEW_ZENITH": "4"}, "views", {}),
        (
            {"MEAN_INCIDENCE_ZENITH_ANGLE_B2": "3.5", "MEAN_INCIDENCE_AZIMUTH_ANGLE_B2": "201"},
            "views", {Band.B02: (3.5, 201.0)},
        ),
        ({"SPACECRAFT_NAME": "Sentinel-2C"}, "unit", "C"),
        ({"PRODUCT_TYPE": "Level-2A"}, "product_type", "L2A"),
        ({"PRODUCT_TYPE": "mosaic"}, "product_type", None),
        ({"PROCESSING_BASELINE": "5.0"}, "baseline", "05.00"),
        ({"MGRS_TILE": "T58CDU"}, "tile", "58CDU"),
        ({"RELATIVE_ORBIT": "143"}, "relative_orbit", 143),
        ({}, "acquisition", "a"),
        ({}, "product_id", "a"),
    ],
)  # fmt: skip
def test_each_fact_has_its_tags(tmp_path, tags, field, value):
    path = write_stack(tmp_path / "a.tif", dn(), scale=0.0001, offset=0, tags=tags)
    with open_stack(str(path)) as (stack, _):
        assert getattr(stack.facts, field) == value


# What is a stack


def test_pictures_are_no_stacks(tmp_path):
    place = {"photometric": "RGB"}
    rgb = write_stack(tmp_path / "rgb.tif", dn(dtype=np.uint8), ("red", "green", "blue"), **place)
    plain = write_stack(tmp_path / "plain.tif", dn(), (None, None, None))
    named = write_stack(tmp_path / "named.tif", dn(), ("a", "b", "B04"))
    assert [is_stack(path) for path in (rgb, plain, named)] == [False, False, True]
    (tmp_path / "text.tif").write_text("no image")
    assert not is_stack(tmp_path / "text.tif")
    assert not is_stack(tmp_path / "absent.tif")
    assert not is_stack(tmp_path)
    with open_scene(str(rgb)) as scene:
        assert scene.info.renderings == ["rgb8"]
    with pytest.raises(SceneError, match="is uint16"), open_scene(str(plain)):
        pass


def test_a_stack_on_a_server(tmp_path):
    stored = dn(size=600)
    options = {"tiled": True, "blockxsize": 128, "blockysize": 128, "scale": 0.0001, "offset": -0.1}
    path = write_stack(tmp_path / "a.tif", stored, interleave="band", **options)
    with FileServer(tmp_path) as server, open_scene(f"{server.url('a.tif')}?sig=s3cret") as scene:
        assert (scene.info.bytes, scene.info.group) == (path.stat().st_size, "a")
        assert scene.info.etag == f'"{path.stat().st_mtime_ns:x}"'
        found = scene.product.read(Block(200, 300, 20, 30), [RED])
        np.testing.assert_array_equal(
            found.values[0], to_reflectance(stored[2, 200:220, 300:330], -1000, 10_000)
        )
        assert server.sent("a.tif") < path.stat().st_size / 3


# Bad stacks


def test_a_missing_band_is_named_with_those_there(tmp_path):
    path = write_stack(tmp_path / "a.tif", dn(), ("B02", "B03", "cloud"), scale=0.0001, offset=0)
    refused(path, "no band B04", "'B02', 'B03', 'cloud'")


def test_a_band_named_twice(tmp_path):
    refused(write_stack(tmp_path / "a.tif", dn(), ("B02", "blue", "B04")), "two bands B02: 1 and 2")


def test_no_name_at_all(tmp_path):
    refused(
        write_stack(tmp_path / "a.tif", dn(), ("x", None, "z")), "names no Sentinel-2 band", "'x', '', 'z'"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crs": None}, ["no coordinate system in metres (none)"]),
        ({"crs": "EPSG:4326"}, ["no coordinate system in metres (EPSG:4326)"]),
        ({"crs": "EPSG:2263"}, ["no coordinate system in metres"]),
        ({"transform": from_origin(0, 0, 30, 30)}, ["30 x 30 m", "rio warp", "--res 10"]),
        ({"transform": from_origin(0, 0, 10, 20)}, ["10 x 20 m"]),
        ({"transform": Affine(10, 0, 0, 0, 10, 0)}, ["10 x -10 m", "north up"]),
        ({"transform": Affine(10, 1, 0, 1, -10, 0)}, ["squares"]),
    ],
)
def test_a_grid_that_cannot_be_used(tmp_path, options, words):
    refused(write_stack(tmp_path / "a.tif", dn(), scale=0.0001, offset=0, **options), *words)


def test_a_type_that_cannot_be_used(tmp_path):
    refused(write_stack(tmp_path / "a.tif", dn(dtype=np.int32)), "band 1 is int32", "rio convert")


def test_a_scale_below_zero(tmp_path):
    refused(write_stack(tmp_path / "a.tif", dn(), scale=-0.0001, offset=0), "must be above 0")


@pytest.mark.parametrize("share", [0.02, 0.6])
def test_a_truncated_stack(tmp_path, share):
    path = write_stack(tmp_path / "a.tif", dn(), scale=0.0001, offset=0)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path, "again")


def test_an_absent_stack(tmp_path):
    with (
        pytest.raises(SceneError, match=r"absent\.tif does not exist"),
        open_scene(str(tmp_path / "absent.tif")),
    ):
        pass


def test_names_that_are_no_text_are_told(tmp_path):
    path = write_stack(tmp_path / "stack.tif", np.full((3, 8, 8), 2000, np.uint16))
    content = path.read_bytes()
    assert b">B02<" in content
    path.write_bytes(content.replace(b">B02<", b">B\xc22<"))
    with pytest.raises(SceneError, match="what it says of itself cannot be read"), open_scene(str(path)):
        pass


@pytest.mark.parametrize("side", [np.nan, np.inf])
def test_pixels_whose_size_is_no_number_are_refused(tmp_path, side):
    path = write_stack(tmp_path / "a.tif", dn(10, 24), transform=Affine(side, 0, 399_960, 0, -10, 1_700_040))
    with pytest.raises(SceneError, match=r"has pixels of (nan|inf) x 10 m"), open_stack(str(path)):
        pass
