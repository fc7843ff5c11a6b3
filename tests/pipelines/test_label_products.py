"""Products through the Spark job: a folder, a zip and the same pixels as a picture get the same labels."""

import json
import re
import shutil
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import yaml
from conftest import patchwork
from pictures import read_labels, write_tif
from rasterio.transform import from_origin
from safe_writer import ProductSpec, native_dn, write_product

import pipelines.label as label_job
from labeling.bands import BLUE, GREEN, RED, Band
from labeling.chips.card import read_card
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.ice.profile import load_profile
from labeling.scenes.open import open_scene
from labeling.simulation.product import write_product_scene
from labeling.simulation.scene import SceneSpec, simulate
from pipelines.catalog import expand
from pipelines.config import LabelConfig

SIDE = 240
WHITE = 0.98
SPEC = ProductSpec(product_type="L1C", baseline="05.00")


def scene_dn():
    """DN of a product that looks like a patchwork of ice, with a wedge of no-data."""
    rgb = patchwork(SIDE, SIDE, seed=6).astype(np.float32) / 255 * WHITE
    colours = {RED: rgb[..., 0], GREEN: rgb[..., 1], BLUE: rgb[..., 2]}
    reflectance = np.stack([colours.get(band, rgb.mean(axis=2)) for band in Band])
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return native_dn(reflectance, SPEC, nodata=rows + columns > 1.7 * SIDE)


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    dn = scene_dn()
    safe = write_product(folder / "safe", dn, SPEC)
    zipped = write_product(folder / "zip", dn, replace(SPEC, zipped=True))
    with open_scene(str(safe), load_profile("polynya-l1c").rendering) as scene:
        height, width = scene.info.height, scene.info.width
        rgb, valid, _ = scene.read(Block(0, 0, height, width))
        transform = from_origin(scene.info.transform[2], scene.info.transform[5], 10, 10)
        crs = scene.info.crs
    picture = write_tif(folder / "picture/equal.tif", rgb, nodata=0, transform=transform, crs=crs)
    return safe, zipped, picture, rgb, valid


def run(scenes, out, profile, **options):
    options = {"block_size": 100, "cut": "always", "outputs": ["labels", "quicklook"]} | options
    scenes = [str(scene) for scene in scenes]
    return label_job.run(
        LabelConfig(scenes=scenes, out=out, profile=profile, spark={"master": "local[2]"}, **options)
    )


@pytest.mark.slow
def test_folder_zip_and_picture_get_identical_labels(tmp_path, products):
    safe, zipped, picture, rgb, valid = products
    found = []
    # What was drawn of the product, as a picture by itself, under the same levels.
    content = load_profile("polynya-l1c").model_dump() | {"name": "drawn", "rendering": "rgb8"}
    drawn = tmp_path / "drawn.yaml"
    drawn.write_text(yaml.safe_dump(content))
    for scene, profile in ((safe, "polynya-l1c"), (zipped, "polynya"), (picture, str(drawn))):
        outcome = run([scene], tmp_path / scene.parent.name, profile)
        assert outcome == (1, ())
        scene_id = next((tmp_path / scene.parent.name / "labels").iterdir()).name
        found.append(read_labels(tmp_path / scene.parent.name, scene_id))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert (found[0][~valid] == 255).all()
    # Water is water with or without the filter: V up to 26 of the picture without its air.
    np.testing.assert_array_equal((found[0] == 0)[valid], (rgb.max(0) <= 26)[valid])
    assert len(np.unique(found[0])) == 4


@pytest.mark.slow
def test_labels_lie_on_the_products_grid_and_name_it(tmp_path, products):
    safe = products[0]
    run([safe.parent], tmp_path / "run", "polynya-l1c")
    folder = next((tmp_path / "run/labels").iterdir())
    assert folder.name == safe.name.removesuffix(".SAFE")
    with rasterio.open(folder / "labels.tif") as labels, open_scene(str(safe)) as scene:
        assert labels.crs.to_epsg() == 32758
        assert list(labels.transform)[:6] == scene.info.transform
    done = json.loads((folder / "done.json").read_text())
    assert done["areas_m2"]["thick_ice"] == pytest.approx(100 * done["pixels"]["thick_ice"], rel=2e-3)
    assert done["inputs"]["profile"]["rendering"] == "rayleigh-v1-1.3"


@pytest.mark.slow
def test_clouds_land_and_limits_through_the_job(tmp_path):
    folder = tmp_path / "products"
    scene = write_product_scene(folder, SceneSpec(scene_id="c", height=240, width=240, seed=4, cloud=1.0))
    spec = ProductSpec("L2A")
    write_product(folder, native_dn(np.full((13, 60, 60), 0.15), spec), spec)
    low = replace(SPEC, sun_zenith=83.5, tile="57CDU")
    write_product(folder, native_dn(np.full((13, 60, 60), 0.15), low), low)
    options = {"clouds": {"sources": ["s2cloudless", "product"]}, "limits": {"sun_zenith": 82}}
    # Its rendering fits both levels, so that the L2A product comes as far as the cloud detector.
    profile = tmp_path / "any.yaml"
    profile.write_text("name: any\nversion: 1\nrendering: linear-0.3\n")
    rasters = []
    for cut, chips in (("always", []), ("never", ["chips"])):
        out = tmp_path / cut
        outcome = run(
            [folder], out, str(profile), cut=cut, outputs=["labels", *chips], chips={"size": 48}, **options
        )
        assert outcome.done == 1
        reasons = sorted(failure.reason for failure in outcome.failures)
        assert len(reasons) == 2
        assert any("is L2A, and s2cloudless is made for L1C" in reason for reason in reasons)
        assert any("83.5 degrees from the zenith" in reason for reason in reasons)
        labels = out / "labels" / scene.stem
        with rasterio.open(labels / "labels.tif") as one, rasterio.open(labels / "clouds.tif") as two:
            rasters.append((one.read(1), two.read()))
            assert two.transform.a == 160
    for one, other in zip(*rasters, strict=True):
        np.testing.assert_array_equal(one, other)
    chips = [row for file in out.glob("chips/*/*.parquet") for row in pq.read_table(file).to_pylist()]
    shares = [chip["cloud_fraction"] for chip in chips]
    assert min(shares) < max(shares)
    assert all(chip["ignore_fraction"] >= chip["cloud_fraction"] for chip in chips)


@pytest.mark.slow
def test_a_profile_of_another_rendering_is_refused_and_those_that_fit_are_named(tmp_path, products):
    safe, _, picture, *_ = products
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\nversion: 1\n")
    outcome = run([safe, picture], tmp_path / "run", str(mine))
    assert outcome.done == 1
    [failure] = outcome.failures
    assert failure.step == "label"
    assert "tci-l1c" in failure.reason
    assert "needs rgb8" in failure.reason
    _, _, named = failure.reason.partition("Made for such scenes: ")
    for profile in named.rstrip(".").split(", "):
        assert run([safe], tmp_path / profile, profile).done == 1
    assert "polynya-l1c" in named


@pytest.mark.slow
def test_each_kind_of_scene_gets_the_variant_made_for_it(tmp_path, products, caplog):
    folder = tmp_path / "scenes"
    surface = simulate(SceneSpec(scene_id="a", height=240, width=240, seed=4))
    kinds = {}
    for number, kind in enumerate(("L1C", "L1C", "L2A")):
        spec = SceneSpec(scene_id=f"s{number}", height=240, width=240, seed=4 + 100 * number)
        kinds[write_product_scene(folder, spec, product_type=kind).stem] = kind
    picture = write_tif(folder / "ross.tif", surface.rgb)
    outcome = run(
        [folder],
        tmp_path / "run",
        "polynya",
        outputs=["labels", "chips"],
        chips={"size": 48, "max_ignore": 1},
    )
    expected = {"L1C": "polynya-l1c", "L2A": "polynya-l2a"}
    for scene, kind in (kinds | {picture.stem: "picture"}).items():
        done = json.loads((tmp_path / "run/labels" / scene / "done.json").read_text())
        assert done["inputs"]["profile"]["name"] == expected.get(kind, "polynya")
    card = read_card(tmp_path / "run/chips")
    assert (card.rendering, card.profile) == ("rayleigh-v1-1.3", "polynya-l1c")
    without = {failure.scene: failure.reason for failure in outcome.failures}
    assert without.keys() == {scene for scene, kind in kinds.items() if kind == "L2A"} | {picture.stem}
    assert all(failure.step == "chips" for failure in outcome.failures)
    assert "rendering linear-1.3" in next(text for scene, text in without.items() if scene in kinds)
    told = [message for message in caplog.messages if "labelled with profile" in message]
    assert len(told) == 3
    assert "2 scene(s) labelled with profile polynya-l1c" in " ".join(told)
    # What is done stays done, and the ends are the same.
    again = run(
        [folder],
        tmp_path / "run",
        "polynya",
        outputs=["labels", "chips"],
        chips={"size": 48, "max_ignore": 1},
    )
    assert again == outcome


def test_a_folder_of_products_is_expanded_to_products(products):
    safe, zipped, *_ = products
    assert expand([str(safe.parent)]) == [str(safe)]
    assert expand([str(safe), str(zipped.parent / "*.zip")]) == [str(safe), str(zipped)]


def test_a_folder_that_only_looks_like_a_product_says_what_is_missing(tmp_path):
    fake = tmp_path / "S2A_MSIL1C_20191103T203901_N0500_R057_T58CDU_20191103T233010.SAFE"
    fake.mkdir()
    with pytest.raises(SceneError, match="MTD"), open_scene(str(fake)):
        pass


def spoil_band(path, spec):
    """Cut off the red band in the middle."""
    [band] = path.glob("GRANULE/*/IMG_DATA/*_B04.jp2")
    band.write_bytes(band.read_bytes()[: band.stat().st_size // 2])


def two_granules(path, spec):
    shutil.copytree(path / "GRANULE" / spec.granule, path / "GRANULE" / "another")


def rewrite_xml(path, spec, before, after):
    xml = path / spec.product_xml
    xml.write_text(re.sub(before, after, xml.read_text(), flags=re.DOTALL))


BAD = {
    "51CDU": (
        "no image of band B04",
        lambda path, spec: next(path.glob("GRANULE/*/IMG_DATA/*_B04.jp2")).unlink(),
    ),
    "52CDU": ("looked for MTD_MSIL1C.xml", lambda path, spec: (path / spec.product_xml).unlink()),
    "53CDU": ("comes with RADIO_ADD_OFFSET", partial(rewrite_xml, before="<Radio.*List>", after="")),
    "54CDU": ("document type or entities", partial(rewrite_xml, before="<n1:", after="<!DOCTYPE x []><n1:")),
    "55CDU": ("is damaged", spoil_band),
    "56CDU": ("2 granules", two_granules),
}


@pytest.mark.slow
def test_bad_products_are_quarantined_and_the_rest_is_finished(tmp_path):
    dn = native_dn(np.full((13, 60, 60), 0.2), SPEC)
    good = write_product(tmp_path / "scenes", dn, SPEC)
    for tile, (_, spoil) in BAD.items():
        spec = replace(SPEC, tile=tile)
        spoil(write_product(tmp_path / "scenes", dn, spec), spec)
    for name, member in (("bomb", b"0" * (100 << 20)), ("../../out", b"x")):
        path = tmp_path / f"scenes/S2A_MSIL1C_{len(name)}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, member)
    outcome = run([tmp_path / "scenes"], tmp_path / "run", "polynya-l1c")
    assert outcome.done == 1
    assert (read_labels(tmp_path / "run", good.stem) == 1).all()
    lines = (tmp_path / "run/failures.jsonl").read_text().splitlines()
    reasons = [json.loads(line)["reason"] for line in lines]
    assert len(reasons) == len(BAD) + 2
    for tile, (reason, _) in BAD.items():
        [said] = [said for said in reasons if tile in said]
        assert reason in said
    assert sum("times its size" in said or "leads out of the product" in said for said in reasons) == 2
    assert not (tmp_path / "out").exists()
