"""Rasters that lead elsewhere: GDAL would ask a server or open another file, and nothing here lets it.

Each test first shows that plain GDAL follows, so that it would see if what is tested no longer mattered.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import ROOT, patchwork, planar
from counting_server import CountingServer
from pictures import write_tif
from stack_writer import write_stack

from labeling.errors import SceneError
from labeling.files.layout import LABELS
from labeling.files.raster import open_raster
from labeling.scenes.open import open_scene


@pytest.fixture(scope="module")
def server():
    with CountingServer() as running:
        yield running


def vrt(path, address):
    """Write a virtual raster that leads to an address."""
    band = f'<SimpleSource><SourceFilename relativeToVRT="0">{address}</SourceFilename></SimpleSource>'
    band = f'<VRTRasterBand dataType="Byte" band="1">{band}</VRTRasterBand>'
    path.write_text(f'<VRTDataset rasterXSize="600" rasterYSize="500">{band}</VRTDataset>')
    return path


def pam(path, address):
    """Write a raster's companion that names an address as its overviews."""
    item = f'<MDI key="OVERVIEW_FILE">{address}</MDI>'
    path.write_text(f'<PAMDataset><Metadata domain="OVERVIEWS">{item}</Metadata></PAMDataset>')


def tag(path, address):
    """Name an address as the overviews of a raster, in its own tags."""
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=address)


LEADS = {
    "a tag": tag,
    "its .aux.xml": lambda path, address: pam(path.with_name(path.name + ".aux.xml"), address),
    "an .ovr that is a VRT": lambda path, address: vrt(path.with_name(path.name + ".ovr"), address),
    "an .msk that is a VRT": lambda path, address: vrt(path.with_name(path.name + ".msk"), address),
    "an .OVR in capitals": lambda path, address: vrt(path.with_name(path.name + ".OVR"), address),
    "overviews of its .ovr": lambda path, address: tag(
        write_tif(path.with_name(path.name + ".ovr"), planar(patchwork(250, 300))), address
    ),
}


def followed(path):
    """Let plain GDAL do with a raster what labelling does with a scene."""
    with rasterio.open(path) as raster:
        raster.files  # noqa: B018 - asks for them
        for level in raster.overviews(1):
            raster.read(1, out_shape=(raster.height // level, raster.width // level))


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("kind", ["picture", "stack"])
def test_a_scene_that_leads_elsewhere_is_refused_before_anybody_is_asked(tmp_path, server, lead, kind):
    def write(name):
        path = tmp_path / name
        if kind == "picture":
            write_tif(path, planar(patchwork(500, 600)))
        else:
            dn = np.full((3, 500, 600), 2000, np.uint16)
            write_stack(path, dn, ("B02", "B03", "B04"), nodata=0)
        LEADS[lead](path, f"/vsicurl/{server.url}/{lead[:2].strip()}{kind}{name}")
        return path

    before = len(server.asked)
    with (
        pytest.raises(SceneError, match=r"Remove it|a copy without"),
        open_scene(str(write("ours.tif"))),
    ):
        pass
    assert len(server.asked) == before
    if lead in ("a tag", "its .aux.xml"):
        followed(write("plain.tif"))
        assert len(server.asked) > before


def test_the_way_out_works(tmp_path, server):
    path = write_tif(tmp_path / "a.tif", planar(patchwork(500, 600)))
    tag(path, f"/vsicurl/{server.url}/way.tif")
    rio = Path(sys.executable).with_name("rio")
    subprocess.run([rio, "convert", path, tmp_path / "copy.tif"], check=True)
    with open_scene(str(tmp_path / "copy.tif")) as scene:
        assert scene.info.height == 500


def test_honest_overviews_and_masks_beside_a_picture_are_used(tmp_path):
    path = write_tif(tmp_path / "a.tif", planar(patchwork(500, 600)))
    with rasterio.Env(TIFF_USE_OVR=True, GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as raster:
        raster.build_overviews([2, 4])
        mask = np.full((500, 600), 255, np.uint8)
        mask[:50] = 0
        raster.write_mask(mask)
    assert {"a.tif.ovr", "a.tif.msk"} <= {file.name for file in tmp_path.iterdir()}
    with open_scene(str(path)) as scene:
        from labeling.grid import Block

        assert not scene.read(Block(0, 0, 50, 600)).valid.any()


def test_companions_of_erdas_are_refused_and_others_of_that_ending_left_alone(tmp_path):
    path = write_tif(tmp_path / "scene.tif", planar(patchwork(60, 50, seed=1)))
    (tmp_path / "scene.aux").write_text("notes of TeX")
    with open_scene(str(path)):
        pass
    with rasterio.open(
        tmp_path / "scene.img", "w", driver="HFA", count=1, height=60, width=50, dtype="uint8"
    ) as companion:
        companion.write(np.ones((1, 60, 50), np.uint8))
    (tmp_path / "scene.img").rename(tmp_path / "scene.aux")
    with pytest.raises(SceneError, match=r"scene\.aux lies where .* is no GeoTIFF"), open_scene(str(path)):
        pass


@pytest.mark.parametrize("name", [LABELS, "clouds.tif"])
def test_a_raster_of_ours_that_was_replaced_by_a_vrt_is_not_opened(tmp_path, server, name):
    path, before = vrt(tmp_path / name, f"/vsicurl/{server.url}/{name}"), len(server.asked)
    with pytest.raises(rasterio.errors.RasterioIOError), open_raster(path):
        pass
    assert len(server.asked) == before
    with rasterio.open(path) as raster, pytest.raises(rasterio.errors.RasterioIOError):
        raster.read(1)
    assert len(server.asked) > before


SIGNS = """
import sys, rasterio
from labeling.files import s3
options = s3.gdal_options() if sys.argv[1] == "ours" else {"AWS_S3_ENDPOINT": sys.argv[2], "AWS_HTTPS": "NO",
                                                           "AWS_VIRTUAL_HOSTING": "FALSE"}
with rasterio.Env(**options):
    try:
        rasterio.open("/vsis3/bucket/" + sys.argv[1] + ".tif", driver="GTiff")
    except rasterio.errors.RasterioIOError:
        pass
"""


def test_profiles_of_the_user_sign_nothing(tmp_path, server):
    (tmp_path / ".aws").mkdir()
    keys = "aws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n"
    (tmp_path / ".aws" / "credentials").write_text(f"[default]\n{keys}[other]\n{keys}")
    (tmp_path / ".aws" / "config").write_text(f"[default]\nregion = eu-west-1\n[profile other]\n{keys}")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = kept | {"HOME": str(tmp_path), "AWS_ENDPOINT_URL": server.url, "PYTHONPATH": str(ROOT)}
    for profile in ({}, {"AWS_PROFILE": "other"}):
        before = len(server.asked)
        for who in ("ours", "plain"):
            host = server.url.partition("://")[2]
            subprocess.run(
                [sys.executable, "-c", SIGNS, who, host], env=environment | profile, check=True, timeout=60
            )
        signed = [path for _, path, signature in server.asked[before:] if signature]
        assert any("plain" in path for path in signed)
        assert not any("ours" in path for path in signed)
