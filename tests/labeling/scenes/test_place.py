"""A lost place is told, and black inside; rims of lossy formats grow; state covers all files read."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from advice import commands, follow
from conftest import patchwork, planar
from pictures import write_png, write_tif
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin
from stage_runs import label_cut, whole

from labeling.ice.profile import load_profile
from labeling.masks.limits import LimitSettings
from labeling.scenes.picture import open_picture
from labeling.scenes.place import LOSSY_RIM
from labeling.stages.steps import Recipe

RGB = planar(patchwork(120, 140, seed=6))
RECIPE = Recipe(load_profile("polynya"))
PLACE = from_origin(500_000, 1_700_000, 10, 10)


def info_of(path):
    with open_picture(Path(path)) as picture:
        return picture.info


def done_of(path, folder, cut=(64, 64)):
    with open_picture(Path(path)) as picture:
        labels = whole(folder, picture, RECIPE, cut=cut)
    return labels, json.loads((folder / "labels/done.json").read_text())


def by_points(path):
    write_tif(path, RGB, crs=None, transform=Affine.identity())
    points = [
        GroundControlPoint(r, c, 5e5 + 10 * c, 17e5 - 10 * r) for r in (0, 60, 120) for c in (0, 70, 140)
    ]
    with rasterio.open(path, "r+") as raster:
        raster.gcps = (points, CRS.from_epsg(32758))
    return path


def by_world_file(path):
    write_png(path, RGB.transpose(1, 2, 0))
    path.with_suffix(".pgw").write_text("10\n0\n0\n-10\n500005\n1699995\n")
    return path


def by_half(path):
    return write_tif(path, RGB, crs="EPSG:32758", transform=Affine.identity())


def nowhere(path):
    return write_tif(path, RGB, crs="EPSG:32758", transform=Affine(10, 0, np.nan, 0, -10, 17e5))


def locally(path):
    return write_tif(path, RGB, crs=CRS.from_wkt('LOCAL_CS["deck",UNIT["metre",1]]'), transform=PLACE)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (by_points, "a.tif"),
        (by_world_file, "a.png"),
        (by_half, "a.tif"),
        (locally, "a.tif"),
        (nowhere, "a.tif"),
    ],
)
def test_a_lost_place_is_told_and_the_advice_finds_it(tmp_path, make, name):
    path = make(tmp_path / name)
    _, done = done_of(path, tmp_path)
    (doubt,) = (each for each in done["doubts"] if each["code"] == "place-lost")
    assert done["areas_m2"] is None
    assert not (tmp_path / "labels/item.json").exists()
    (command,) = commands(doubt["text"])
    follow(command, tmp_path)
    info = info_of(tmp_path / "placed.tif" if make is by_points else path)
    assert info.doubts is None
    assert CRS.from_wkt(info.crs) == CRS.from_epsg(32758)
    np.testing.assert_allclose(info.transform, list(PLACE)[:6], atol=0.01)


def test_further_pages_are_told_and_the_advice_reads_them(tmp_path):
    pages = [np.ascontiguousarray(RGB.transpose(1, 2, 0)), np.full((40, 50, 3), 90, np.uint8)]
    assert cv2.imwritemulti(str(tmp_path / "a.tif"), [page[..., ::-1] for page in pages])
    info = info_of(tmp_path / "a.tif")
    [(code, text)] = info.doubts
    assert code == "more-pages"
    assert "holds 2 pictures" in text
    (command,) = commands(text)
    follow(command, tmp_path)
    with rasterio.open(tmp_path / "second.tif") as raster:
        np.testing.assert_array_equal(raster.read().transpose(1, 2, 0), pages[1])


def test_a_picture_that_says_nothing_of_its_place_is_no_doubt(tmp_path):
    assert info_of(write_png(tmp_path / "a.png", RGB.transpose(1, 2, 0))).doubts is None
    assert info_of(write_tif(tmp_path / "a.tif", RGB)).doubts is None


def masked(tmp_path):
    path = write_tif(tmp_path / "a.tif", RGB)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as raster:
        raster.write_mask(np.full(RGB.shape[1:], 255, np.uint8))
    return path, tmp_path / "a.tif.msk"


def described(tmp_path):
    path = write_png(tmp_path / "a.png", RGB.transpose(1, 2, 0))
    beside = tmp_path / "a.png.aux.xml"
    beside.write_text("<PAMDataset><SRS>EPSG:32758</SRS></PAMDataset>")
    return path, beside


def placed(tmp_path):
    return by_world_file(tmp_path / "a.png"), tmp_path / "a.pgw"


@pytest.mark.parametrize("make", [masked, described, placed])
def test_a_file_that_is_read_beside_a_picture_is_part_of_its_state(tmp_path, make):
    path, beside = make(tmp_path)
    before = info_of(path).identity()
    assert info_of(path).identity() == before
    os.utime(beside, ns=(1, 1))
    edited = info_of(path).identity()
    assert edited != before
    beside.unlink()
    assert info_of(path).identity() not in (before, edited)


def test_overviews_and_strange_files_beside_a_picture_are_not(tmp_path):
    path = write_tif(tmp_path / "a.tif", RGB)
    before = info_of(path).identity()
    write_tif(tmp_path / "half.tif", RGB[:, ::2, ::2]).rename(tmp_path / "a.tif.ovr")
    with rasterio.open(path) as raster:
        assert raster.overviews(1) == [2]
    (tmp_path / "a.txt").touch()
    assert info_of(path).identity() == before


# Black


def with_hole(size=300, radius=60):
    rgb = patchwork(size, size, seed=3)
    y, x = np.mgrid[:size, :size]
    rgb[(y - 150) ** 2 + (x - 150) ** 2 < radius**2] = 0
    return rgb, (rgb == 0).all(axis=-1)


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
def test_black_inside_is_told_with_its_share_and_the_advice_declares_it(tmp_path, suffix):
    rgb, hole = with_hole()
    path = tmp_path / f"a.{suffix}"
    write_tif(path, planar(rgb)) if suffix == "tif" else write_png(path, rgb)  # or .jpg, by its name
    hole = cv2.erode(hole.astype(np.uint8), np.ones((33, 33))) > 0 if suffix == "jpg" else hole
    labels, done = done_of(path, tmp_path)
    assert (labels[hole] == 0).all()
    (doubt,) = (each for each in done["doubts"] if each["code"] == "inner-black")
    assert suffix == "jpg" or f"{hole.mean():.1%}" in doubt["text"]
    with open_picture(path) as picture:
        label_cut(picture, (37, 300), tmp_path / "cut", RECIPE)
    assert json.loads((tmp_path / "cut/labels/done.json").read_text())["doubts"] == done["doubts"]
    assert "--nodata 0" in doubt["text"]
    declared = Recipe(RECIPE.profile, LimitSettings(black="nodata"))
    with open_picture(path) as picture:
        labels = whole(tmp_path, picture, declared)
        np.testing.assert_array_equal(label_cut(picture, (37, 300), tmp_path / "cut", declared), labels)
    assert (labels[hole] == 255).all()
    if suffix == "jpg":
        assert not commands(doubt["text"])
        return
    follow(commands(doubt["text"])[0])
    labels, done = done_of(path, tmp_path)
    assert (labels[hole] == 255).all()
    assert "inner-black" not in {each["code"] for each in done["doubts"]}


def test_many_small_holes_are_told_as_one_large_one(tmp_path):
    rgb = patchwork(300, 300, seed=3)
    rows, columns = np.mgrid[:300, :300]
    rgb[(rows % 50 > 35) & (rows < 290) & (columns % 50 > 35) & (columns < 290)] = 0
    _, done = done_of(write_png(tmp_path / "a.png", rgb), tmp_path)
    assert "inner-black" in {each["code"] for each in done["doubts"]}


@pytest.mark.parametrize("radius", [10, 14])
def test_a_little_black_inside_is_dark_water_and_no_doubt(tmp_path, radius):
    rgb, _ = with_hole(radius=radius)
    _, done = done_of(write_png(tmp_path / "a.png", rgb), tmp_path)
    assert "inner-black" not in {each["code"] for each in done["doubts"]}


@pytest.mark.parametrize("kind", ["jpg", "tif"])
def test_the_smeared_rim_of_black_gets_no_class_either(tmp_path, kind):
    rgb = np.full((304, 320, 3), 230, np.uint8)
    y, x = np.mgrid[:304, :320]
    collar = x > 250 - y // 3  # slanted, as a swath's edge
    rgb[collar] = 0
    path = tmp_path / f"a.{kind}"
    if kind == "jpg":
        cv2.imwrite(str(path), rgb, [cv2.IMWRITE_JPEG_QUALITY, 70])
    else:
        write_tif(path, planar(rgb), compress="JPEG", photometric="YCBCR", tiled=True)
    info = info_of(path)
    assert info.rim == LOSSY_RIM
    labels, _ = done_of(path, tmp_path, cut=(304, 320))
    assert (labels != 0).all()  # no open water where there is none
    assert (labels[collar] == 255).all()
    assert (labels[:, : 250 - 304 // 3 - 2 * LOSSY_RIM] == 2).all()
    with open_picture(path) as picture:
        np.testing.assert_array_equal(label_cut(picture, (100, 77), tmp_path / "cut", RECIPE), labels)


def test_what_loses_nothing_or_has_a_mask_keeps_its_rim(tmp_path):
    assert info_of(write_tif(tmp_path / "a.tif", RGB, compress="deflate")).rim == 0
    path = write_tif(tmp_path / "b.tif", RGB, compress="JPEG")
    assert info_of(path).rim == LOSSY_RIM
    with rasterio.open(path, "r+") as raster:
        raster.write_mask(np.full(RGB.shape[1:], 255, np.uint8))
    assert info_of(path).rim == 0
