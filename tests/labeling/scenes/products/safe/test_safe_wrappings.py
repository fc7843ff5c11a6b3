"""One product under the names and wrappings that downloads have: known by its content, the same pixels."""

import shutil
import zipfile

import numpy as np
import pytest
from advice import commands, follow, rio_lines
from counting_server import CountingServer
from safe_writer import ProductSpec, native_dn, write_product

from labeling.bands import BANDS
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.contract.product import TRUE_COLOUR
from labeling.scenes.open import is_scene, open_scene
from labeling.scenes.search import scenes_below

WHOLE = Block(0, 0, 60, 60)
VALUES = np.random.default_rng(5).uniform(0.05, 0.9, (13, 60, 60))


def write(folder, baseline="05.00"):
    spec = ProductSpec(baseline=baseline)
    return write_product(folder, native_dn(VALUES, spec), spec)


def read(path):
    with open_scene(str(path)) as scene:
        layers = ("MSK_CLASSI_B00", "MSK_DETFOO_B02", "TCI")
        return scene.read(WHOLE).rgb, [scene.product.read_layer(layer, WHOLE) for layer in layers]


def same(path, root):
    (rgb, layers), (expected, expected_layers) = read(path), read(root)
    np.testing.assert_array_equal(rgb, expected)
    for one, other in zip(layers, expected_layers, strict=True):
        np.testing.assert_array_equal(one, other)


def zipped(path, root, prefix, separator="/", more=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in (file for file in root.rglob("*") if file.is_file()):
            name = (prefix + file.relative_to(root).as_posix()).replace("/", separator)
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes())
        for name in more:
            archive.writestr(name, b"\0\5\x16\7\0\2\0\0Mac OS X")
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("plain"))


WRAPPINGS = {
    "saved under its id": lambda f, r: zipped(
        f / "0f8b2c1e-1c2d-4d6f-9c1b-7f3a2b1c0d9e.zip", r, f"{r.name}/"
    ),
    "curl --output product.zip": lambda f, r: zipped(f / "product.zip", r, f"{r.name}/"),
    "zipped again with its folder": lambda f, r: zipped(f / f"{r.stem}.zip", r, f"{r.stem}/{r.name}/"),
    "zipped without a folder": lambda f, r: zipped(f / f"{r.stem}.zip", r, ""),
    "zipped from a dot": lambda f, r: zipped(f / "a.zip", r, f"./{r.name}/"),
    "backslashes": lambda f, r: zipped(f / f"{r.stem}.zip", r, f"{r.name}/", "\\"),
    "backslashes and no name": lambda f, r: zipped(f / "a.zip", r, f"{r.stem}/{r.name}/", "\\"),
    "of a Mac": lambda f, r: zipped(
        f / f"{r.stem}.zip",
        r,
        f"{r.name}/",
        more=[f"__MACOSX/{r.name}/._MTD_MSIL1C.xml", f"{r.name}/._MTD_MSIL1C.xml"],
    ),
    "a zip called .SAFE": lambda f, r: zipped(f / r.name, r, f"{r.name}/"),
    "without .SAFE": lambda f, r: shutil.copytree(r, f / r.stem),
    "another name": lambda f, r: shutil.copytree(r, f / "ross sea"),
    "doubled": lambda f, r: shutil.copytree(r, f / r.name / r.name).parent,
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_a_product_is_known_by_its_content(tmp_path, root, name):
    path = WRAPPINGS[name](tmp_path, root)
    assert is_scene(path)
    assert scenes_below(tmp_path) == [str(path)]
    same(path, root)


def test_a_folder_too_many_is_looked_into(tmp_path, root):
    inner = shutil.copytree(root, tmp_path / root.stem / root.name)
    assert scenes_below(tmp_path / root.stem) == scenes_below(tmp_path) == [str(inner)]


def test_a_folder_with_a_product_and_other_scenes_is_no_product(tmp_path, root):
    inner = shutil.copytree(root, tmp_path / root.name)
    (tmp_path / "a.png").touch()
    assert scenes_below(tmp_path) == [str(inner), str(tmp_path / "a.png")]


def test_other_zips_and_folders_are_no_scenes(tmp_path):
    with zipfile.ZipFile(tmp_path / "coast.zip", "w") as archive:
        archive.writestr("coast.shp", b"")
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 and so on")
    (tmp_path / "notes").mkdir()
    assert scenes_below(tmp_path) == []


@pytest.mark.parametrize(
    ("method", "name"), [(9, "Deflate64"), (93, "Zstandard"), (12, "BZIP2"), (77, "method 77")]
)
def test_a_zip_of_another_method_says_so_and_how_to_go_on(tmp_path, root, method, name):
    path = zipped(tmp_path / f"{root.stem}.zip", root, f"{root.name}/")
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        place = data.find(mark)
        while place >= 0:
            data[place + offset : place + offset + 2] = method.to_bytes(2, "little")
            place = data.find(mark, place + 4)
    path.write_bytes(data)
    with pytest.raises(SceneError, match=rf"{path} is packed with {name}.* give the \.SAFE folder"):
        read(path)


def test_paths_that_lead_out_are_refused_with_backslashes_too(tmp_path, root):
    path = zipped(tmp_path / f"{root.stem}.zip", root, f"{root.name}/", more=["..\\evil.xml"])
    with pytest.raises(SceneError, match="leads out of the product"):
        read(path)


@pytest.mark.parametrize("baseline", ["02.08", "05.00"])
def test_what_a_mac_writes_beside_each_file_changes_nothing(tmp_path, baseline):
    plain, root = write(tmp_path / "plain", baseline), write(tmp_path / "mac", baseline)
    for file in [file for file in root.rglob("*") if file.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(4064))
    same(root, plain)
    with open_scene(str(root)) as scene:
        for band in BANDS["L1C"]:
            assert scene.product.read_native(band).valid.any()


def test_a_tile_of_the_buckets_of_aws_says_what_it_is_and_the_advice_works(tmp_path, root):
    tile = tmp_path / "0"
    tile.mkdir()
    for file in root.glob("GRANULE/*/IMG_DATA/*.jp2"):
        shutil.copy(file, tile / f"{file.stem.rsplit('_', 1)[1]}.jp2")
    shutil.copy(next(root.glob("GRANULE/*/MTD_TL.xml")), tile / "metadata.xml")
    (tile / "tileInfo.json").write_text("{}")
    assert scenes_below(tmp_path) == [str(tile)]
    with pytest.raises(SceneError, match="as it lies in the buckets sentinel-s2-l1c") as caught:
        read(tile)
    (command,) = commands(str(caught.value))
    follow(command, tile)
    stack = tile / "stack.tif"
    with pytest.raises(SceneError, match="uint16") as caught:
        read(stack)
    for each in commands(str(caught.value))[:2]:
        follow(each)
    tags = "PRODUCT_TYPE=L1C SUN_ZENITH=61 SUN_AZIMUTH=55 VIEW_ZENITH=4 VIEW_AZIMUTH=200"
    follow(f"for tag in {tags}; do rio edit-info --tag $tag {stack}; done")
    assert len(rio_lines(command)) == 1
    with open_scene(str(stack), "rayleigh-v1-1.3") as scene, open_scene(str(root)) as safe:
        found, expected = (each.product.read(WHOLE, TRUE_COLOUR).values for each in (scene, safe))
        np.testing.assert_array_equal(found, expected)


# What the XML says


def edited(tmp_path, file, old, new):
    root = write(tmp_path)
    path = next(root.rglob(file))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return root


@pytest.mark.parametrize("text", ["NaN", "nan", ""])
def test_a_sun_that_is_not_known_is_unknown(tmp_path, text):
    root = edited(tmp_path, "MTD_TL.xml", ">61.25<", f">{text}<")
    with open_scene(str(root)) as scene:
        assert scene.info.sun_zenith is None
        assert scene.info.angles is None
        assert scene.read(WHOLE).valid.all()
    with (
        pytest.raises(SceneError, match="does not say where sun and satellite stood"),
        open_scene(str(root), "rayleigh-v1-1.3"),
    ):
        pass


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("MTD_MSIL1C.xml", ">57</SENSING", ">1e300</SENSING", "ORBIT_NUMBER is 1e+300; it lies in 1 to 143"),
        ("MTD_MSIL1C.xml", ">57</SENSING", ">2147483648</SENSING", "it lies in 1 to 143"),
        ("MTD_MSIL1C.xml", ">10000</QUANT", ">1</QUANT", "VALUE is 1; it lies in 1000 to 100000"),
        ("MTD_MSIL1C.xml", ">-1000</RADIO", ">1e300</RADIO", "RADIO_ADD_OFFSET is 1e+300"),
        ("MTD_TL.xml", ">61.25<", ">261.25<", "ZENITH_ANGLE is 261.25; it lies in 0 to 180"),
        ("MTD_TL.xml", "EPSG:32758", "EPSG:4326", "no coordinate system in metres"),
        ("MTD_TL.xml", "<XDIM>10</XDIM>", "<XDIM>5</XDIM>", "measure 5 x 10 m"),
        ("MTD_TL.xml", "<NROWS>60</NROWS>", "<NROWS>1e300</NROWS>", "it lies in 1 to 100000"),
        ("MTD_TL.xml", "2019-11-03T20:39:01.024Z<", "0001-01-01T00:00:01+14:00<", "not a time"),
    ],
)  # fmt: skip
def test_facts_that_cannot_be_are_refused(tmp_path, file, old, new, words):
    root = edited(tmp_path, file, old, new)
    with pytest.raises(SceneError) as caught:
        read(root)
    assert words in str(caught.value)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize("way", ["{url}/a.prj", "/vsicurl/{url}/a.prj", "EPSG:{url}"])
def test_an_address_for_a_coordinate_system_is_not_fetched(tmp_path, root, way):
    with CountingServer() as server:
        copy = shutil.copytree(root, tmp_path / root.name)
        xml = next(copy.glob("GRANULE/*/MTD_TL.xml"))
        xml.write_text(xml.read_text().replace("EPSG:32758", way.format(url=server.url)))
        with pytest.raises(SceneError, match="is no known coordinate system"), open_scene(str(copy)):
            pass
        assert server.asked == []
