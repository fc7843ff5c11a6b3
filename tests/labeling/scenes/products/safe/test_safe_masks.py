"""Quality masks of products: what no detector saw is no-data, and old products answer as new ones do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import Resampling
from safe_writer import ProductSpec, native_dn, quality, write_jp2, write_product, zip_product

from labeling.bands import BLUE, GREEN, RED, Band
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.products.safe import masks as safe_masks
from labeling.scenes.products.safe.reader import open_product

SIZE = 120
WHOLE = Block(0, 0, SIZE, SIZE)
NEW, OLD = ProductSpec(), ProductSpec(baseline="02.08")
BANDS = (BLUE, Band.B11, Band.B01)


def stored(spec, seed=0):
    """DN of all bands, none of them no-data."""
    return native_dn(np.random.default_rng(seed).uniform(0.1, 0.9, (13, SIZE, SIZE)), spec)


def small(folder, spec=NEW, **options):
    """Write a product and return its folder, with the DN in it."""
    dn = stored(spec)
    return write_product(folder, dn, spec, **options), dn


def seen(metres, size=SIZE):
    """Which pixels lie west of a slanted line, along borders of 60 m pixels: bool, at a resolution."""
    rows, columns = np.mgrid[: size // 6, : size // 6]
    factor = 60 // metres
    return (2 * columns + rows < size // 4).repeat(factor, 0).repeat(factor, 1)


def west(spec, metres):
    """Return the outline of `seen` as a posList with heights."""
    line = [(spec.left, spec.top)]
    for row in range(SIZE // 6):
        edge = spec.left + 60 * int(seen(60)[row].sum())
        line += [(edge, spec.top - 60 * row), (edge, spec.top - 60 * (row + 1))]
    line += [(spec.left, spec.top - 10 * SIZE), (spec.left, spec.top)]
    return " ".join(f"{x} {y} 0" for x, y in line)


def rectangle(spec, left, top, right, bottom):
    """Return a posList around 10 m pixels, right and bottom not included."""
    west, east = spec.left + 10 * left, spec.left + 10 * right
    north, south = spec.top - 10 * top, spec.top - 10 * bottom
    return f"{west} {north} 0 {east} {north} 0 {east} {south} 0 {west} {south} 0 {west} {north} 0"


def write_gml(path, *features):
    """Write a mask of (gml:id, type, posList with heights)."""
    members = "".join(
        f'<eop:MaskFeature gml:id="{name}"><eop:maskType>{kind}</eop:maskType><eop:extentOf><gml:Polygon>'
        f'<gml:exterior><gml:LinearRing><gml:posList srsDimension="3">{positions}</gml:posList>'
        "</gml:LinearRing></gml:exterior></gml:Polygon></eop:extentOf></eop:MaskFeature>"
        for name, kind, positions in features
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2">'
        f"<eop:maskMembers>{members}</eop:maskMembers></eop:Mask>"
    )


def with_footprints(folder, spec):
    """Write a product whose BANDS were seen in the west only; the other bands have no footprint."""
    path, dn = small(folder, spec, leave_out=["DETFOO"])
    for band in BANDS:
        mask = path / spec.mask("DETFOO", band)
        if spec.masks_are_rasters:
            write_jp2(
                mask, np.where(seen(band.resolution), 7, 0).astype(np.uint8), spec, metres=band.resolution
            )
        else:
            write_gml(mask, (f"detector_footprint-{band}-07-0", "DETECTOR_FOOTPRINT", west(spec, 10)))
    return path, dn


# Footprints


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("spec", [NEW, OLD], ids=["jp2", "gml"])
def test_what_no_detector_saw_is_no_data(tmp_path, spec, zipped):
    path, dn = with_footprints(tmp_path, spec)
    with open_product(str(zip_product(path) if zipped else path)) as opened:
        for band in BANDS:
            values, valid, saturated = opened.read_native(band)
            np.testing.assert_array_equal(valid, seen(band.resolution))
            np.testing.assert_array_equal(np.isnan(values[0]), ~valid)
            expected = (dn[band][valid] + np.float32(spec.offset)) / np.float32(10_000)
            np.testing.assert_array_equal(values[0][valid], expected)
            assert not saturated.any()
        assert opened.read_native(RED).valid.all()  # which has no footprint
        np.testing.assert_array_equal(opened.read(WHOLE, (RED, BLUE)).valid, seen(10))


@pytest.mark.parametrize("resampling", [Resampling.bilinear, Resampling.nearest])
@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_resampling_takes_nothing_from_where_no_detector_saw(tmp_path, resolution, resampling):
    """DN of 0 outside the footprint must give the very same result as a footprint there."""
    path, dn = with_footprints(tmp_path / "masks", NEW)
    blank = {
        band: np.where(seen(band.resolution), stored, 0) if band in BANDS else stored
        for band, stored in dn.items()
    }
    blank = {band: values.astype(np.uint16) for band, values in blank.items()}
    other = write_product(tmp_path / "dn", blank, NEW, leave_out=["DETFOO"])
    block = Block(0, 0, SIZE * 10 // resolution, SIZE * 10 // resolution)
    with open_product(str(path)) as masked, open_product(str(other)) as plain:
        found, expected = (
            product.read(block, BANDS, resolution=resolution, resampling=resampling)
            for product in (masked, plain)
        )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.valid, seen(resolution))


def test_a_detector_may_see_what_holds_no_data(tmp_path):
    dn = stored(NEW)
    dn[RED][10:20, 30:50] = 0
    path = write_product(tmp_path, dn, NEW)
    write_jp2(path / NEW.mask("DETFOO", RED), np.full((SIZE, SIZE), 3, np.uint8), NEW, metres=10)
    with open_product(str(path)) as opened:
        np.testing.assert_array_equal(opened.read(WHOLE, [RED]).valid, dn[RED] > 0)


def test_without_footprints_dn_alone_decide(tmp_path):
    dn = stored(NEW)
    dn[RED][:, 100:] = 0
    with open_product(str(write_product(tmp_path, dn, NEW, leave_out=["DETFOO"]))) as opened:
        np.testing.assert_array_equal(opened.read(WHOLE, [RED]).valid, dn[RED] > 0)
        assert opened.read_layer("MSK_DETFOO_B04", WHOLE) is None


def test_a_footprint_without_polygons_says_nothing(tmp_path):
    path, _ = small(tmp_path, OLD)
    write_gml(path / OLD.mask("DETFOO", RED))
    with open_product(str(path)) as opened:
        assert opened.read(WHOLE, [RED]).valid.all()
        assert opened.read_layer("MSK_DETFOO_B04", WHOLE) is None


def test_names_of_before_2016_are_found(tmp_path):
    spec = ProductSpec(baseline="02.04", long_names=True)
    path, _ = with_footprints(tmp_path, spec)
    with open_product(str(path)) as opened:
        np.testing.assert_array_equal(opened.read(WHOLE, [BLUE]).valid, seen(10))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def fill(path, values, metres=10):
    write_jp2(path, values, NEW, metres=metres)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncate, "is damaged: .*MSK_DETFOO_B04.jp2"),
        (lambda path: path.write_text("none"), "MSK_DETFOO_B04.jp2 cannot be opened as JPEG 2000"),
        (lambda path: fill(path, np.ones((60, 60), np.uint8), 20), "promises uint8 over 1200 x 1200 m"),
        (lambda path: fill(path, np.ones((SIZE, SIZE), np.uint16)), "of uint16; its XML promises uint8"),
    ],
)
def test_damaged_rasters_are_refused(tmp_path, damage, says):
    path, _ = small(tmp_path)
    damage(path / NEW.mask("DETFOO", RED))
    with open_product(str(path)) as opened:
        opened.read(WHOLE, [GREEN])  # which is whole
        with pytest.raises(SceneError, match=rf"{says}.*Fetch the product again"):
            opened.read(WHOLE, [RED])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncate, "not well-formed"),
        (lambda path: path.write_text(path.read_text().replace("B04-04", "B04-00")), "names no detector"),
        (
            lambda path: path.write_text(path.read_text().replace("detector_foot", "foot")),
            "names no detector",
        ),
        (lambda path: path.write_text(path.read_text().replace("posList", "list")), "0 outer rings"),
    ],
)
def test_damaged_polygons_are_refused(tmp_path, damage, says):
    path, _ = small(tmp_path, OLD)
    damage(path / OLD.mask("DETFOO", RED))
    with (
        open_product(str(path)) as opened,
        pytest.raises(
            SceneError, match=rf"MSK_DETFOO_B04\.gml of .*cannot be used: .*{says}.*Fetch the product again"
        ),
    ):
        opened.read(WHOLE, [RED])


def test_polygons_beyond_the_size_of_any_mask_are_refused(tmp_path, monkeypatch):
    path, _ = small(tmp_path, OLD)
    with open_product(str(path)) as opened:
        monkeypatch.setattr("labeling.scenes.products.safe.files.LARGEST_XML", 500)
        with pytest.raises(SceneError, match=r"MSK_DETFOO_B04\.gml is larger than"):
            opened.read(WHOLE, [RED])


# Layers of old products


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A product with masks in GML, and one with rasters; same DN, same detectors and clouds."""
    return [small(tmp_path_factory.mktemp("both"), spec)[0] for spec in (OLD, NEW)]


def test_clouds_of_old_products_stand_for_classes(both):
    expected = quality(stored(OLD)).repeat(6, 1).repeat(6, 2)
    assert all(layer.any() for layer in expected)
    with open_product(str(both[0])) as opened:
        classes = opened.read_layer("MSK_CLASSI_B00", WHOLE)
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes[:2], expected[:2])
    assert not classes[2].any()
    with open_product(str(both[1])) as opened:
        np.testing.assert_array_equal(opened.read_layer("MSK_CLASSI_B00", WHOLE), expected)


def test_cloud_polygons_are_burnt_at_10_m(tmp_path):
    path, _ = small(tmp_path, OLD)
    write_gml(
        path / OLD.mask("CLOUDS", "B00"),
        ("OPAQUE.0", "OPAQUE", rectangle(OLD, 3, 4, 10, 20)),
        ("CIRRUS.0", "CIRRUS", rectangle(OLD, 7, 4, 30, 6)),
        ("OTHER.0", "OTHER", rectangle(OLD, 0, 0, SIZE, SIZE)),
    )
    expected = np.zeros((3, SIZE, SIZE), np.uint8)
    expected[0, 4:20, 3:10] = 1
    expected[1, 4:6, 7:30] = 1
    with open_product(str(path)) as opened:
        np.testing.assert_array_equal(opened.read_layer("MSK_CLASSI_B00", WHOLE), expected)


def test_a_sky_without_clouds_is_known_and_a_missing_mask_is_not(tmp_path):
    path, _ = small(tmp_path, OLD)
    write_gml(path / OLD.mask("CLOUDS", "B00"))
    with open_product(str(path)) as opened:
        classes = opened.read_layer("MSK_CLASSI_B00", WHOLE)
        assert classes.shape == (3, SIZE, SIZE)
        assert not classes.any()
    (path / OLD.mask("CLOUDS", "B00")).unlink()
    with open_product(str(path)) as opened:
        assert opened.read_layer("MSK_CLASSI_B00", WHOLE) is None


def test_detectors_of_old_products_have_numbers_and_the_higher_one_wins(tmp_path):
    path, _ = small(tmp_path, OLD)
    mask = path / OLD.mask("DETFOO", Band.B11)
    stripes = [
        ("detector_footprint-B11-05-0", "DETECTOR_FOOTPRINT", rectangle(OLD, 40, 0, 100, SIZE)),
        ("detector_footprint-B11-04-1", "DETECTOR_FOOTPRINT", rectangle(OLD, 0, 0, 60, SIZE)),
        ("detector_footprint-B11-12-2", "DETECTOR_FOOTPRINT", rectangle(OLD, 90, 0, 110, SIZE)),
    ]
    for order in (stripes, stripes[::-1]):
        write_gml(mask, *order)
        with open_product(str(path)) as opened:
            detectors = opened.read_layer("MSK_DETFOO_B11", WHOLE)
        assert detectors.shape == (1, SIZE, SIZE)
        columns = np.repeat([4, 5, 12, 0], [40, 50, 20, 10])
        np.testing.assert_array_equal(detectors[0], np.broadcast_to(columns, (SIZE, SIZE)))


@pytest.mark.parametrize("band", BANDS)
def test_layers_follow_the_pixels_of_the_band(both, band):
    """A footprint is one of native pixels, so at 10 m it is the one that decided whether they are valid."""
    for path in both:
        with open_product(str(path)) as opened:
            valid = opened.read(WHOLE, [band], resampling=Resampling.nearest).valid
            np.testing.assert_array_equal(opened.read_layer(f"MSK_DETFOO_{band}", WHOLE)[0] > 0, valid)


@given(
    top=st.integers(0, SIZE - 1),
    left=st.integers(0, SIZE - 1),
    height=st.integers(1, SIZE),
    width=st.integers(1, SIZE),
    strip=st.integers(1, 50),
    layer=st.sampled_from(["MSK_CLASSI_B00", "MSK_DETFOO_B02", "MSK_DETFOO_B11", "MSK_DETFOO_B01"]),
)
def test_any_block_of_a_layer_is_cut_from_the_whole(both, top, left, height, width, strip, layer):
    block = Block(top, left, min(height, SIZE - top), min(width, SIZE - left))
    for path in both:
        with pytest.MonkeyPatch.context() as patch, open_product(str(path)) as opened:
            whole = opened.read_layer(layer, WHOLE)
            patch.setattr(safe_masks, "_STRIP_ROWS", strip)
            with open_product(str(path)) as again:
                part = again.read_layer(layer, block)
        np.testing.assert_array_equal(part, whole[:, *block.slices])


def test_other_layers(both):
    for path in both:
        with open_product(str(path)) as opened:
            assert opened.read_layer("TCI", WHOLE).shape == (3, SIZE, SIZE)
            for name in ("SCL", "B02", "MSK_DETFOO_B99", "MSK_SATURA_B02", ""):
                assert opened.read_layer(name, WHOLE) is None
            with pytest.raises(ValueError, match="is not inside"):
                opened.read_layer("TCI", Block(0, 0, SIZE + 1, 1))


def test_rasters_are_preferred_where_there_are_both(tmp_path):
    path, _ = small(tmp_path)
    folder = (path / NEW.mask("DETFOO", RED)).parent
    write_gml(folder / "MSK_CLOUDS_B00.gml", ("OPAQUE.0", "OPAQUE", rectangle(NEW, 0, 0, SIZE, SIZE)))
    write_gml(folder / "MSK_DETFOO_B04.gml")
    with open_product(str(path)) as opened:
        assert opened.read_layer("MSK_CLASSI_B00", WHOLE)[2].any()
        assert opened.read_layer("MSK_DETFOO_B04", WHOLE).all()
