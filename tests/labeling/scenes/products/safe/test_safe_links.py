"""Symbolic links in a product's folder stay in it, or have to be allowed."""

import shutil

import numpy as np
import pytest
from safe_writer import ProductSpec, native_dn, write_product

from jobs import label
from labeling.bands import RED
from labeling.errors import SceneError
from labeling.files.links import VARIABLE
from labeling.grid import Block
from labeling.scenes.products.safe.reader import open_product

SPEC = ProductSpec()
WHOLE = Block(0, 0, 60, 60)


@pytest.fixture(autouse=True)
def _nothing_allowed(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")  # not deleted: the job below sets it, which has to be undone


@pytest.fixture
def product(tmp_path):
    return write_product(tmp_path / "given", native_dn(np.full((13, 60, 60), 0.5), SPEC), SPEC)


def moved(file, target):
    """Move a file or folder, and leave a link to it where it was."""
    target.parent.mkdir(exist_ok=True)
    shutil.move(file, target)
    file.symlink_to(target)


def read(path):
    with open_product(str(path)) as opened:
        return opened.read(WHOLE, [RED]).values


PARTS = {
    "band": SPEC.image(RED, 10),
    "mask": SPEC.image(RED, 10).rpartition("/")[0].replace("IMG_DATA", "QI_DATA") + "/MSK_DETFOO_B04.jp2",
    "product XML": SPEC.product_xml,
    "granule XML": SPEC.granule_xml,
    "granules": "GRANULE",
}


@pytest.mark.parametrize("part", PARTS)
def test_a_link_that_leaves_the_product_is_refused_until_it_is_allowed(tmp_path, product, monkeypatch, part):
    before = read(product)
    moved(product / PARTS[part], tmp_path / "elsewhere" / "moved")
    with pytest.raises(SceneError, match=r"elsewhere/moved.*--allow-links files \(or POLYNYA_ALLOW_LINKS\)"):
        read(product)
    monkeypatch.setenv(VARIABLE, "files")
    np.testing.assert_array_equal(read(product), before)


@pytest.mark.parametrize("target", ["/etc/passwd", "/vsicurl/http://127.0.0.1:9/x.jp2", "../../../../../x"])
def test_where_such_a_link_leads_does_not_matter(product, target):
    band = product / PARTS["band"]
    band.unlink()
    band.symlink_to(target)
    with pytest.raises(SceneError, match="which is outside of"):
        read(product)


def test_links_inside_and_links_to_the_product_are_followed(tmp_path, product):
    before = read(product)
    moved(product / PARTS["band"], product / "GRANULE" / "moved.jp2")
    (tmp_path / "archive").symlink_to(product.parent)
    for way in (product, tmp_path / "archive" / product.name):
        np.testing.assert_array_equal(read(way), before)
    alone = tmp_path / "links" / product.name
    alone.parent.mkdir()
    alone.symlink_to(product)
    np.testing.assert_array_equal(read(alone), before)


def test_the_product_in_a_folder_of_its_name_is_no_link_elsewhere(tmp_path, product):
    outer = tmp_path / "outer" / product.name
    outer.mkdir(parents=True)
    (outer / product.name).symlink_to(product)
    with pytest.raises(SceneError, match="--allow-links files"):
        read(outer)


@pytest.mark.slow
def test_a_job_says_how_to_allow_it_and_takes_it(tmp_path, product):
    moved(product / PARTS["band"], tmp_path / "elsewhere" / "moved")
    arguments = ["--scenes", str(product), "--out", str(tmp_path / "run"), "--outputs", "labels"]
    arguments += ["--profile", "iqrah-2024-l1c"]
    outcome = label.main(arguments)
    assert outcome.exit_code == 3
    assert "--allow-links files" in outcome.failures[0].reason
    assert label.main([*arguments, "--allow-links", "files"]).exit_code == 0
