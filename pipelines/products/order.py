"""Maps that are put together: in which order they count, and which have no place in what is made of them."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from labeling.errors import ConfigError, SceneError
from labeling.files.layout import STATUS
from labeling.maps.cover import AUTO, Extent, extent, is_northern
from labeling.maps.grids import MapGrid
from labeling.maps.merging import Rule
from pipelines.engine.scenes import Failure
from pipelines.products.config import ProductsConfig
from pipelines.products.grids.sampling import Source
from pipelines.products.maps import PROBABILITY, MapFile, counted


class Placed(NamedTuple):
    """A map and how far it reaches in the system of a product."""

    found: MapFile
    reach: Extent


def rule_of(choice: Rule | Literal["auto"], maps: list[MapFile]) -> Rule:
    """Return the rule that is meant: auto is newest where any map says when it was taken, else clearest."""
    if choice != AUTO:
        return choice
    return "newest" if any(each.sensed is not None for each in maps) else "clearest"


def order(
    config: ProductsConfig, maps: list[MapFile], rule: Rule, name: str
) -> tuple[list[MapFile], list[Failure]]:
    """Return maps in the order of a rule, the first first, and those that it has no place for.

    ConfigError where they are of several renderings, or there is no place for any of them; `name` is the
    product's.
    """
    if len({each.rendering for each in maps}) > 1 and not config.mixed:
        raise ConfigError(
            f"the maps are of several renderings, {counted(each.rendering for each in maps)}: brightness "
            "means another reflectance in each, so their classes may differ on the same ice. Choose one with "
            "--rendering, or put them together all the same: mixed: true in the configuration."
        )
    good, lost = [], []
    for each in maps:
        try:
            is_northern(MapGrid.of(each.info))  # a system of its own has no place on Earth
            _check_fits(each, rule, name)
            good.append(each)
        except SceneError as problem:
            lost.append(Failure(each.scene_id, name, str(problem)))
    if not good:
        raise ConfigError(f"none of {len(maps)} map(s) can be used; the first: {lost[0].reason}")
    newest = sorted(good, key=lambda each: (_age(each), each.scene_id))
    if rule == "clearest":
        newest.sort(key=lambda each: -each.classified)
    return newest, lost


def _check_fits(found: MapFile, rule: Rule, name: str) -> None:
    """Raise SceneError where a map lacks what a rule needs."""
    lacking = {
        "newest": found.sensed is None and "sensing time",
        "most-certain": PROBABILITY not in found.marks and PROBABILITY,
    }.get(rule)
    if lacking:
        raise SceneError(
            f"{found.scene_id} has no {lacking}, which the rule {rule} of {name} needs. Choose another rule, "
            "such as clearest or most-common, or leave it out (--scenes)."
        )


def _age(found: MapFile) -> float:
    """Return what sorts the newest first, and what has no time last."""
    return math.inf if found.sensed is None else -found.sensed.timestamp()


def place(maps: list[MapFile], wkt: str, name: str) -> tuple[list[Placed], list[Failure]]:
    """Return how far each map reaches in a coordinate system, and those that have no place in it."""
    good, lost = [], []
    for each in maps:
        try:
            good.append(Placed(each, extent(MapGrid.of(each.info), wkt)))
        except SceneError as problem:
            lost.append(Failure(each.scene_id, name, str(problem)))
    if not good:
        raise ConfigError(f"no map has a place in the {name}: {lost[0].reason}")
    return good, lost


def source_of(found: MapFile, rule: Rule) -> Source:
    """Return a map as workers sample it."""
    status = found.beside(STATUS)
    sure = found.beside(PROBABILITY) if rule == "most-certain" else None
    return Source(
        str(found.classes),
        None if status is None else str(status),
        None if sure is None else str(sure),
        MapGrid.of(found.info),
    )
