"""Runs whose maps are given, anywhere on Earth, at any time: without scenes, Spark or a model."""

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from labeling.files.cogs.legend import class_legend
from labeling.files.cogs.write import write_codes
from labeling.files.layout import Run, write_done
from labeling.results.assets import ItemAsset
from labeling.results.item import ITEM, write_item
from labeling.scenes.contract.scene import SceneInfo
from pipelines.catalog import write_catalog
from pipelines.engine.scenes import CatalogRow


class MapFactory:
    """Writes finished maps, and the catalogue of their scenes."""

    def __init__(self, root):
        self.run = Run(root)
        self._rows = {}

    def add(
        self, scene_id, classes, crs, transform, *,
        time=None, status=None, probability=None, rendering="rgb8", model=None, item=False,
    ):  # fmt: skip
        """Add a map: codes u8 (height, width), a CRS or None, an Affine; returns its catalogue row."""
        height, width = classes.shape
        crs = None if crs is None else CRS.from_user_input(crs)
        info = SceneInfo(
            uri=f"/scenes/{scene_id}.tif", group=scene_id, renderings=[rendering], height=height, width=width,
            crs=None if crs is None else crs.to_wkt(),
            transform=None if crs is None else list(transform)[:6],
            block=[height, width], bytes=1, modified_ns=1, sensing_time=time,
        )  # fmt: skip
        folder = self.run.maps(scene_id)
        write_codes(
            folder / "classes.tif", [(Window(0, 0, width, height), classes)],
            class_legend(), height=height, width=width, crs=crs,
            transform=None if crs is None else Affine(*info.transform),
        )  # fmt: skip
        files = ["classes.tif"]
        if status is not None:
            write_layer(folder / "status.tif", status[None], crs, transform)
            files.append("status.tif")
        if probability is not None:
            write_layer(folder / "probability.tif", probability, crs, transform)
            files.append("probability.tif")
        if item:
            made = ItemAsset("classes.tif", "Ice classes", legend=class_legend())
            write_item(folder / ITEM, info, item_id=f"{scene_id}-map", assets=[made])
            files.append(ITEM)
        ignored = int(np.count_nonzero(classes == 255))
        pixels = {"classed": classes.size - ignored, "ignore": ignored}
        inputs = info.identity() | {"profile": {"rendering": rendering}}
        inputs |= {} if model is None else {"model": model}
        write_done(folder, inputs, files, pixels=pixels)
        self._rows[scene_id] = CatalogRow(scene_id, info)
        return self._rows[scene_id]

    def write(self):
        """Write the catalogue and return the run."""
        write_catalog(self._rows.values(), self.run)
        return self.run


def write_layer(file, bands, crs, transform):
    """Write u8 bands (count, height, width) as a GeoTIFF."""
    count, height, width = bands.shape
    options = {"count": count, "height": height, "width": width, "dtype": np.uint8}
    with rasterio.open(file, "w", driver="GTiff", crs=crs, transform=transform, **options) as raster:
        raster.write(bands)
