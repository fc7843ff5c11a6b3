"""Small archives and the sites of their nights, and what a line of the series must say of a scene."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import yaml
from conftest import patchwork, planar
from map_runs import tiny_model
from pictures import write_tif
from pyproj import CRS, Geod, Transformer
from rasterio.transform import from_origin

ROOT = Path(__file__).parents[2]
SIDE = 96

PLACES = {name: 10_000 * number for number, name in enumerate("abcdefghij")}
"""Metres by which scenes lie apart, by name."""

SETTINGS = {
    "label": {"profile": "polynya", "chips": {"size": 32}},
    "infer": {"network": "alone"},
    "spark": {"master": "local[2]"},
    "pictures": 2,
}


class Archive:
    """A folder of scenes, which may be a bucket's that is served at an address, and a site folder."""

    def __init__(self, folder, *, scenes=None, address=None, out=None):
        self.scenes, self.out = scenes or folder / "incoming", out or folder / "site"
        self.address, self.file = address or str(self.scenes), folder / "site.yaml"
        self.scenes.mkdir(exist_ok=True)
        self.model = tiny_model(folder / "first")

    def scene(self, name, seed, side=SIDE):
        """Write a scene, in the place of one that was there; it appears whole, as a download should."""
        partial = self.scenes / f".{name}.tif"
        grid = {"crs": "EPSG:3031", "transform": from_origin(200_000, -1_500_000 + PLACES[name], 10, 10)}
        write_tif(partial, planar(patchwork(side, side, seed=seed)), photometric="rgb", **grid)
        return partial.replace(self.scenes / f"{name}.tif")

    def damage(self, name):
        """Leave half of a scene."""
        file = self.scenes / f"{name}.tif"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    def settings(self, **changed):
        """Return the configuration of its nights."""
        own = {"scenes": [self.address], "out": str(self.out), "model": str(self.model)}
        return SETTINGS | own | changed

    def configure(self, **changed):
        """Write the configuration and return its file."""
        self.file.write_text(yaml.safe_dump(self.settings(**changed)))
        return self.file

    def status(self):
        """Return what the night said of itself."""
        return json.loads((self.out / "status.json").read_text())

    def series(self):
        """Return the lines of the series by scene."""
        lines = pq.read_table(self.out / "series.parquet").to_pylist()
        names = [line["scene"] for line in lines]
        assert len(set(names)) == len(names), f"a scene is there twice: {names}"
        return dict(zip(names, lines, strict=True))

    def night(self, *arguments):
        """Do a night in a process of its own; return its exit code and what it said."""
        return _ended([sys.executable, "-m", "jobs.nightly", "--config", self.file, *arguments])

    def killed_night(self, place, *arguments):
        """Do a night in a process that kills itself (-9) at a place of tests/helpers/killed_night.py."""
        helper = Path(__file__).with_name("killed_night.py")
        return _ended([sys.executable, helper, place, "--config", self.file, *arguments])

    def full_night(self, step, filler):
        """Do a night in a process of its own, whose disk the file `filler` fills before a step."""
        helper = Path(__file__).with_name("full_night.py")
        return _ended([sys.executable, helper, step, filler, "--config", self.file])


def _ended(command):
    ended = subprocess.run(
        [*map(str, command)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=600, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr


KINDS = {"water": 0, "thin_ice": 1, "thick_ice": 2, "ignore": 255}


def counted(raster):
    """Return pixels and square kilometres of each class in a raster, by pyproj's geodesic of each pixel row.

    Every pixel is a polygon of its own on the ellipsoid, which is another way than labeling/results/areas.py.
    """
    with rasterio.open(raster) as opened:
        codes, transform, crs = opened.read(1), opened.transform, CRS(opened.crs.to_wkt())
    height, width = codes.shape
    columns, rows = np.meshgrid(np.arange(width + 1), np.arange(height + 1))
    x, y = transform * (columns, rows)
    lon, lat = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y)
    geod = Geod(ellps="WGS84")
    found = {}
    for kind, code in KINDS.items():
        area = 0.0
        for row, column in np.argwhere(codes == code):
            corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
            ring = [(lon[corner], lat[corner]) for corner in corners]
            area += abs(geod.polygon_area_perimeter(*zip(*ring, strict=True))[0])
        found[f"{kind}_pixels"] = int((codes == code).sum())
        found[f"{kind}_km2"] = area / 1e6
    return found


def assert_true(archive, *, vanished=()):
    """Check every line of the series against the files that it is about; return the series."""
    series, run = archive.series(), archive.out / "run"
    there = {path.stem for path in archive.scenes.glob("*.tif")}
    assert {name for name, line in series.items() if line["state"] == "vanished"} == set(vanished)
    assert set(series) - set(vanished) <= there
    for name, line in series.items():
        for source, raster in (("labels", "labels/{}/labels.tif"), ("map", "maps/{}/classes.tif")):
            true = counted(run / raster.format(name))
            for kind in KINDS:
                assert line[f"{source}_{kind}_pixels"] == true[f"{kind}_pixels"]
                assert line[f"{source}_{kind}_km2"] == pytest.approx(true[f"{kind}_km2"], rel=1e-4, abs=1e-9)
    return series


def assert_nothing_half_written(archive):
    """Check that no night, and no training, has left anything unfinished."""
    assert not [path for path in archive.out.glob("**/.*") if "part" in path.name]
    assert not (archive.out / "successor").exists()
    assert not (archive.out / ".lock").exists()
