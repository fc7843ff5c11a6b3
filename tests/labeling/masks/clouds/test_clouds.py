"""Clouds of a scene: from a product's blocks to the pixels that get no label, and every way to be refused."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import DATA
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safe_writer import ProductSpec, native_dn, write_product

import labeling.masks.clouds.find
from labeling.bands import BANDS, Band
from labeling.classes import IGNORE
from labeling.errors import SceneError
from labeling.grid import Block, blocks
from labeling.masks.clouds.cells import CellGrid, cell_sums, mean, merge
from labeling.masks.clouds.detector import DETECTOR_BANDS
from labeling.masks.clouds.find import (
    CloudSettings,
    check_bands,
    cloud_mask,
    combine,
    find_clouds,
    needed_bands,
)
from labeling.masks.clouds.products import CloudClass, find_mask, product_cells
from labeling.masks.clouds.snow_guard import SnowGuardSettings, is_snow
from labeling.scenes.contract.product import GRID
from labeling.scenes.products.safe.reader import open_product

SIZE = 240
CLEAR, OPAQUE = CloudClass.CLEAR, CloudClass.OPAQUE
BOTH = CloudSettings(sources=("s2cloudless", "product"), resolution=60)
OWN_CELLS = CloudSettings(sources=("s2cloudless",), resolution=60, average_over=0, dilation=0)
"""Each cell on its own."""

# Order of `Band`. Dark water, and thick cloud of water droplets.
WATER = (0.13, 0.10, 0.07, 0.05, 0.05, 0.04, 0.04, 0.03, 0.03, 0.01, 0.002, 0.01, 0.01)
CLOUD = (0.60, 0.60, 0.60, 0.62, 0.62, 0.62, 0.62, 0.62, 0.62, 0.40, 0.010, 0.48, 0.36)
# Fresh snow under moist air: s2cloudless takes it for cloud.
SNOW = (0.97, 0.96, 0.93, 0.92, 0.92, 0.91, 0.92, 0.90, 0.90, 0.36, 0.001, 0.27, 0.25)


def spectra(cells):
    """{band: (rows, columns)} of cells given as spectra, a list of lists."""
    return {
        band: np.array([[spectrum[index] for spectrum in row] for row in cells], np.float32)
        for index, band in enumerate(Band)
    }


def sky(size=SIZE):
    """Reflectance (13, size, size): water, with a cloud over its left half."""
    columns = np.arange(size)[None, None, :]
    water, cloud = (np.array(spectrum)[:, None, None] for spectrum in (WATER, CLOUD))
    noise = np.random.default_rng(0).normal(0, 0.002, (13, size, size))
    return np.where(columns < size // 2, cloud, water) + noise


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Folders of products of the same ground and sky, by type and baseline."""
    written = {}
    for kind, baseline in (("L1C", "05.00"), ("L1C", "02.08"), ("L2A", "05.00")):
        spec = ProductSpec(kind, baseline)
        folder = tmp_path_factory.mktemp(f"{kind}-{baseline}")
        nodata = np.zeros((SIZE, SIZE), bool)
        nodata[-60:] = True
        written[kind, baseline] = write_product(folder, native_dn(sky(), spec, nodata), spec)
    return written


def gather(product, settings, size):
    """Reflectance and shares of a product's cells, read by blocks of `size` 10 m pixels."""
    facts, bands = product.facts, needed_bands(settings)
    check_bands(product, bands)
    grid = settings.grid(height=facts.height, width=facts.width)
    reflectance = {}
    for band in bands:
        step = product.layout(band).resolution // GRID
        windows = []
        for block in blocks(height=facts.height // step, width=facts.width // step, size=size):
            found = product.read_native(band, block)
            windows.append(cell_sums(found.values[0], found.valid, block, step, grid))
        reflectance[band] = mean(merge(windows, grid))
    shares = {}
    if "product" in settings.sources:
        layer = find_mask(product)
        parts = [
            product_cells(product.read_layer(layer, block), layer, block, grid)
            for block in blocks(height=facts.height, width=facts.width, size=size)
        ]
        shares = {kind: mean(merge([part[kind] for part in parts], grid)) for kind in parts[0]}
    return reflectance, shares


@pytest.mark.parametrize("baseline", ["05.00", "02.08"])
def test_clouds_of_a_product_whatever_its_offset(products, baseline):
    with open_product(str(products["L1C", baseline])) as product:
        reflectance, _ = gather(product, OWN_CELLS, 1000)
        found = find_clouds(reflectance, {}, OWN_CELLS)
    assert (found.classes[:30, :20] == OPAQUE).all()
    assert (found.classes[:30, 20:] == CLEAR).all()
    assert (found.classes[30:] == IGNORE).all()
    assert np.isnan(found.probability[30:]).all()


def test_the_cut_into_blocks_changes_nothing(products):
    with open_product(str(products["L1C", "05.00"])) as product:
        (whole, shares), (pieces, part_shares) = (gather(product, BOTH, size) for size in (1000, 17))
    for one, other in ((whole, pieces), (shares, part_shares)):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_a_products_own_mask_and_both_together(products):
    with open_product(str(products["L1C", "05.00"])) as product:
        reflectance, shares = gather(product, BOTH, 100)
    own = find_clouds({}, shares, CloudSettings(sources=("product",), resolution=60))
    assert own.probability is None
    assert (own.classes[1:3, 1:4] == OPAQUE).all()
    assert CloudClass.CIRRUS in own.classes
    opaque_only = BOTH.model_copy(update={"sources": ("product",), "product_classes": ("opaque",)})
    assert CloudClass.CIRRUS not in find_clouds({}, shares, opaque_only).classes
    detected = find_clouds(reflectance, {}, BOTH.model_copy(update={"sources": ("s2cloudless",)}))
    np.testing.assert_array_equal(
        find_clouds(reflectance, shares, BOTH).classes, combine([own.classes, detected.classes])
    )


def test_outlines_of_old_products_are_masks_too(products):
    settings = CloudSettings(sources=("product",), resolution=60)
    found = []
    for baseline in ("02.08", "05.00"):
        with open_product(str(products["L1C", baseline])) as product:
            found.append(find_clouds({}, gather(product, settings, 100)[1], settings).classes)
    np.testing.assert_array_equal(*found)


def test_scene_classification_of_l2a(products):
    settings = CloudSettings(sources=("product",), resolution=60)
    with open_product(str(products["L2A", "05.00"])) as product:
        assert find_mask(product) == "SCL"
        _, shares = gather(product, settings, 100)
    found = find_clouds({}, shares, settings).classes
    assert (found[:30] == CLEAR).all()
    assert (found[30:] == IGNORE).all()


def test_l2a_for_s2cloudless_is_a_clear_error(products):
    with (
        open_product(str(products["L2A", "05.00"])) as product,
        pytest.raises(SceneError, match=r"MSIL2A.* is L2A, .*made for L1C.*L1C product.*'product'"),
    ):
        check_bands(product, needed_bands(CloudSettings(sources=("s2cloudless",))))


def test_a_product_without_the_bands_is_told_which():
    bands = tuple(band for band in BANDS["L1C"] if band not in (Band.B09, Band.B10))
    product = SimpleNamespace(facts=SimpleNamespace(product_id="stack", product_type=None), bands=bands)
    with pytest.raises(SceneError, match=r"stack has no B09, B10.*it has B01, B02.*'product'"):
        check_bands(product, needed_bands(CloudSettings(sources=("s2cloudless",))))


@pytest.mark.parametrize(
    ("settings", "bands"),
    [
        (CloudSettings(), 0),
        (CloudSettings(sources=("product",)), 0),
        (CloudSettings(sources=("s2cloudless",)), 11),
        (CloudSettings(sources=("s2cloudless", "product"), snow_guard=None), 10),
    ],
)
def test_only_the_bands_that_are_used_are_asked_for(settings, bands):
    needed = needed_bands(settings)
    assert len(needed) == bands
    assert not needed or set(DETECTOR_BANDS) <= set(needed)
    assert (Band.B03 in needed) is (bands == 11)
    assert list(needed) == sorted(needed, key=list(Band).index)


def test_the_guard_takes_fresh_snow_back_and_leaves_cloud():
    cells = spectra([[SNOW, CLOUD, WATER]])
    unguarded = OWN_CELLS.model_copy(update={"snow_guard": None})
    np.testing.assert_array_equal(find_clouds(cells, {}, unguarded).classes, [[OPAQUE, OPAQUE, CLEAR]])
    guarded = find_clouds(cells, {}, OWN_CELLS)
    np.testing.assert_array_equal(guarded.classes, [[CLEAR, OPAQUE, CLEAR]])
    # What s2cloudless said stays on record.
    np.testing.assert_array_equal(guarded.probability[0] > 0.4, [True, True, False])


def test_the_guard_leaves_what_the_products_mask_says():
    shares = {OPAQUE: np.ones((1, 1), np.float32)}
    settings = OWN_CELLS.model_copy(update={"sources": ("s2cloudless", "product")})
    assert find_clouds(spectra([[SNOW]]), shares, settings).classes == OPAQUE


@pytest.mark.parametrize(
    ("band", "value", "snow"),
    [
        (Band.B03, SNOW[2], True),
        (Band.B11, 0.5, False),  # as bright as cloud
        (Band.B10, 0.02, False),  # high above the vapour
        (Band.B03, 0.29, False),  # dark, though the index is that of snow
        (Band.B03, np.nan, False),
        (Band.B10, np.nan, False),
    ],
)
def test_snow_is_bright_dark_in_the_infrared_and_low(band, value, snow):
    cell = spectra([[SNOW]])
    if band is Band.B03 and value < 0.3:
        cell[Band.B11][:] = 0.01
    cell[band][:] = value
    assert is_snow(cell, SnowGuardSettings()) == snow


def test_the_guard_hardly_ever_touches_real_cloud():
    file = DATA / "csmask-clouds" / "sentinel2.npz"
    if not file.exists():
        pytest.skip(f"real data not present: {file} (POLYNYA_DATA names another folder)")
    with np.load(file) as kept:
        image, cloud = kept["img"], kept["msk"][..., 0] == 4
    # No B10 there, so high cloud does not speak for itself: the most that the guard can cost.
    bands = {Band.B03: image[..., 1], Band.B11: image[..., 4], Band.B10: np.zeros_like(image[..., 0])}
    assert is_snow(bands, SnowGuardSettings())[cloud].mean() < 0.001


codes = st.sampled_from([*(int(kind) for kind in CloudClass), IGNORE])


@given(st.lists(codes, min_size=1, max_size=3))
def test_the_strongest_source_with_data_wins(said):
    known = [code for code in said if code != IGNORE]
    found = combine([np.full((1, 1), code, np.uint8) for code in said])
    assert found.dtype == np.uint8
    assert found == (max(known) if known else IGNORE)


def test_pixels_under_cloud_or_shadow_get_no_label():
    classes = np.array([[CLEAR, CloudClass.SHADOW], [IGNORE, OPAQUE]], np.uint8)
    grid = CellGrid(5, 6, 3)
    mask = cloud_mask(classes, grid, Block(0, 0, 5, 6))
    expected = np.repeat(np.repeat(np.array([[0, 1], [0, 1]], bool), 3, axis=0), 3, axis=1)[:5]
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(cloud_mask(classes, grid, Block(2, 2, 3, 2)), expected[2:, 2:4])


def test_sizes_in_metres_reach_s2cloudless_in_cells(monkeypatch):
    asked = {}

    def spy(probability, **sizes):
        asked.update(sizes)
        return np.zeros(probability.shape, bool)

    monkeypatch.setattr(labeling.masks.clouds.find, "flag_clouds", spy)
    for resolution, average, dilation in ((160, 4, 2), (60, 11, 5)):
        find_clouds(spectra([[WATER]]), {}, CloudSettings(sources=("s2cloudless",), resolution=resolution))
        assert asked == {"threshold": 0.4, "average": average, "dilation": dilation}


def test_without_a_source_there_is_nothing_to_find():
    with pytest.raises(ValueError, match="no source"):
        find_clouds({}, {}, CloudSettings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"sources": ["fmask"]},
        {"sources": ["product", "product"]},
        {"product_classes": ["cirrus", "cirrus"]},
        {"resolution": 10},
        {"resolution": 65},
        {"threshold": 1.5},
        {"product_share": 0},
        {"snow_guard": {"index": 0.4}},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        CloudSettings.model_validate(wrong)


def test_settings_and_results_travel():
    settings = CloudSettings.model_validate({"sources": ["product"], "snow_guard": None})
    found = find_clouds({}, {OPAQUE: np.ones((2, 2), np.float32)}, settings)
    again, clouds = pickle.loads(pickle.dumps((settings, found)))
    assert again == settings
    np.testing.assert_array_equal(clouds.classes, found.classes)
