"""The mosaic: one map from many, on one grid, each pixel from one of them by a stated rule.

maps -> blocks, a task each -> products/mosaic/: mosaic.tif, status.tif, age.tif, scene.tif, mosaic.json
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from labeling.classes import IGNORE
from labeling.errors import ConfigError
from labeling.files.atomic import write_json
from labeling.files.cogs.legend import STATUS, class_legend
from labeling.files.cogs.names import name_files
from labeling.files.layout import read_done
from labeling.grid import Block
from labeling.maps.cover import Extent, reach_of
from labeling.maps.grids import SQUARE_CM, MapGrid
from labeling.maps.merging import MOST_MAPS, Rule
from labeling.maps.sums import NAMES
from labeling.status import PixelStatus
from pipelines.engine.scenes import Failure
from pipelines.products.grids.cog import Measure, write_cog
from pipelines.products.grids.mosaic_block import PIXELS, fill, read_block
from pipelines.products.maps import MapFile
from pipelines.products.order import Placed, order, place, rule_of, source_of
from pipelines.products.parts import Part
from pipelines.products.product import Work
from pipelines.products.target import BLOCK, Target, system_of, target_of

VERSION: Final = 1
"""Of what this module makes: older mosaics are made anew."""

MOST_PIXELS: Final = 1 << 34
"""Of a mosaic: 131 072 a side, at 10 m the Ross Sea twice over."""

_CODED: Final = ["mosaic.tif", "status.tif"]

FILES: Final = [
    *_CODED,
    *(name for raster in _CODED for name in name_files(raster)),
    "age.tif",
    "scene.tif",
    "mosaic.json",
]

SECONDS_A_DAY: Final = 86_400


class Piece(NamedTuple):
    """A block of the mosaic, and the maps that reach into it in the order of the rule."""

    part: Part
    place: Block
    """In the mosaic; it can begin before it and end after."""
    maps: list[MapFile]


Shown = Callable[[NDArray[Any], Piece], NDArray[Any]]
"""Makes of a block's array what is written of it."""


def make(work: Work) -> list[Failure]:
    """Write the mosaic; see product.Product."""
    settings = work.config.mosaic
    rule = rule_of(settings.rule, work.maps)
    maps, lost = order(work.config, work.maps, rule, "mosaic")
    if len(maps) > MOST_MAPS:
        raise ConfigError(
            f"{len(maps)} maps are more than the {MOST_MAPS} of a mosaic: choose fewer (--scenes)."
        )
    wkt = system_of(settings.crs, maps, "mosaic.crs", common=True)
    target = target_of(wkt, settings.pixel, maps, "mosaic.pixel")
    placed, nowhere = place(maps, wkt, "mosaic")
    bounds = None if settings.bounds is None else _bounds(settings.bounds, placed)
    reach = [bounds] if bounds is not None else [each.reach for each in placed]
    grid = target.covering(reach, MOST_PIXELS, "the mosaic")
    pieces = plan(target, grid, placed, rule, cropped=bounds is not None)
    parts = [piece.part for piece in pieces]
    failed = work.make_parts(parts, [PIXELS], fill)
    inputs = {
        "version": VERSION,
        "grid": list(grid),
        "parts": {part.name: part.inputs for part in parts},
        "palette": settings.palette,
    }
    if not failed and not work.is_done(inputs, FILES):
        shown = {each.scene_id for piece in pieces for each in piece.maps}
        _write(work, grid, pieces, [e.found for e in placed if e.found.scene_id in shown], rule, inputs)
    if not failed:
        work.prune(parts)
    return lost + nowhere + failed


def _bounds(bounds: tuple[float, ...], placed: list[Placed]) -> Extent:
    """Return the bounds that were asked for; ConfigError where they hold nothing."""
    found = Extent(*bounds)
    turned = found.west >= found.east or found.south >= found.north
    if turned or not any(found.meets(each.reach) for each in placed):
        reach = Extent.around([each.reach for each in placed])
        raise ConfigError(
            f"mosaic.bounds {list(bounds)} hold no map: they are west, south, east and north in units of "
            f"mosaic.crs, and the maps lie within {[round(side, 3) for side in reach]}."
        )
    return found


def plan(target: Target, grid: MapGrid, placed: list[Placed], rule: Rule, *, cropped: bool) -> list[Piece]:
    """Return the blocks of a mosaic that any map reaches into."""
    pieces = []
    for row, column, where in target.blocks(grid, BLOCK):
        block = target.block(row, column, BLOCK)
        reach = reach_of(block, block.whole)
        maps = [each.found for each in placed if each.reach.meets(reach)]
        if not maps:
            continue
        keep = _inside(where, grid) if cropped else block.whole
        deciding = {"version": VERSION, "grid": list(block), "keep": list(keep), "rule": rule}
        part = Part(
            f"r{row}_c{column}",
            deciding | {"maps": [[each.scene_id, each.inputs] for each in maps]},
            deciding | {"sources": [source_of(each, rule) for each in maps]},
            BLOCK**2 * len(maps),
        )
        pieces.append(Piece(part, where, maps))
    return pieces


def _inside(place: Block, grid: MapGrid) -> Block:
    """Return which of a block's pixels lie in the mosaic."""
    met = place.meet(grid.whole)
    return Block(met.row - place.row, met.column - place.column, met.height, met.width)


def _write(
    work: Work, grid: MapGrid, pieces: list[Piece], maps: list[MapFile], rule: Rule, inputs: dict[str, Any]
) -> None:
    numbers = {each.scene_id: number for number, each in enumerate(maps, 1)}
    times = [each.sensed for each in maps if each.sensed is not None]
    newest = max(times) if times else None
    about = _describe(work, grid, pieces, maps, rule, newest)

    def read(name: str, shown: Shown = lambda layer, _: layer) -> Iterator[tuple[Window, NDArray[Any]]]:
        for piece in pieces:
            inside = _inside(piece.place, grid)
            place = piece.place.meet(grid.whole)
            yield place.window, shown(read_block(work.part(piece.part), name)[inside.slices], piece)

    classes = class_legend(work.config.mosaic.palette)
    dated = {"REFERENCE_TIME": "" if newest is None else newest.isoformat(), "UNIT": "days"}
    age = Measure("days before the newest map", dated)
    with work.finishing(inputs, FILES) as folder:
        write_cog(
            folder / "mosaic.tif", read("codes"), grid, "uint8",
            nodata=IGNORE, shows=classes,
        )  # fmt: skip
        write_cog(
            folder / "status.tif", read("status"), grid, "uint8",
            nodata=PixelStatus.NODATA, shows=STATUS,
        )  # fmt: skip
        write_cog(
            folder / "age.tif", read("source", partial(_ages, newest=newest)), grid, "float32",
            nodata=float("nan"), shows=age,
        )  # fmt: skip
        write_cog(
            folder / "scene.tif", read("source", partial(_scenes, numbers=numbers)), grid, "uint16",
            nodata=0, shows=Measure("number of the scene in mosaic.json"),
        )  # fmt: skip
        write_json(folder / "mosaic.json", about)


def _ages(source: NDArray[np.uint16], piece: Piece, newest: datetime | None) -> NDArray[np.float32]:
    """Return how many days before the newest map a block's classes were seen, NaN where that is not known."""
    sensed = [each.sensed for each in piece.maps]
    days = [
        np.nan if newest is None or time is None else (newest - time).total_seconds() / SECONDS_A_DAY
        for time in sensed
    ]
    return np.asarray([np.nan, *days], np.float32)[source]


def _scenes(source: NDArray[np.uint16], piece: Piece, numbers: dict[str, int]) -> NDArray[np.uint16]:
    """Return the number that a block's scenes have in the whole mosaic."""
    return np.asarray([0, *(numbers[each.scene_id] for each in piece.maps)], np.uint16)[source]


def _describe(
    work: Work, grid: MapGrid, pieces: list[Piece], maps: list[MapFile], rule: Rule, newest: datetime | None
) -> dict[str, Any]:
    """Return what mosaic.json says: rule, grid, true areas, and the scenes by the numbers of scene.tif."""
    marks = [read_done(work.part(piece.part)) or {} for piece in pieces]
    areas, pixels = (
        {name: sum(sum(mark[key][row]) for mark in marks) for row, name in enumerate(NAMES[:-1])}
        for key in ("areas", "counts")
    )
    return {
        "rule": rule,
        "of": work.config.of,
        "crs": grid.crs,
        "transform": list(grid.transform),
        "height": grid.height,
        "width": grid.width,
        "reference_time": None if newest is None else newest.isoformat(),
        "areas_m2": {name: area / SQUARE_CM for name, area in areas.items()},
        "pixels": pixels,
        "scenes": {
            number: {"scene_id": each.scene_id, "sensing_time": each.info.sensing_time}
            for number, each in enumerate(maps, 1)
        },
    }
