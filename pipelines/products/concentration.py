"""Concentration: shares of ice and of thin ice on a grid of cells, by day, with what they are worth.

maps of a period -> blocks of cells, a task each -> products/concentration/concentration.nc

In each cell the maps of a period are merged on pixels of their size, so ground that two of them show counts
once, and each pixel counts with its true area.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.errors import ConfigError
from labeling.grid import Block
from labeling.maps.cover import AUTO, metric, reach_of
from labeling.maps.errors import MapErrors
from labeling.maps.fractions import cells_from
from labeling.maps.grids import MapGrid
from labeling.maps.merging import Rule
from pipelines.engine.scenes import Failure
from pipelines.evaluation.record import Method, read_evaluation
from pipelines.products.grids.cell_block import SUMS, fill, read_cells
from pipelines.products.grids.netcdf import Slice, attributes_of, nothing, put, write_concentration
from pipelines.products.order import Placed, order, place, rule_of, source_of
from pipelines.products.parts import Part
from pipelines.products.product import Work
from pipelines.products.target import Target, sides_of, system_of

_LOG = logging.getLogger("polynya.products")

VERSION: Final = 1
"""Of what this module makes: older grids are made anew."""

MOST_CELLS: Final = 1 << 24
"""Of a grid: 4096 a side, at 1 km as wide as Greenland is long, and more."""

FILES: Final = ["concentration.nc"]

MOST_A_SIDE: Final = 128
"""Cells along a block of them, at most; a cell's sums take half a kilobyte."""

PIXELS_A_SIDE: Final = 8192
"""Pixels along a block of cells, about."""

NO_ERRORS: Final = (
    "There is no uncertainty: the run has no evaluation of these {of} against truth, of two scenes or more."
)
OTHER_MODEL: Final = (
    "There is no uncertainty: evaluation.json of the run is of maps by another model than these maps, or "
    "does not say by which. With these maps in the run, make it anew (python -m jobs.evaluate --run …), and "
    "then this grid."
)
NOT_SEEN: Final = (
    "There is no uncertainty: the network had a say in some of these maps and in none of the test scenes' "
    "that evaluation.json of the run compares, so its errors are not known. More test scenes may show them; "
    "a grid of the clear scenes' maps (scenes: …) has an uncertainty."
)
ERRORS: Final = (
    "The uncertainty follows from how {of} of {scenes} test scenes differ from their truth "
    "(evaluation.json): how far the mapped share leans to one side, and how well that is known from so few "
    "scenes. It holds for ice and sky like those scenes'. It does not cover what cloud or the swath's edge "
    "hid of a cell, ice that moved between maps of one period, and errors of place."
)


class Piece(NamedTuple):
    """A block of cells in one period."""

    part: Part
    where: Block
    """In the grid; it can begin before it and end after."""


class Period(NamedTuple):
    """Maps that are put together, in the order of the rule."""

    name: str
    begin: datetime | None
    end: datetime | None
    maps: list[Placed]


def make(work: Work) -> list[Failure]:
    """Write the concentration; see product.Product."""
    settings = work.config.concentration
    rule = rule_of(settings.rule, work.maps)
    maps, lost = order(work.config, work.maps, rule, "concentration")
    wkt = system_of(settings.crs, maps, "concentration.crs", common=False)
    _, metres = metric(wkt, "concentration.crs")
    placed, nowhere = place(maps, wkt, "concentration")
    target = Target(wkt, settings.cell_km * 1000 / metres, (0.0, 0.0))
    grid = target.covering([each.reach for each in placed], MOST_CELLS, "the concentration grid")
    periods, undated = periods_of(placed, settings.period)
    pixels = max(1, round(settings.cell_km * 1000 / min(sides_of([each.found for each in placed]))))
    pieces = {period.name: plan(target, grid, period, rule, pixels) for period in periods}
    parts = [piece.part for each in pieces.values() for piece in each]
    failed = work.make_parts(parts, [SUMS], fill)
    errors, worth = errors_of(work)
    inputs = {
        "version": VERSION,
        "grid": list(grid),
        "least": settings.least,
        "institution": settings.institution,
        "errors": None if errors is None else errors.counts.tolist(),
        "worth": worth,
        "parts": {part.name: part.inputs for part in parts},
    }
    if not failed and not work.is_done(inputs, FILES):
        slices = (_slice(work, grid, period, pieces[period.name], errors) for period in periods)
        timed, about = periods[0].begin is not None, _about(work, periods, rule, worth)
        with work.finishing(inputs, FILES) as folder:
            write_concentration(folder / FILES[0], grid, slices, timed=timed, attributes=about)
    if not failed:
        work.prune(parts)
    return lost + nowhere + undated + failed


def periods_of(placed: list[Placed], period: str) -> tuple[list[Period], list[Failure]]:
    """Return the maps of each day or of all times, in the order of times, and those that are of no day.

    ConfigError where none is of any day.
    """
    times = [each.found.sensed for each in placed]
    known = [sensed for sensed in times if sensed is not None]
    if period == "all" or (period == AUTO and not known):
        begin, end = (min(known), max(known)) if known else (None, None)
        return [Period("all", begin, end, placed)], []
    if not known:
        raise ConfigError(
            f"none of {len(placed)} map(s) has a sensing time, so there are no days. Put all of them "
            "together with concentration.period: all and a rule that needs no time, such as "
            "concentration.rule: clearest."
        )
    undated = [
        Failure(
            each.found.scene_id,
            "concentration",
            "it has no sensing time, so it is of no day. Leave it out (--scenes), or put all maps together "
            "with concentration.period: all.",
        )
        for each in placed
        if each.found.sensed is None
    ]
    periods = []
    for day in sorted({sensed.date() for sensed in known}):
        begin = datetime.combine(day, time(), UTC)
        maps = [each for each in placed if each.found.sensed and each.found.sensed.date() == day]
        periods.append(Period(day.isoformat(), begin, begin + timedelta(days=1), maps))
    return periods, undated


def plan(target: Target, grid: MapGrid, period: Period, rule: Rule, pixels: int) -> list[Piece]:
    """Return the blocks of cells that any map of a period reaches into; cells have `pixels` a side."""
    side = max(1, min(MOST_A_SIDE, PIXELS_A_SIDE // pixels))
    pieces = []
    for row, column, where in target.blocks(grid, side):
        block = target.block(row, column, side)
        reach = reach_of(block, block.whole)
        near = [each for each in period.maps if each.reach.meets(reach)]
        if not near:
            continue
        deciding: dict[str, Any] = {"version": VERSION, "cells": list(block), "pixels": pixels, "rule": rule}
        part = Part(
            f"{period.name}_r{row}_c{column}",
            deciding | {"maps": [[each.found.scene_id, each.found.inputs] for each in near]},
            deciding | {"sources": [[source_of(each.found, rule), each.reach] for each in near]},
            (side * pixels) ** 2,
        )
        pieces.append(Piece(part, where))
    return pieces


def errors_of(work: Work) -> tuple[MapErrors | None, str]:
    """Return what the run's evaluation says of the errors of its maps, or labels, and a sentence about it.

    None where it is silent, and where it is of maps by other networks than these.
    """
    evaluation, of = read_evaluation(work.run.evaluation), work.config.of
    method: Method = "model" if of == "maps" else "labels"
    tables = [each.accuracy_against_truth.get("all", {}) for each in evaluation.scenes] if evaluation else []
    errors = MapErrors.of([table[method].matrix for table in tables if method in table])
    if errors is None or evaluation is None:
        return None, NO_ERRORS.format(of=of)
    networks = {each.network for each in work.maps} - {None}
    if of == "maps" and (wrong := _of_others(evaluation.models, networks)):
        _LOG.warning(wrong)
        return None, wrong
    return errors, ERRORS.format(of=of, scenes=len(errors.counts))


def _of_others(evaluated: list[str] | None, drawn: set[str | None]) -> str | None:
    """Return why the errors of maps that some networks had a say in are not those of maps by others."""
    if evaluated is None or len(drawn.union(evaluated)) > 1:
        return OTHER_MODEL
    return NOT_SEEN if drawn and not evaluated else None


def _slice(work: Work, grid: MapGrid, period: Period, pieces: list[Piece], errors: MapErrors | None) -> Slice:
    """Return a period's cells, from its parts."""
    found = nothing(grid.height * grid.width)
    for piece in pieces:
        sums = read_cells(work.part(piece.part))
        cells = cells_from(sums, errors, least=work.config.concentration.least)
        put(found, _index(piece.where, grid), cells)
    return Slice(period.begin, period.end, found)


def _index(where: Block, grid: MapGrid) -> NDArray[np.int64]:
    """Return the index in a grid of each cell of a block, -1 outside."""
    rows = np.arange(where.row, where.row + where.height)[:, None]
    columns = np.arange(where.column, where.column + where.width)
    inside = (rows >= 0) & (rows < grid.height) & (columns >= 0) & (columns < grid.width)
    return np.where(inside, rows * grid.width + columns, -1).ravel()


def _about(work: Work, periods: list[Period], rule: Rule, worth: str) -> dict[str, str]:
    of = work.config.of
    comment = (
        f"Made of {of}, where several show the same ground by the rule {rule}. "
        "Shares are of the classified area of a cell, on the ellipsoid; a cell of which less than "
        f"{work.config.concentration.least:g} has a class has none. {worth}"
    )
    source = f"{sum(len(period.maps) for period in periods)} {of} of optical satellite scenes"
    return attributes_of(source, comment, work.config.concentration.institution, datetime.now(UTC))
