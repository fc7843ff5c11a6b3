"""Run folders made by hand: classes that are known by construction, without Spark and without a model."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from labeling.chips.card import CHIP_SCHEMA, ChipCard
from labeling.classes import IGNORE
from labeling.files.atomic import write_json
from labeling.files.cogs.legend import class_legend
from labeling.files.cogs.write import write_codes
from labeling.files.layout import Run, write_done
from labeling.ice.profile import load_profile
from labeling.scenes.open import open_scene
from labeling.scenes.sidecars import truth_path
from pipelines.catalog import write_catalog
from pipelines.engine.scenes import CatalogRow

CHIP = 16
"""Side of a chip, pixels."""

PIXEL_AREA = 100.0
GRID = {"crs": CRS.from_epsg(3031), "transform": Affine(10, 0, 0, 0, -10, 0)}
MODEL = "0" * 64
BRIGHTNESS = np.zeros(256, np.uint8)
BRIGHTNESS[[0, 1, 2, IGNORE]] = 10, 100, 250, 0


def picture_of(classes):
    """Return a picture (3, height, width) that the colour thresholds label as `classes`."""
    return np.stack([BRIGHTNESS[classes]] * 3)


class RunFactory:
    """Writes scenes and what the jobs would have made of them."""

    def __init__(self, folder):
        self.run = Run(folder / "run")
        self.scenes = folder / "scenes"
        self.scenes.mkdir()
        self._rows = []
        self._tests = {}

    def add(
        self, scene_id, labels, model=None, *, thresholds=None, truth=None, cloud=None, shadow=None, test=()
    ):
        """Add a scene; arrays are class codes (height, width), `test` names upper left (row, column)s."""
        uri = self.scenes / f"{scene_id}.tif"
        rgb = picture_of(labels if thresholds is None else thresholds)
        write_bands(uri, rgb, nodata=0, photometric="rgb")
        if truth is not None:
            write_classes(truth_path(uri), truth)
        for kind, values in (("cloud", cloud), ("shadow", shadow)):
            if values is not None:
                write_bands(uri.with_name(f"{scene_id}.{kind}.tif"), values[None].astype(np.float32))
        with open_scene(str(uri)) as scene:
            info = scene.info
        self._rows.append(CatalogRow(scene_id, info))
        profile = load_profile("polynya").model_dump()
        self._finish(self.run.labels(scene_id), "labels.tif", labels, info.identity() | {"profile": profile})
        if model is not None:
            self._finish(self.run.maps(scene_id), "classes.tif", model, info.identity() | {"model": MODEL})
        if test:
            self._tests[scene_id] = list(test)
        return uri

    def _finish(self, folder, name, classes, inputs):
        write_classes(folder / name, classes)
        counts = np.bincount(classes.ravel(), minlength=256).tolist()
        pixels = {"water": counts[0], "thin_ice": counts[1], "thick_ice": counts[2], "ignore": counts[IGNORE]}
        areas = {name: count * PIXEL_AREA for name, count in pixels.items()}
        write_done(folder, inputs, [name], scene_id=folder.name, pixels=pixels, areas_m2=areas)

    def write(self, **card):
        """Write the catalogue and the chips, and return the run; `card` overrides the chip card."""
        write_catalog(self._rows, self.run)
        for scene_id, places in self._tests.items():
            file = self.run.chips / "split=test" / f"{scene_id}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            chips = [chip(scene_id, row, column) for row, column in places]
            pq.write_table(pa.Table.from_pylist(chips, schema=CHIP_SCHEMA), file, row_group_size=1)
        count = sum(len(places) for places in self._tests.values())
        values = {
            "profile": "polynya", "profile_version": 1, "rendering": "rgb8", "size": CHIP, "channels": 3,
            "split_by": "scene", "gap": 0, "counts": {"train": 0, "val": 0, "test": count},
            "class_pixels": dict.fromkeys(("train", "val", "test"), (0, 0, 0)),
            "scenes": {"train": [], "val": [], "test": sorted(self._tests)}, "digest": "c" * 64,
        }  # fmt: skip
        write_json(self.run.chips / "chips.json", ChipCard(**values | card).model_dump())
        return self.run


def chip(scene_id, row, column):
    """Return a row of the chip table whose pixels do not matter."""
    return {
        "scene_id": scene_id, "group": scene_id, "row": row, "column": column, "image": b"", "label": b"",
        "class_fractions": [0.0, 0.0, 1.0], "ignore_fraction": 0.0,
    }  # fmt: skip


def write_classes(file, classes):
    """Write class codes (height, width)."""
    height, width = classes.shape
    whole = [(Window(0, 0, width, height), classes.astype(np.uint8))]
    write_codes(file, whole, class_legend(), height=height, width=width, **GRID)


def write_bands(file, bands, **profile):
    """Write bands (count, height, width) as a GeoTIFF."""
    count, height, width = bands.shape
    options = {"count": count, "height": height, "width": width, "dtype": bands.dtype, **GRID, **profile}
    with rasterio.open(file, "w", driver="GTiff", **options) as raster:
        raster.write(bands)
