"""Runs of a scene's stages without Spark: whole in memory, and cut as tasks would share it."""

from contextlib import nullcontext

import rasterio

from labeling.grid import blocks
from labeling.ice.scene_sums import SceneSums
from labeling.results.output import SceneOutput
from labeling.stages.planes import FilePlanes
from labeling.stages.steps import compare_block, decode, exclude, write
from labeling.stages.whole import label_whole


def output(folder, quicklook=False):
    return SceneOutput(folder / "labels", "labels.tif", "labels", "polynya", quicklook)


def labels_of(folder):
    with rasterio.open(folder / "labels/labels.tif") as raster:
        return raster.read(1)


def label_cut(scene, cut, folder, recipe):
    """Label as tasks do that share a scratch folder; each stage runs twice, as a retry would."""
    info = scene.info
    shape = {"height": info.height, "width": info.width}

    def planes():
        return FilePlanes(folder / "scratch", **shape, rows=cut[0], columns=cut[1])

    parts = list(blocks(**shape, size=cut[0], columns=cut[1]))
    for _ in range(2):
        states = sum(decode(scene, block, planes(), recipe, preview=False) for block in parts)
        excluded = exclude(info, parts, states, planes(), recipe)
    for _ in range(2):
        found = [compare_block(info, block, excluded.layer, planes(), recipe) for block in parts]
    sums = sum(found, start=SceneSums.none())
    write("scene", info, parts, excluded, sums, planes(), recipe, output(folder))
    return labels_of(folder)


def whole(folder, scene, recipe, cut=(64, 64), threads=1, quicklook=False):
    """Label in one process, with its layers in memory."""
    info = scene.info
    parts = list(blocks(height=info.height, width=info.width, size=cut[0], columns=cut[1]))
    label_whole("scene", info, lambda: nullcontext(scene), parts, recipe, output(folder, quicklook), threads)
    return labels_of(folder)
