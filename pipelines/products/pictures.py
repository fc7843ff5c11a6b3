"""Pictures of finished products for a person: the mosaic, the concentration with its edges, floes by size.

products/mosaic, concentration, edges, floes -> products/pictures/*.png
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling

from labeling.classes import IGNORE
from labeling.errors import ConfigError
from labeling.files.atomic import replacing
from labeling.files.layout import read_done
from labeling.files.raster import open_raster
from labeling.files.storage import AnyPath
from labeling.results.preview import paint
from labeling.results.quicklook import legend_patches
from pipelines.engine.scenes import Failure
from pipelines.products.edges import CONCENTRATION, VARIABLE, finished_concentration
from pipelines.products.grids.fields import open_fields
from pipelines.products.product import Work

VERSION: Final = 2
"""Of what this module draws: older pictures are drawn anew."""

SIDE: Final = 1600
"""Pixels along a picture's longer side that a raster is reduced to, at most."""

_FLOE_COLOURS: Final = "viridis"
_ICE_COLOURS: Final = "Blues_r"


def make(work: Work) -> list[Failure]:
    """Draw what is finished; see product.Product."""
    finished = {name: marks for name in _DRAWN if (marks := (work.finished(name) or {}).get("outputs"))}
    if not finished:
        raise ConfigError(
            f"no finished {', '.join(_DRAWN)} in {work.run.products}, so there is nothing to draw. Make one "
            f"first: python -m jobs.products --run {work.run.root} {' '.join(_DRAWN)} pictures"
        )
    inputs: dict[str, Any] = {"version": VERSION, "of": finished, "edges": _edges_of(work)}
    files = [f"{name}.png" for name in finished]
    if not work.is_done(inputs, files):
        with work.finishing(inputs, files) as folder:
            for name in finished:
                figure = Figure(figsize=(8, 8), layout="constrained")
                _DRAWN[name](work, figure)
                with replacing(folder / f"{name}.png") as temporary:
                    figure.savefig(temporary, dpi=100, metadata={"Software": None})
    return []


def _edges_of(work: Work) -> dict[str, Any] | None:
    """Return the marks of the edges if they are on the concentration as it is now, else None."""
    concentration, edges = (read_done(work.run.product(name)) or {} for name in ("concentration", "edges"))
    of = concentration.get("outputs", {}).get(CONCENTRATION)
    if of is None or edges.get("inputs", {}).get("concentration") != of:
        return None
    marks: dict[str, Any] | None = edges.get("outputs")
    return marks


def _mosaic(work: Work, figure: Figure) -> None:
    axes, folder = figure.subplots(), work.run.product("mosaic")
    classes, extent, crs = _reduced(folder / "mosaic.tif")
    palette = (work.finished("mosaic") or {})["inputs"]["palette"]
    axes.imshow(paint(classes, palette), extent=extent, interpolation="nearest")
    handles = legend_patches(palette, bool((classes == IGNORE).any()))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=4, frameon=False)
    _finish(axes, "Mosaic", crs)


class _Reduced(NamedTuple):
    classes: NDArray[np.uint8]
    extent: tuple[float, float, float, float]
    """Left, right, bottom and top, in the picture's unit."""
    crs: CRS


def _reduced(path: AnyPath) -> _Reduced:
    """Return a class raster of SIDE pixels at most, and where it lies."""
    with open_raster(path) as raster:
        step = max(1, -(-max(raster.shape) // SIDE))
        shape = (-(-raster.height // step), -(-raster.width // step))
        classes = np.asarray(raster.read(1, out_shape=shape, resampling=Resampling.nearest), np.uint8)
        left, bottom, right, top = (side / _units(raster.crs) for side in raster.bounds)
        return _Reduced(classes, (left, right, bottom, top), raster.crs)


def _units(crs: CRS) -> float:
    """Return how many units of a system are one of its picture: a kilometre, or a degree."""
    return 1.0 if crs.is_geographic else 1000 / float(crs.linear_units_factor[1])


def _concentration(work: Work, figure: Figure) -> None:
    axes = figure.subplots()
    file, grid = finished_concentration(work)
    with open_fields(file, VARIABLE, grid) as fields:
        last, day = len(fields.days) - 1, fields.days[-1]
        values, affine, crs = fields.read(last), fields.grid.affine, CRS.from_wkt(fields.grid.crs)
        left, top = affine @ (0, 0)
        right, bottom = affine @ (fields.grid.width, fields.grid.height)
    axes.set_facecolor("0.85")
    units = _units(crs)
    extent = (left / units, right / units, bottom / units, top / units)
    shown = axes.imshow(values, vmin=0, vmax=1, cmap=_ICE_COLOURS, extent=extent, interpolation="nearest")
    figure.colorbar(shown, ax=axes, shrink=0.6, label="sea-ice area fraction")
    text = None if day is None else day.isoformat()
    if _edges_of(work):
        _draw_edges(axes, work.run.product("edges") / "edges.gpkg", text, units)
    _finish(axes, "Concentration" + (f", {text}" if text else "") + "; grey: not known", crs)


def _draw_edges(axes: Axes, path: AnyPath, day: str | None, units: float) -> None:
    with _local(path) as file:
        _, table = pyogrio.read_arrow(file)
    colours = {0.15: "tab:red", 0.3: "tab:orange", 0.7: "tab:green"}
    for row in table.to_pylist():
        if row["day"] == day:
            lines = [shapely.get_coordinates(part) / units for part in shapely.from_wkb(row["geom"]).geoms]
            colour = colours.get(row["level"], "black")
            axes.add_collection(LineCollection(lines, colors=colour, label=f"{row['level']:.0%}"))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(title="edge at", loc="upper right")


def _floes(work: Work, figure: Figure) -> None:
    """Draw the scene with the most floes."""
    folder = work.run.product("floes")
    with (folder / "scenes.parquet").open("rb") as file:
        scenes = pq.read_table(file).to_pylist()
    scene = max(scenes, key=lambda row: (row["floes"], row["scene_id"]))
    # Floes are of the maps that were chosen, see Work.finished.
    [found] = [each for each in work.maps if each.scene_id == scene["scene_id"]]
    axes = figure.subplots()
    classes, extent, crs = _reduced(found.classes)
    axes.imshow(paint(classes, "polynya"), extent=extent, interpolation="nearest", alpha=0.5)
    with _local(folder / "floes.gpkg") as file:
        diameters, rings = [], []
        for layer, _ in pyogrio.list_layers(file):
            where = f"scene_id = '{scene['scene_id']}'"
            _, table = pyogrio.read_arrow(file, layer=layer, where=where, columns=["diameter_m"])
            diameters += table["diameter_m"].to_pylist()
            shapes = shapely.get_exterior_ring(shapely.from_wkb(table["geom"].to_pylist()))
            rings += [shapely.get_coordinates(ring) / _units(crs) for ring in shapes]
    if rings:
        floes = PolyCollection(rings, cmap=_FLOE_COLOURS, norm=LogNorm(), edgecolors="black", linewidths=0.3)
        floes.set_array(np.array(diameters))
        axes.add_collection(floes)
        figure.colorbar(floes, ax=axes, shrink=0.6, label="diameter of the circle of equal area, m")
    title = f"{len(rings)} whole floes of {scene['scene_id']}"
    if scene["alpha"] is not None:
        law = f"{scene['alpha']:.2f} ± {scene['alpha_error']:.2f} from {scene['alpha_from_m']:.0f} m on"
        title += f"; power law {law}"
    _finish(axes, title, crs)


def _finish(axes: Axes, title: str, crs: CRS) -> None:
    unit = "degrees" if crs.is_geographic else "km"
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(unit)
    axes.set_ylabel(unit)
    axes.set_aspect("equal")


@contextmanager
def _local(path: AnyPath) -> Iterator[Path]:
    """Yield a file of this machine with the content of another, for a library that opens nothing else."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(path.read_bytes())
        yield copy


_DRAWN: Final[dict[str, Callable[[Work, Figure], None]]] = {
    "mosaic": _mosaic,
    "concentration": _concentration,
    "floes": _floes,
}
"""What draws each product that has a picture."""
