"""Land files that lead elsewhere: GDAL would ask a server, and nothing here lets it see them.

`gdal` shows that OGR itself follows, so that a test would see if what it tests no longer mattered.
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from counting_server import CountingServer

from labeling.errors import ConfigError
from labeling.masks.land import LandSettings, checked
from labeling.masks.vector_kinds import check_kind

SQUARE = shapely.box(165, -75, 166, -74)


@pytest.fixture(scope="module")
def server():
    with CountingServer() as running:
        yield running


def geojson(path, crs, **more):
    feature = {
        "type": "Feature",
        "properties": {},
        "geometry": json.loads(shapely.to_geojson(SQUARE)),
        **more,
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))


def vrt(path, source):
    path.write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="land"><SrcDataSource>{source}</SrcDataSource>'
        "<SrcLayer>land</SrcLayer></OGRVRTLayer></OGRVRTDataSource>"
    )


def wfs(path, url):
    path.write_text(f"<OGRWFSDataSource><URL>{url}</URL></OGRWFSDataSource>")


def gml(path, url):
    pyogrio.raw.write(
        path,
        np.array([shapely.to_wkb(SQUARE)]),
        [],
        [],
        geometry_type="Polygon",
        crs="EPSG:4326",
        driver="GML",
    )
    path.with_suffix(".xsd").unlink()
    schema = f"{url}?SERVICE=WFS&amp;VERSION=1.1.0&amp;REQUEST=DescribeFeatureType"
    text = path.read_text().replace('xsi:schemaLocation="', f'xsi:schemaLocation="http://x {schema} ', 1)
    path.write_text(text)


LEADS = {
    "a crs link": ("land.geojson", lambda path, url: geojson(path, link(url))),
    "a crs link of a geometry": (
        "land.geojson",
        lambda path, url: geojson(
            path, None, geometry=json.loads(shapely.to_geojson(SQUARE)) | {"crs": link(url)}
        ),
    ),
    "a WFS": ("land.xml", wfs),
    "a WFS called GeoPackage": ("land.gpkg", wfs),
    "a VRT": ("land.vrt", lambda path, url: vrt(path, f"/vsicurl/{url}.geojson")),
    "a VRT called Shapefile": ("land.shp", lambda path, url: vrt(path, f"/vsicurl/{url}.geojson")),
}


def link(url):
    return {"type": "link", "properties": {"href": url, "type": "proj4"}}


PLAIN = "import pyogrio, sys; pyogrio.list_layers(sys.argv[1]); pyogrio.raw.read(sys.argv[1])"


def gdal(path):
    """Let OGR alone read a file, in a process of its own."""
    subprocess.run([sys.executable, "-c", PLAIN, path], capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("lead", LEADS)
def test_a_land_file_that_leads_to_a_server_asks_nobody(tmp_path, server, lead):
    name, write = LEADS[lead]
    path = tmp_path / name
    write(path, f"{server.url}/{len(lead)}")
    before = len(server.asked)
    with pytest.raises(ConfigError, match=r"writes land\.gpkg|Write the system by its code"):
        checked(LandSettings(vector=path))
    assert len(server.asked) == before
    gdal(path)
    assert len(server.asked) > before


def test_the_way_out_of_a_kind_that_leads_elsewhere_makes_one_that_is_read(tmp_path, monkeypatch):
    geojson(tmp_path / "coast.geojson", None)
    lead = tmp_path / "land of it.vrt"
    source = f"<SrcDataSource>{tmp_path / 'coast.geojson'}</SrcDataSource>"
    lead.write_text(f'<OGRVRTDataSource><OGRVRTLayer name="coast">{source}</OGRVRTLayer></OGRVRTDataSource>')
    with pytest.raises(ConfigError) as caught:
        checked(LandSettings(vector=lead))
    [command] = re.findall("`(.*)`", str(caught.value))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert checked(LandSettings(vector=tmp_path / "land.gpkg")).vector == tmp_path / "land.gpkg"
    assert pyogrio.read_bounds(tmp_path / "land.gpkg")[1].ravel().tolist() == list(SQUARE.bounds)


def test_the_schema_that_a_gml_names_is_not_fetched(tmp_path, server):
    path, before = tmp_path / "land.gml", len(server.asked)
    gml(path, f"{server.url}/schema")
    assert checked(LandSettings(vector=path)).vector == path
    assert len(server.asked) == before


HARMFUL = {
    "an XML in a database's first page": ("a.gpkg", b"SQLite format 3\0" + b"<OGRVRTDataSource>"),
    "an XML in a GeoJSON's text": ("a.geojson", b'{"type": "Feature", "x": "<OGRWFSDataSource>"}'),
    "a command line": ("a.json", b'{"type": "gdal_streamed_alg", "command_line": "gdal vector convert a b"}'),
    "escaped letters": ("a.json", b'{"\\u0063rs": {"type": "link"}}'),
    "a name that is an address": (
        "a.json",
        b'{"crs": {"type": "name", "properties": {"name": "http://h/a"}}}',
    ),
    "two systems": ("a.json", b'{"crs": {"type": "link"}, "crs": {"type": "name", "properties": {}}}'),
    "what only a lenient reader takes for JSON": ("a.json", b"{'crs': {'type': 'link'}}"),
    "a text": ("a.csv", b"WKT\nPOINT (1 1)\n"),
    "a GML without GML": ("a.gml", b"<root/>"),
    "nothing": ("a.gpkg", b""),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_of_no_kind_or_leads_elsewhere_is_refused(tmp_path, name):
    file, content = HARMFUL[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ConfigError, match="cannot read the land file"):
        check_kind(tmp_path / file)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="Is a directory"):
        check_kind(tmp_path)


@pytest.mark.parametrize(
    "crs", ["urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4326", None]
)
def test_honest_geojson_is_read(tmp_path, crs):
    geojson(tmp_path / "a.geojson", crs and {"type": "name", "properties": {"name": crs}})
    assert checked(LandSettings(vector=tmp_path / "a.geojson")).vector == tmp_path / "a.geojson"


def test_a_zip_that_is_no_shapefile_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.vrt", "<OGRVRTDataSource/>")
    with pytest.raises(ConfigError, match=r"leads to other files|none of the kinds"):
        check_kind(tmp_path / "a.zip")
