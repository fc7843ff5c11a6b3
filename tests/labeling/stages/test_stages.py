"""A scene's stages, cut in any way, against the whole scene in memory."""

import json

import numpy as np
import pytest
from array_scene import ArrayScene
from conftest import patchwork, planar
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import from_origin
from stage_runs import label_cut, whole

from labeling.cuts.doubts import brightness_doubts
from labeling.doubt import dump_doubts
from labeling.errors import SceneError
from labeling.ice.label import PixelState, compare, label_scene, prepare, scene_sums
from labeling.ice.profile import GuardSettings, ThinCloudSettings, load_profile
from labeling.ice.thresholds import brightness
from labeling.masks.land import LandSettings
from labeling.masks.limits import LimitSettings, check_sun
from labeling.stages.steps import Recipe


def doubts_of(folder):
    return json.loads((folder / "labels/done.json").read_text())["doubts"]


POLYNYA = load_profile("polynya")
SMALL_KERNELS = POLYNYA.model_copy(update={"thin_clouds": ThinCloudSettings(dilate=3, median=41)})
EAGER = ThinCloudSettings(dilate=3, median=41, guard=GuardSettings(soft_share=0, cell=16))
GUARDED = POLYNYA.model_copy(update={"thin_clouds": EAGER})
REGIONAL = ThinCloudSettings(dilate=3, median=41, guard=GuardSettings(cell=24, soft_share=0.1))
BY_REGION = POLYNYA.model_copy(update={"thin_clouds": REGIONAL})
UNGUARDED = [SMALL_KERNELS, load_profile("iqrah-2024"), load_profile("iqrah-2024-raw")]
PROFILES = [POLYNYA, GUARDED, BY_REGION, *UNGUARDED]


@st.composite
def pictures(draw):
    """A picture with no-data as a mask, as black from the edge, or not at all, and dark spots inside."""
    height, width = draw(st.integers(1, 260)), draw(st.integers(1, 260))
    rgb = planar(patchwork(height, width, seed=draw(st.integers(0, 50))))
    rows, columns = np.mgrid[:height, :width]
    angle, share = draw(st.floats(0, 6.3)), draw(st.floats(0, 0.7))
    distance = rows * np.sin(angle) + columns * np.cos(angle)
    beyond = distance > np.quantile(distance, 1 - share)
    kind = draw(st.sampled_from(["mask", "black", "none"]))
    if kind != "none":
        rgb[:, beyond] = 0
    spot = draw(st.integers(0, 40))
    rgb[:, height // 2 : height // 2 + spot, width // 2 : width // 2 + spot] = 0
    return rgb, ~beyond if kind == "mask" else None


@settings(max_examples=60)
@given(
    picture=pictures(), profile=st.sampled_from(PROFILES),
    rows=st.integers(20, 300), columns=st.integers(20, 300), threads=st.integers(1, 4),
)  # fmt: skip
def test_any_cut_gives_the_labels_of_the_whole_scene(
    tmp_path_factory, picture, profile, rows, columns, threads
):
    rgb, valid = picture
    expected = label_scene(rgb, valid, profile)
    folder = tmp_path_factory.mktemp("stages")
    recipe = Recipe(profile)
    if (expected == 255).all():
        with pytest.raises(SceneError, match="holds no data"):
            label_cut(ArrayScene(rgb, valid), (rows, columns), folder, recipe)
        return
    np.testing.assert_array_equal(
        label_cut(ArrayScene(rgb, valid), (rows, columns), folder, recipe), expected
    )
    doubts = doubts_of(folder)
    labels = whole(folder, ArrayScene(rgb, valid), recipe, cut=(rows, columns), threads=threads)
    np.testing.assert_array_equal(labels, expected)
    classed = brightness(rgb)[(expected != 255) & (True if valid is None else valid)]
    if profile.nodata == "ignore":
        counts = np.bincount(classed, minlength=256)
        assert doubts == dump_doubts(brightness_doubts(counts, profile.thresholds))
    assert doubts_of(folder) == doubts


@pytest.mark.parametrize("threads", [1, 3])
def test_each_pixel_is_read_once(tmp_path, threads):
    scene = ArrayScene(planar(patchwork(300, 300)))
    whole(tmp_path, scene, Recipe(POLYNYA), cut=(70, 70), threads=threads, quicklook=True)
    assert (scene.reads == 1).all()
    assert (tmp_path / "labels/quicklook.png").is_file()
    done = json.loads((tmp_path / "labels/done.json").read_text())
    assert sum(done["pixels"].values()) == 300 * 300
    assert done["excluded"] == {"nodata": 0, "cloud": 0, "land": 0}


def test_a_scene_with_too_much_nodata_is_refused_with_its_share(tmp_path):
    rgb = planar(patchwork(100, 100))
    valid = np.zeros((100, 100), bool)
    valid[:, :30] = True
    with pytest.raises(SceneError, match=r"no-data over 70\.0%.*limits\.nodata.*60\.0%"):
        whole(tmp_path, ArrayScene(rgb, valid), Recipe(POLYNYA, limits=LimitSettings(nodata=0.6)))
    assert not (tmp_path / "labels").exists()
    whole(tmp_path, ArrayScene(rgb, valid), Recipe(POLYNYA, limits=LimitSettings(nodata=0.7)))


def test_a_low_sun_is_refused_and_an_unknown_one_is_not():
    scene = ArrayScene(planar(patchwork(10, 10)), sun_zenith=81.25)
    with pytest.raises(SceneError, match=r"81\.2 degrees.*limits\.sun_zenith"):
        check_sun(scene.info, LimitSettings())
    check_sun(scene.info, LimitSettings(sun_zenith=82))
    check_sun(scene.info, LimitSettings(sun_zenith=None))
    check_sun(ArrayScene(planar(patchwork(10, 10))).info, LimitSettings())


PLACED = {"crs": CRS.from_epsg(3031).to_wkt(), "transform": list(from_origin(0, 1000, 10, 10))[:6]}


def land_file(folder, x):
    """Write a polygon that covers everything west of x metres."""
    square = [[[-5000, -5000], [x, -5000], [x, 5000], [-5000, 5000], [-5000, -5000]]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": square}}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3031"}}
    path = folder / "land.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    return path


@pytest.mark.parametrize("profile", [POLYNYA, load_profile("iqrah-2024")], ids=lambda p: p.name)
def test_land_gets_no_class_and_does_not_count(tmp_path, profile):
    rgb = planar(patchwork(100, 100))
    recipe = Recipe(profile, land=LandSettings(vector=land_file(tmp_path, 300)))
    labels = whole(tmp_path, ArrayScene(rgb, **PLACED), recipe)
    assert (labels[:, :30] == 255).all()
    assert (labels[:, 30:] != 255).all()
    done = json.loads((tmp_path / "labels/done.json").read_text())
    assert done["excluded"] == {"nodata": 0, "cloud": 0, "land": 3000}
    np.testing.assert_array_equal(label_cut(ArrayScene(rgb, **PLACED), (33, 41), tmp_path, recipe), labels)
    # What lies on land does not move the scene's stretch.
    state = np.where(np.arange(100) < 30, PixelState.LAND, PixelState.SEEN).astype(np.uint8)
    prepared = prepare(rgb, None, profile)
    sums = scene_sums(compare(prepared.value, profile), np.tile(state, (100, 1)), profile)
    assert sums.keys.sum() == 7000


def test_land_is_left_out_of_what_is_doubted(tmp_path, monkeypatch):
    """Half of the scene is one dark level just above the cut: a doubt, unless that half is land."""
    monkeypatch.setattr("labeling.cuts.histogram.SAMPLED", 2500)  # every second row and column
    rgb = planar(np.full((100, 100, 3), 240, np.uint8))
    rgb[:, :, :30] = 50
    whole(tmp_path, ArrayScene(rgb, **PLACED), Recipe(POLYNYA))
    assert [doubt["code"] for doubt in doubts_of(tmp_path)] == ["dark-peak"]
    recipe = Recipe(POLYNYA, land=LandSettings(vector=land_file(tmp_path, 300)))
    whole(tmp_path, ArrayScene(rgb, **PLACED), recipe)
    assert doubts_of(tmp_path) == []
    label_cut(ArrayScene(rgb, **PLACED), (33, 41), tmp_path, recipe)
    assert doubts_of(tmp_path) == []


def test_land_in_a_picture_without_place_is_refused(tmp_path):
    recipe = Recipe(POLYNYA, land=LandSettings(vector=land_file(tmp_path, 300)))
    with pytest.raises(SceneError, match="does not say where it lies"):
        whole(tmp_path, ArrayScene(planar(patchwork(50, 50))), recipe)


def test_a_changed_land_file_changes_what_the_labels_were_made_from(tmp_path):
    recipe = Recipe(POLYNYA, land=LandSettings(vector=land_file(tmp_path, 300)))
    info = ArrayScene(planar(patchwork(10, 10))).info
    before = recipe.inputs(info)
    land_file(tmp_path, 10)
    assert recipe.inputs(info) != before
