"""Floes and leads: every whole floe of each map with its outline, sizes by bin, and how much of it is leads.

maps/<scene_id> -> floes and sums, a task a scene -> products/floes/floes.gpkg, scenes, sizes, leads

A floe may lie in two scenes, and is then a floe of each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rasterio.crs import CRS

from labeling.classes import IceClass
from labeling.errors import SceneError
from labeling.files.atomic import replacing, write_json
from labeling.files.raster import check_shape, open_raster, read_codes
from labeling.files.storage import AnyPath
from labeling.grid import blocks
from labeling.maps.floes.find import BYTES, find_floes
from labeling.maps.floes.leads import find_leads
from labeling.maps.floes.shapes import measure
from labeling.maps.floes.table import bins, floe_table, summary, whole_floes
from labeling.maps.geopackage import Layer, write_geopackage
from labeling.maps.grids import SQUARE_CM, MapGrid
from labeling.maps.ground import Ground, ground_at
from labeling.scenes.contract.scene import SceneInfo
from pipelines.engine.scenes import Failure
from pipelines.products.config import FloeSettings
from pipelines.products.maps import MapFile
from pipelines.products.parts import Part
from pipelines.products.product import Work
from pipelines.products.statistics import write_tables

VERSION: Final = 1
"""Of what this module makes: older parts are made anew."""

OUTLINES: Final = "floes.gpkg"
"""Name of the file with every floe."""

FLOES: Final = "floes.parquet"
SUMS: Final = "sums.json"
"""Names of a part's files: its floes, with their outlines as WKB, and what they and leads say together."""

BASE_BYTES: Final = 400 << 20
"""Of a worker before it has read a pixel."""

STRETCH: Final = 1.1
"""How much longer a pixel may be one way than another, and in one place than another."""

WIDEST: Final = 2000
"""Pixels of the widest lead: so much is added on each side of a map."""

TABLES: Final = ("scenes", "sizes", "leads")

_TEXT: Final = ("scene_id", "sensing_time", "rendering")


def make(work: Work) -> list[Failure]:
    """Write outlines and tables; see product.Product."""
    settings = {"version": VERSION, "of": work.config.of, **work.config.floes.model_dump(mode="json")}
    parts = {
        each.scene_id: Part(
            each.scene_id,
            settings | {"map": each.inputs},
            {"map": each.dumps(), "settings": work.config.floes.model_dump(mode="json")},
            each.info.height * each.info.width,
        )
        for each in work.maps
    }
    failures = _make_parts(work, list(parts.values()))
    failed = {failure.scene for failure in failures}
    good = [each for each in work.maps if each.scene_id not in failed]
    files = [OUTLINES, *(f"{name}.{kind}" for name in TABLES for kind in ("parquet", "csv"))]
    inputs = settings | {"maps": {each.scene_id: each.inputs for each in good}}
    if good and not work.is_done(inputs, files):
        folders = {each.scene_id: work.part(parts[each.scene_id]) for each in good}
        with work.finishing(inputs, files) as folder:
            write_geopackage(folder / OUTLINES, _layers(good, folders))
            for name, rows in _tables(good, folders).items():
                write_tables(folder, name, [_table(rows)])
    work.prune(list(parts.values()))
    return failures


def _make_parts(work: Work, parts: list[Part]) -> list[Failure]:
    """Make parts that fit into a worker's memory, then those that do not, fewer at a time."""
    memory = work.config.spark.worker_memory
    todo = [part for part in parts if not work.is_part_done(part, [FLOES, SUMS])]
    failures = work.make_parts([part for part in todo if _bytes(part) <= memory], [FLOES, SUMS], fill)
    large = [part for part in todo if _bytes(part) > memory]
    if not large:
        return failures
    room = memory * work.spark().sparkContext.defaultParallelism
    for part in [part for part in large if _bytes(part) > room]:
        failures.append(Failure(part.name, work.name, _too_large(part, room)))
    fitting = [part for part in large if _bytes(part) <= room]
    while fitting:
        together = room // max(map(_bytes, fitting))
        failures += work.make_parts(fitting[:together], [FLOES, SUMS], fill)
        fitting = fitting[together:]
    return failures


def _bytes(part: Part) -> int:
    return BASE_BYTES + BYTES * part.pixels


def _too_large(part: Part, room: int) -> str:
    return (
        f"floes of a map are found in memory, {part.pixels} pixels need {_bytes(part) >> 20} MiB, and all "
        f"workers together have {room >> 20}. Give them more (spark.worker_memory in --config), or leave "
        "the scene out (--scenes)."
    )


def _layers(maps: list[MapFile], folders: dict[str, AnyPath]) -> Iterator[Layer]:
    """Yield the floes of each map, maps of one CRS into one layer."""
    named: dict[str, str] = {}
    for each in maps:
        wkt = str(each.info.crs)
        name = named.setdefault(wkt, _layer_name(wkt, len(named)))
        with (folders[each.scene_id] / FLOES).open("rb") as file:
            rows = pq.read_table(file)
        yield Layer(
            name,
            rows.add_column(0, "scene_id", pa.array([each.scene_id] * rows.num_rows, pa.string())),
            wkt,
            "Polygon",
        )


def _layer_name(wkt: str, count: int) -> str:
    code = CRS.from_wkt(wkt).to_authority()
    return "floes_" + ("_".join(code).lower() if code else f"crs_{count}")


def _tables(maps: list[MapFile], folders: dict[str, AnyPath]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each table, by its name."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for each in maps:
        about = {"scene_id": each.scene_id, "sensing_time": each.info.sensing_time}
        sums = json.loads((folders[each.scene_id] / SUMS).read_text(encoding="utf-8"))
        found["scenes"].append(about | {"rendering": each.rendering} | sums["scene"])
        for name in ("sizes", "leads"):
            found[name] += [about | row for row in sums[name]]
    return found


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows as a table whose types do not depend on which values are unknown."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    types = {name: pa.string() if name in _TEXT else pa.float64() for name in columns}
    types |= {name: pa.int64() for name in columns if name.endswith("floes")}
    return pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})


# --- a task: one map ---


def fill(task: dict[str, Any], folder: AnyPath) -> dict[str, Any]:
    """Find one map's floes and leads, and write them as a part."""
    found, settings = MapFile.loads(task["map"]), FloeSettings(**task["settings"])
    ground = map_ground(found.info)
    with open_raster(found.classes) as raster:
        check_shape(raster, height=found.info.height, width=found.info.width)
        classes = read_codes(raster)
    scene, sizes = _write_floes(folder, classes, found.info, settings)
    leads = _leads(classes, found.info, ground, settings)
    scene["known_area_m2"] = leads.known
    scene["floes_per_1000_km2"] = scene["floes"] / leads.known * 1e9 if leads.known else None
    scene["lead_area_m2"] = sum(row["area_m2"] or 0.0 for row in leads.rows)
    scene["lead_fraction"] = scene["lead_area_m2"] / leads.known if leads.known else None
    write_json(folder / SUMS, {"scene": scene, "sizes": sizes, "leads": leads.rows})
    return {}


def map_ground(info: SceneInfo) -> Ground:
    """Return what pixels in the middle and the corners of a map are on the ground, (5,).

    SceneError where it has no place on Earth, or one pixel is another shape or size than others: distances on
    such a grid are none on the ground.
    """
    grid = MapGrid.of(info)
    rows, columns = np.array([(0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1)], np.float64).T
    ground = ground_at(CRS.from_wkt(grid.crs), grid.affine, rows * grid.height, columns * grid.width)
    if ground is None:
        raise SceneError(
            f"{info.where} lies off the Earth, or its coordinate system has no relation to it, so its floes "
            "have no sizes. Give it a georeference, label it again, or leave it out (--scenes)."
        )
    stretch = max(float(ground.stretch.max()), float(ground.sides.max() / ground.sides.min()))
    if stretch > STRETCH:
        raise SceneError(
            f"pixels of {info.where} are {stretch:.2f} times as long one way, or in one place, as another, "
            f"so distances between them are none on the ground (at most {STRETCH}). Warp the scene to a "
            "polar or UTM grid (`rio warp --dst-crs EPSG:3031 …`) and label it anew, or leave it out."
        )
    return ground


def _write_floes(
    folder: AnyPath, classes: NDArray[np.uint8], info: SceneInfo, settings: FloeSettings
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write a map's floes; return what they say together, and their sizes by bin."""
    grid = MapGrid.of(info)
    floes = find_floes(classes, ice=settings.codes, neck=settings.neck, hole=settings.hole)
    shapes = measure(floes.labels, len(floes.cut))
    ground = ground_at(CRS.from_wkt(grid.crs), grid.affine, shapes.rows, shapes.columns)
    if ground is None:  # map_ground has looked at the corners
        raise SceneError(
            f"floes of {info.where} lie off the Earth. Give it a georeference that is right, or leave it out "
            "(--scenes)."
        )
    table = floe_table(floes, shapes, ground, whole_floes(floes, shapes, settings.least), grid.affine)
    with replacing(folder / FLOES) as temporary:
        pq.write_table(table, temporary)
    scene = summary(table, shapes, ground, floes, power_law_from=settings.power_law_from)
    return scene, bins(table, settings.bins)


class _Leads(NamedTuple):
    rows: list[dict[str, Any]]
    """One for each width."""
    known: float
    """Square metres that have a class."""


def _leads(classes: NDArray[np.uint8], info: SceneInfo, ground: Ground, settings: FloeSettings) -> _Leads:
    """Return the true areas of leads by width; None for widths that the pixels are too large to show."""
    side, grid = float(ground.sides[0]), MapGrid.of(info)
    shown = [width for width in settings.lead_widths if width >= 2 * side]
    if shown and shown[-1] > WIDEST * side:
        raise SceneError(
            f"{info.where} has pixels of {side:.2g} m, and leads of {shown[-1]:g} m are more than {WIDEST} "
            "of them wide. Set floes.lead_widths to narrower ones in --config."
        )
    openings = [code for code in IceClass if code not in settings.codes]
    widths = [width / side for width in shown] or [0.0]  # nothing is narrower than that
    narrower = find_leads(classes, widths, openings=openings)
    areas, known = np.zeros(len(widths) + 1, np.int64), 0
    for block in blocks(height=grid.height, width=grid.width, size=1024):
        found = grid.areas(block)
        known += int(found[classes[block.slices] <= max(IceClass)].sum())
        np.add.at(areas, narrower[block.slices], found)
    rows = [
        {
            "from_m": low,
            "below_m": high,
            "area_m2": float(areas[shown.index(high) + 1]) / SQUARE_CM if high in shown else None,
        }
        for low, high in zip([0.0, *settings.lead_widths[:-1]], settings.lead_widths, strict=True)
    ]
    return _Leads(rows, known / SQUARE_CM)
