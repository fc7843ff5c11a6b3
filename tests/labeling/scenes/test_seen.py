"""Scenes known again by what their files look like: whatever changes what opening them says is noticed."""

import json
import os
import shutil
import time
from collections import Counter

import numpy as np
import pytest
from conftest import patchwork, planar
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import write_png, write_tif
from safe_writer import ProductSpec, native_dn, write_product
from stac_catalogues import edit, write_item

from labeling.errors import SceneError
from labeling.files.links import VARIABLE
from labeling.scenes import seen
from labeling.scenes.open import open_scene
from labeling.scenes.seen import look_at

RGB = planar(patchwork(40, 50))
DN = native_dn(np.full((13, 60, 60), 0.3), ProductSpec("L1C"))


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Take files that were just written for settled; each test waits a tick of the clock where it must."""
    monkeypatch.setattr(seen, "FRESH_NS", 0)


def tick():
    time.sleep(0.02)


def look(path):
    tick()
    return look_at([str(path)]).get(str(path))


@pytest.fixture
def picture(tmp_path):
    return write_tif(tmp_path / "scenes/scene-1.tif", RGB)


def same_size_and_time(picture):
    state, content = picture.stat(), bytearray(picture.read_bytes())
    content[-1] ^= 255
    picture.write_bytes(content)
    os.utime(picture, ns=(state.st_atime_ns, state.st_mtime_ns))


def beside(picture, name):
    return picture.with_name(name)


def write_mask(picture, name):
    write_tif(beside(picture, name), RGB[:1], crs=None)


CHANGES = {
    "another byte at the same size and time": same_size_and_time,
    "another file of that name": lambda picture: write_tif(beside(picture, "x.tif"), RGB).replace(picture),
    "a mask beside it": lambda picture: write_mask(picture, "scene-1.tif.msk"),
    "a mask in capitals": lambda picture: write_mask(picture, "SCENE-1.TIF.MSK"),
    "a world file": lambda picture: picture.with_suffix(".tfw").write_text("1\n0\n0\n-1\n0\n0\n"),
    "facts of its bands": lambda picture: beside(picture, "scene-1.tif.aux.xml").write_text("<PAMDataset/>"),
    "its rights": lambda picture: picture.chmod(0o600),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_noticed(picture, change):
    before = look(picture)
    assert before is not None
    assert look(picture) == before
    CHANGES[change](picture)
    assert look(picture) != before


def test_what_is_anothers_is_none_of_its_own(picture):
    before = look(picture)
    for name in ("scene-10.tif", "scene-12.msk", "scene.tif", "other.tif"):
        write_tif(picture.with_name(name), RGB)
    assert look(picture) == before


def test_a_link_is_what_it_leads_to(picture, tmp_path):
    link = tmp_path / "link.tif"
    link.symlink_to(picture)
    before = look(link)
    same_size_and_time(picture)
    assert before is not None
    assert look(link) != before


def test_what_was_touched_a_moment_ago_is_not_known(picture, monkeypatch):
    monkeypatch.setattr(seen, "FRESH_NS", 3_600 * 10**9)
    assert look(picture) is None


@pytest.mark.parametrize("uri", ["https://example.org/scene.tif", "/nowhere/scene.tif", "/nowhere/x.SAFE"])
def test_what_cannot_be_looked_at_is_not_known(uri):
    assert look_at([uri]) == {}


def test_versions_and_allowed_links_decide(picture, monkeypatch):
    before = look(picture)
    monkeypatch.setenv(VARIABLE, "files")
    allowed = look(picture)
    monkeypatch.setattr(seen, "versions", lambda: {"rasterio": "99"})
    assert len({before, allowed, look(picture)}) == 3


def test_every_file_of_a_product_counts(tmp_path):
    product = write_product(tmp_path, DN, ProductSpec("L1C"))
    before = look(product)
    assert look(product) == before is not None
    file = sorted(product.rglob("*.jp2"))[-1]
    same_size_and_time(file)
    changed = look(product)
    (product / "GRANULE/new.txt").touch()
    assert len({before, changed, look(product)}) == 3
    file.unlink()
    assert look(product) not in (before, changed)


def test_a_product_with_a_link_to_a_folder_is_not_known(tmp_path):
    product = write_product(tmp_path, DN, ProductSpec("L1C"))
    shutil.move(product / "GRANULE", tmp_path / "elsewhere")
    (product / "GRANULE").symlink_to(tmp_path / "elsewhere")
    assert look(product) is None


def test_an_item_and_the_files_that_it_names_count(tmp_path):
    spec = ProductSpec("L2A")
    safe = write_product(tmp_path, native_dn(np.full((13, 60, 60), 0.3), spec), spec)
    item = write_item(tmp_path, safe, spec, "earth-search")
    before = look(item)
    assert look(item) == before is not None
    raster = next(path for path in item.parent.rglob("*.tif"))
    raster.write_bytes(raster.read_bytes() + b" ")
    changed = look(item)
    edit(item, lambda content: content["properties"].update({"title": "another"}))
    assert len({before, changed, look(item)}) == 3


@pytest.fixture
def item(tmp_path):
    """An item whose files lie beside it; those of the other catalogue have copies on a server."""
    spec = ProductSpec("L2A")
    safe = write_product(tmp_path, native_dn(np.full((13, 60, 60), 0.3), spec), spec)
    return write_item(tmp_path, safe, spec, "cdse")


@pytest.mark.parametrize("href", ["https://host.example/red.tif", "s3://bucket/red.tif"])
@pytest.mark.parametrize("asset", ["B04_10m", "thumbnail"])
def test_an_item_of_which_a_file_lies_on_a_server_is_not_known(item, href, asset):
    assert look(item) is not None
    edit(item, lambda content: content["assets"].update({asset: {"href": href}}))
    assert look(item) is None


def test_an_item_that_may_be_read_from_a_server_in_a_files_stead_is_not_known(item):
    (missing,) = item.parent.rglob("*_B04_10m.jp2")
    missing.unlink()
    assert look(item) is None
    edit(item, lambda content: [asset.pop("alternate") for asset in content["assets"].values()])
    assert look(item) is not None, "opening it says what is missing, as long as it is"


def test_a_list_of_many_items_is_looked_at_once(tmp_path, monkeypatch):
    raster, count = write_tif(tmp_path / "red.tif", RGB), 50
    items = [{"type": "Feature", "id": f"i{n}", "assets": {"red": {"href": "red.tif"}}} for n in range(count)]
    file = tmp_path / "items.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    uris = [f"{file}#i{number}" for number in range(count)]
    asked = Counter()
    stat = os.stat
    with monkeypatch.context() as patch:
        patch.setattr(seen.os, "stat", lambda path, **how: asked.update([str(path)]) or stat(path, **how))
        before = look_at(uris)
    assert list(before) == uris
    assert (asked[str(file)], asked[str(raster)]) == (1, 1)
    same_size_and_time(raster)
    tick()
    after = look_at(uris)
    assert all(after[uri] != before[uri] for uri in uris)


ACTS = ("mask", "world", "nothing", "other", "remove", "rewrite", "picture", "aux")


@settings(max_examples=30)
@given(acts=st.lists(st.sampled_from(ACTS), min_size=1, max_size=4), suffix=st.sampled_from([".tif", ".png"]))
def test_where_scenes_look_alike_opening_them_says_the_same(tmp_path_factory, acts, suffix):
    folder = tmp_path_factory.mktemp("acts")
    scene = folder / f"scene{suffix}"

    def write(seed):
        rgb = patchwork(30, 40 + seed, seed=seed)
        write_png(scene, rgb) if suffix == ".png" else write_tif(scene, planar(rgb))

    def said():
        try:
            with open_scene(str(scene)) as opened:
                return opened.info
        except SceneError as error:
            return str(error)

    write(0)
    known = {look(scene): said()}
    for number, act in enumerate(acts):
        if act == "mask":
            write_tif(folder / f"scene{suffix}.msk", np.full((1, 30, 40), 255, np.uint8), crs=None)
        elif act == "world":
            ending = ".tfw" if suffix == ".tif" else ".pgw"
            (folder / f"scene{ending}").write_text(f"{number + 1}\n0\n0\n-1\n5\n5\n")
        elif act == "aux":
            (folder / f"scene{suffix}.aux.xml").write_text(f"<PAMDataset><!-- {number} --></PAMDataset>")
        elif act == "other":
            write_png(folder / f"scene{number}.png", patchwork(20, 20))
        elif act == "remove":
            for path in folder.glob(f"scene{suffix}.*"):
                path.unlink()
        elif act == "rewrite":
            write(number + 1)
        elif act == "picture":
            write(0)
        digest, found = look(scene), said()
        assert known.setdefault(digest, found) == found
