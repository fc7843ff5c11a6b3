"""What a finished scene is on disk: class raster, quicklook, STAC Item and completion mark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from labeling.classes import IGNORE, IceClass
from labeling.doubt import Doubt, dump_doubts
from labeling.files.atomic import remove
from labeling.files.layout import DONE, has_inputs, write_done
from labeling.files.raster import write_class_raster
from labeling.files.storage import AnyPath
from labeling.grid import Block
from labeling.results.areas import AreaCount
from labeling.results.item import ITEM, Fact, ItemAsset, write_item
from labeling.results.preview import preview_shape, preview_step
from labeling.scenes.contract.scene import SceneInfo

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

    @property
    def files(self) -> list[str]:
        """Names of the files that a finished scene has."""
        return [self.raster, QUICKLOOK] if self.quicklook else [self.raster]


def write_scene(
    output: SceneOutput,
    scene_id: str,
    info: SceneInfo,
    inputs: dict[str, Any],
    cut: Iterable[Block],
    classes_of: Callable[[Block], NDArray[np.uint8]],
    preview_of: Callable[[Block], NDArray[np.uint8]],
    extras: Callable[[], list[ItemAsset]] = list,
    about: Mapping[str, Fact] | None = None,
    doubts: Callable[[], list[Doubt]] | None = None,
    counted: Callable[[], Mapping[str, Fact]] = dict,
    threads: int = 1,
    **facts: Any,
) -> None:
    """Write a scene's class raster, quicklook, Item and completion mark, in this order.

    `cut` covers the scene once; `classes_of` returns a block's class codes, `preview_of` its `sample` of
    the picture, (3, rows, columns), which only a quicklook asks for. `extras` writes more files and returns
    them; `about`, such as the profile's name, goes into the STAC Item, and `facts` go into the mark. `doubts`
    is asked once all classes were, and goes into both; None where nobody looked for any. So is `counted`, for
    more facts. `threads` compress the raster.
    """
    if not has_inputs(output.folder, inputs):  # a second attempt at one task must not undo the first
        remove(output.folder / DONE)
    seen = _Seen(info)
    write_class_raster(
        output.folder / output.raster,
        seen.passing(cut, classes_of, preview_of if output.quicklook else None),
        height=info.height,
        width=info.width,
        crs=CRS.from_wkt(info.crs) if info.crs else None,
        transform=info.affine,
        palette=output.palette,
        threads=threads,
    )
    if output.quicklook:
        from labeling.results.quicklook import (
            write_quicklook,  # half a second of imports, and most scenes need none
        )

        panels = [(output.heading, seen.classes)]
        write_quicklook(output.folder / QUICKLOOK, scene_id, seen.picture, panels, output.palette)
    others = extras() + [ItemAsset(QUICKLOOK, "Scene beside its classes", ("overview",))] * output.quicklook
    found = [*info.doubted, *(doubts() if doubts else [])]
    areas, about = seen.areas, {**(about or {}), **(late := counted())}
    files = [output.raster, *(asset.file for asset in others)]
    has_item = write_item(
        output.folder / ITEM,
        info,
        item_id=f"{scene_id}-{output.heading}",
        classes=ItemAsset(output.raster, f"Ice classes ({output.heading})"),
        pixels=seen.pixels,
        areas=areas,
        palette=output.palette,
        others=others,
        facts={**about, "doubts": [doubt.text for doubt in found] or None},
    )
    write_done(
        output.folder,
        inputs,
        files + [ITEM] * has_item,
        scene_id=scene_id,
        pixels=seen.pixels,
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
