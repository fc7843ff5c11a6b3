"""What a finished scene is on disk: class raster, quicklook, STAC Item and completion mark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from labeling.classes import IGNORE, IceClass
from labeling.doubt import Doubt, dump_doubts
from labeling.files.atomic import remove
from labeling.files.cogs.legend import STATUS as STATUS_LEGEND
from labeling.files.cogs.legend import class_legend
from labeling.files.cogs.names import name_files, write_names
from labeling.files.cogs.write import write_codes
from labeling.files.layout import DONE, STATUS, has_inputs, write_done
from labeling.files.storage import AnyPath
from labeling.grid import Block
from labeling.results.areas import AreaCount
from labeling.results.assets import ItemAsset, code_assets
from labeling.results.item import ITEM, Fact, write_item
from labeling.results.layers import LAYERS, write_layer
from labeling.results.preview import preview_shape, preview_step
from labeling.results.status import classed_by, grid_of, write_status
from labeling.scenes.contract.scene import SceneInfo
from labeling.status import PixelStatus

QUICKLOOK = "quicklook.png"

_CODES: Final = (*IceClass, IGNORE)
_NAMES: Final = (*(code.name.lower() for code in IceClass), "ignore")


class SceneOutput(NamedTuple):
    """Where and how a scene's classes are written."""

    folder: AnyPath
    raster: str
    heading: str
    """What the quicklook calls the classes."""
    palette: str
    quicklook: bool
    layers: tuple[str, ...] = ()
    """Which of LAYERS are written of a map."""

    @property
    def files(self) -> list[str]:
        """Names of the files that a finished scene has."""
        named = [file for raster in (self.raster, STATUS) for file in (raster, *name_files(raster))]
        return named + [LAYERS[name].file for name in self.layers] + [QUICKLOOK] * self.quicklook


def write_scene(
    output: SceneOutput,
    scene_id: str,
    info: SceneInfo,
    inputs: dict[str, Any],
    cut: Sequence[Block],
    classes_of: Callable[[Block], NDArray[np.uint8]],
    statuses_of: Callable[[Block, PixelStatus], NDArray[np.uint8]],
    preview_of: Callable[[Block], NDArray[np.uint8]],
    extras: Callable[[], list[ItemAsset]] = list,
    levels_of: Callable[[str, Block], NDArray[np.uint8]] | None = None,
    about: Mapping[str, Fact] | None = None,
    doubts: Callable[[], list[Doubt]] | None = None,
    counted: Callable[[], Mapping[str, Fact]] = dict,
    threads: int = 1,
    **facts: Any,
) -> None:
    """Write a scene's class raster, status raster, quicklook, Item and completion mark, in this order.

    `cut` covers the scene once; `classes_of` returns a block's class codes, `preview_of` its `sample` of
    the picture, (3, rows, columns), which only a quicklook asks for. `statuses_of` returns a block's
    PixelStatus codes, and is told what a pixel is that has a class of which the block says nothing else.
    `levels_of` returns a block's levels of a layer, by its name, where any is asked for. `extras` writes more
    files and returns them; `about`, such as the profile's name, goes into the STAC Item,
    and `facts` go into the mark. `doubts` is asked once all classes were, and goes into both; None where
    nobody looked for any. So is `counted`, for more facts. `threads` compress the rasters.
    """
    if not has_inputs(output.folder, inputs):  # a second attempt at one task must not undo the first
        remove(output.folder / DONE)
    seen, grid = _Seen(info), grid_of(info) | {"threads": threads}
    legend = class_legend(output.palette)
    blocks = seen.passing(cut, classes_of, preview_of if output.quicklook else None)
    write_codes(output.folder / output.raster, blocks, legend, **grid)
    own = doubts() if doubts else []
    classed = classed_by(own)
    status = write_status(output.folder / STATUS, cut, lambda block: statuses_of(block, classed), **grid)
    if levels_of is not None:
        _write_layers(output, cut, levels_of, grid)
    for file, codes in ((output.raster, legend), (STATUS, STATUS_LEGEND)):
        write_names(output.folder / file, codes)
    if output.quicklook:
        _draw(output, scene_id, seen)
    classes = ItemAsset(output.raster, f"Ice classes ({output.heading})", legend=legend, counts=seen.pixels)
    reasons = ItemAsset(STATUS, "Why a pixel has a class or none", legend=STATUS_LEGEND, counts=status)
    assets = [
        *code_assets(classes),
        *code_assets(reasons),
        *(LAYERS[name].asset for name in output.layers),
        *extras(),
        *[ItemAsset(QUICKLOOK, "Scene beside its classes", ("overview",))] * output.quicklook,
    ]
    found = [*info.doubted, *own]
    areas, about = seen.areas, {**(about or {}), **(late := counted())}
    has_item = write_item(
        output.folder / ITEM,
        info,
        item_id=f"{scene_id}-{output.heading}",
        assets=assets,
        areas=areas,
        facts={**about, "doubts": [doubt.text for doubt in found] or None},
    )
    write_done(
        output.folder,
        inputs,
        [asset.file for asset in assets] + [ITEM] * has_item,
        scene_id=scene_id,
        pixels=seen.pixels,
        status=status,
        areas_m2=areas,
        sun_zenith=info.sun_zenith,
        **({"doubts": dump_doubts(found)} if doubts or found else {}),
        **late,
        **facts,
    )


class _Seen:
    """What is seen of a scene while its blocks pass on their way to the class raster."""

    def __init__(self, info: SceneInfo) -> None:
        self._info = info
        self._counts = AreaCount(info, _CODES)
        shape = preview_shape(height=info.height, width=info.width)
        self.picture, self.classes = np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint8)
        """Samples of the picture and its classes, for a quicklook; filled where one is drawn."""

    @property
    def pixels(self) -> dict[str, int]:
        """How many pixels have each class."""
        return dict(zip(_NAMES, self._counts.pixels, strict=True))

    @property
    def areas(self) -> dict[str, float] | None:
        """True areas in square metres of the same; None for a scene that has no place on Earth."""
        areas = self._counts.square_metres()
        return None if areas is None else {n: round(area, 3) for n, area in zip(_NAMES, areas, strict=True)}

    def passing(
        self,
        cut: Iterable[Block],
        classes_of: Callable[[Block], NDArray[np.uint8]],
        preview_of: Callable[[Block], NDArray[np.uint8]] | None,
    ) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        """Yield each block's window and class codes; `preview_of` is None where no quicklook is drawn."""
        for block in cut:
            codes = classes_of(block)
            self._counts.add(block, codes)
            if preview_of is not None:
                self.classes[_sampled(block, self._info)] = sample(codes, block, self._info)
                self.picture[_sampled(block, self._info)] = preview_of(block).transpose(1, 2, 0)
            yield block.window, codes


def _write_layers(
    output: SceneOutput,
    cut: Sequence[Block],
    levels_of: Callable[[str, Block], NDArray[np.uint8]],
    grid: Mapping[str, Any],
) -> None:
    """Write the layers of a map that are asked for; remove those of one whose classes are gone."""
    for name, layer in LAYERS.items():
        if name in output.layers:
            write_layer(output.folder / layer.file, layer, cut, partial(levels_of, name), **grid)
        else:
            remove(output.folder / layer.file)


def _draw(output: SceneOutput, scene_id: str, seen: _Seen) -> None:
    from labeling.results.quicklook import (
        write_quicklook,  # half a second of imports, and most scenes need none
    )

    panels = [(output.heading, seen.classes)]
    write_quicklook(output.folder / QUICKLOOK, scene_id, seen.picture, panels, output.palette)


def sample(array: NDArray[np.uint8], block: Block, info: SceneInfo) -> NDArray[np.uint8]:
    """Return a block's pixels that fall on the scene's preview grid (last two axes are rows, columns)."""
    step = preview_step(height=info.height, width=info.width)
    return np.ascontiguousarray(array[..., -block.row % step :: step, -block.column % step :: step])


def _sampled(block: Block, info: SceneInfo) -> tuple[slice, slice]:
    """Return where a block's sampled pixels go in the preview."""
    step = preview_step(height=info.height, width=info.width)
    bottom, right = block.row + block.height, block.column + block.width
    return slice(-(-block.row // step), -(-bottom // step)), slice(
        -(-block.column // step), -(-right // step)
    )
