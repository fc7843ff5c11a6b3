"""Labels of L1C products under several suns, on ice that no guard learnt, and what more bands would tell.

    .venv/bin/python -m benchmarks.left_out.products --maps ../shared/data/ross-sea       (about 15 minutes)

The surfaces of the families (families.py) are seen through the physics of simulated products
(labeling/simulation/light.py) under every sun of SUNS and every sky.

1. The guard's weights are learnt on pictures *and* products of all families but one, and profile polynya-l1c
   with them is judged on products of that one: mean IoU against the truth, beside thresholds alone, the
   filter without a guard, the published method at the top of the air, and weights learnt on pictures alone.
2. The same by sun.
3. Whether a guard that saw colour and the bands B08, B10 and B11 knew more: weights are learnt on *products*
   of all families but one, with and without these as further features of each cell.
4. How well each of these parts single pixels of shadowed snow from thin ice, of those that the filter would
   lift (1: wholly, 0.5: not at all).

`--learn FILE` learns from all families, and writes the weights instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.left_out.families import (
    SKIES,
    Drawn,
    FamilyScene,
    family_scenes,
    family_surfaces,
    simulated_sky,
)
from benchmarks.left_out.guard import (
    Judged,
    Weights,
    cell_sums,
    cells_of,
    counted,
    judge,
    labels_by,
    labels_where,
    learn,
    liftable,
    without_guard,
    write_weights,
)
from labeling.bands import BLUE, GREEN, RED, Band
from labeling.classes import IceClass
from labeling.ice.label import label_scene
from labeling.ice.profile import LabelingProfile, load_profile
from labeling.ice.shadow_cells import MOST, ShadowCells, evidence
from labeling.scenes.contract.product import GRID
from labeling.scenes.contract.rayleigh import Angles
from labeling.scenes.contract.rendering import Light, find_rendering, render
from labeling.simulation.product import product_spec, sensed
from labeling.simulation.safe.spec import QUANTIFICATION, ProductSpec
from labeling.simulation.safe.writer import to_dn
from labeling.simulation.scene import SceneSpec, SimulatedScene
from labeling.simulation.sky import Sky
from training.network.metrics import Matrix, confusion_matrix, empty_matrix, scores

PROFILE: Final = load_profile("polynya-l1c")
RULES: Final[dict[str, LabelingProfile]] = {
    "thresholds": load_profile("polynya-clear-l1c"),
    "filter, no guard": without_guard(PROFILE),
    "published, top of the air": load_profile("iqrah-2024-l1c").model_copy(update={"nodata": "ignore"}),
}
SUNS: Final = (45.0, 60.0, 70.0, 78.0)
GUARDED: Final = "guarded filter"
OF_PICTURES: Final = "learnt on pictures"
BANDS: Final = (BLUE, GREEN, RED, Band.B08, Band.B10, Band.B11)

EVIDENCE: Final = {
    "brightness": (),
    "and colour": ("blue over red",),
    "and B08, B10, B11": ("blue over red", "B08 over red", "B11 over green", "B10"),
}
"""What a guard may be learnt on besides brightness."""

_LEAST: Final = 0.01
"""Reflectance below which a ratio is that of noise."""

_DARK: Final = 1e-3
_EACH: Final = 97
"""One in so many pixels is looked at by itself."""

_OTHER_AIR: Final = 1000
_SEED: Final = 6100


class Sample(NamedTuple):
    """Some of the pixels that the filter would lift."""

    ratios: dict[str, NDArray[np.float32]]
    """What more bands tell of them, each (n,)."""
    thick: NDArray[np.bool_]
    """Whether they are thick ice in truth, (n,)."""


class Product(NamedTuple):
    """A scene as an L1C product shows it."""

    sun: float
    judged: Judged
    """Its picture under the profile, with what its guard would see."""
    rules: dict[str, Matrix]
    """Confusion of truth and what rules without a guard make of it."""
    cells: dict[str, NDArray[np.float64]]
    """Means of what more bands tell over the liftable pixels of each cell, (rows, columns)."""
    sample: Sample


def reflectance(scene: SimulatedScene, product: ProductSpec, band: Band) -> NDArray[np.float32]:
    """Return a band's reflectance as a reader of the product gets it, each pixel repeated to 10 m."""
    dn = to_dn(sensed(scene, product, band), product.offset).astype(np.float32)
    step = band.resolution // GRID
    found = (dn + product.offset) / QUANTIFICATION
    return found.repeat(step, axis=0).repeat(step, axis=1)


def light_of(product: ProductSpec) -> Light:
    """Return what the product says of sun and view."""
    views = [product.view[list(Band).index(band)] for band in (RED, GREEN, BLUE)]
    angles = [Angles(product.sun_zenith, product.sun_azimuth, *view) for view in views]
    return Light(product.sun_zenith, angles, product.unit)


def seen(family: str, sky: str, scene: SimulatedScene, product: ProductSpec) -> Product:
    """Return a scene as a product, with all that is judged."""
    band = {one: reflectance(scene, product, one) for one in BANDS}
    colours = np.stack([band[RED], band[GREEN], band[BLUE]])
    valid = np.ones(scene.truth.shape, np.bool_)
    pictures = {
        profile.rendering: render(colours, valid, find_rendering(profile.rendering), light_of(product))
        for profile in RULES.values()
    }
    rules = {
        name: confusion_matrix(scene.truth, label_scene(pictures[profile.rendering], None, profile))
        for name, profile in RULES.items()
    }
    rgb = pictures[PROFILE.rendering]
    judged = judge(FamilyScene(family, sky, rgb, scene.truth), PROFILE)
    lifted = liftable(judged)
    ratios = {
        "blue over red": _log_ratio(band[BLUE], band[RED]),
        "B08 over red": _log_ratio(band[Band.B08], band[RED]),
        "B11 over green": _log_ratio(band[Band.B11], band[GREEN]),
        "B10": np.log(np.maximum(band[Band.B10], _DARK)),
    }
    some = np.flatnonzero(lifted)[::_EACH]
    sample = Sample(
        {name: ratio.ravel()[some] for name, ratio in ratios.items()},
        scene.truth.ravel()[some] == IceClass.THICK_ICE,
    )
    return Product(product.sun_zenith, judged, rules, _means(judged, lifted, ratios), sample)


def _means(
    judged: Judged, pixels: NDArray[np.bool_], values: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float64]]:
    assert judged.profile.guard is not None
    rows, columns, side = *judged.grid.shape[:2], judged.profile.guard.cell
    count = np.maximum(cell_sums(pixels, rows, columns, side), 1)
    return {name: cell_sums(layer * pixels, rows, columns, side) / count for name, layer in values.items()}


def _log_ratio(above: NDArray[np.float32], below: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log(np.maximum(above, _LEAST) / np.maximum(below, _LEAST))


def products(
    *,
    side: int,
    surfaces: int,
    maps: Path | None,
    suns: tuple[float, ...] = SUNS,
    families: Collection[str] | None = None,
) -> Iterator[Product]:
    """Yield every surface of the families (all, where None are named) under every sky and sun."""
    for family, number, rng, drawn in family_surfaces(side=side, surfaces=surfaces, seed=_SEED, maps=maps):
        if families is not None and family not in families:
            continue
        for sky in SKIES:
            over = simulated_sky(rng, drawn.truth.shape, sky)
            for sun in suns:
                product, scene = as_product(f"{family}-{sky}-{sun:g}", number, drawn, over, sun)
                yield seen(family, sky, scene, product)


def clear_product(name: str, number: int, drawn: Drawn) -> tuple[ProductSpec, SimulatedScene]:
    """Return a surface under a clear sky and the next of the suns, and other air, to be written."""
    clear = np.zeros(drawn.truth.shape, np.float32)
    return as_product(name, _OTHER_AIR + number, drawn, Sky(clear, clear), SUNS[number % len(SUNS)])


def as_product(
    name: str, number: int, drawn: Drawn, over: Sky, sun: float
) -> tuple[ProductSpec, SimulatedScene]:
    """Return what product a surface under a sky and sun becomes, and the scene."""
    height, width = drawn.truth.shape
    value = drawn.rgb.max(axis=0).astype(np.float32) if drawn.value is None else drawn.value
    spec = SceneSpec(scene_id=name, height=height, width=width, seed=number, sun_zenith=sun)
    return product_spec(spec), SimulatedScene(drawn.rgb, drawn.truth, over.cloud, over.shadow, value)


def cells_by(product: Product, weights: Weights, names: Iterable[str]) -> ShadowCells:
    """Return what a guard sees of a product's cells that judges by more than brightness."""
    guard = product.judged.profile.guard
    assert guard is not None
    cells = cells_of(product.judged, weights)
    found = evidence(product.judged.grid, weights)
    for name in names:
        found += weights[name] * product.cells[name]
    found[cells.softness <= guard.soft_share] = -MOST
    return cells._replace(evidence=np.clip(found, -MOST, MOST).astype(np.float32))


class Left(NamedTuple):
    """One family judged by what the others taught."""

    family: str
    products: list[Product]
    guarded: list[Matrix]
    """Of each product, by weights learnt on pictures and products."""
    of_pictures: list[Matrix]
    """The same by weights learnt on pictures alone."""
    more: dict[str, list[Matrix]]
    """The same by weights learnt on products, by what the guard sees (EVIDENCE)."""


def leave_out(pictures: list[Judged], made: list[Product]) -> Iterator[Left]:
    """Judge every family by what the others taught."""
    by_scene = {id(product.judged): product for product in made}
    for family in dict.fromkeys(product.judged.family for product in made):
        own = [product for product in made if product.judged.family == family]
        others = [product.judged for product in made if product.judged.family != family]
        drawn = [one for one in pictures if one.family != family]
        more = {}
        for title, names in EVIDENCE.items():
            learnt = learn(others, lambda one, names=names: _features(by_scene[id(one)], names))
            more[title] = [
                _confusion(one, labels_where(one.judged, cells_by(one, learnt, names))) for one in own
            ]
        both, alone = (
            [_confusion(one, labels_by(one.judged, weights)) for one in own]
            for weights in (learn([*drawn, *others]), learn(drawn))
        )
        yield Left(family, own, both, alone, more)


def _features(product: Product, names: Iterable[str]) -> dict[str, NDArray[np.float64]]:
    return counted(product.judged) | {name: product.cells[name] for name in names}


def _confusion(product: Product, labels: NDArray[np.uint8]) -> Matrix:
    return confusion_matrix(product.judged.scene.truth, labels)


class Reached(NamedTuple):
    """Mean IoU over pooled pixels of some products of a family."""

    rules: list[float]
    """In the order of RULES."""
    guarded: float
    of_pictures: float
    more: list[float]
    """In the order of EVIDENCE."""

    @property
    def best(self) -> float:
        """The better of the rules."""
        return max(self.rules)


def reached(left: Left, chosen: Callable[[Product], bool]) -> Reached:
    """Return what was reached on those products of a family that are chosen."""
    places = [place for place, product in enumerate(left.products) if chosen(product)]

    def pooled(matrices: list[Matrix]) -> float:
        return scores(sum((matrices[place] for place in places), empty_matrix())).mean_iou

    rules = [pooled([product.rules[name] for product in left.products]) for name in RULES]
    more = [pooled(matrices) for matrices in left.more.values()]
    return Reached(rules, pooled(left.guarded), pooled(left.of_pictures), more)


def table_of_families(families: list[Left]) -> Table:
    """Return mean IoU by family and sky, over all suns."""
    table = Table(
        "left out",
        "sky",
        *RULES,
        OF_PICTURES,
        GUARDED,
        "above the better rule",
        title="mean IoU, all suns",
        box=MARKDOWN,
    )
    for left in families:
        for sky in SKIES:
            got = reached(left, lambda one, sky=sky: one.judged.sky == sky)
            numbers = (f"{value:.3f}" for value in (*got.rules, got.of_pictures, got.guarded))
            table.add_row(left.family, sky, *numbers, f"{got.guarded - got.best:+.3f}")
    return table


def table_of_suns(families: list[Left]) -> Table:
    """Return mean IoU by sky and sun, the mean over families, and the family that is worst off."""
    table = Table(
        "sky",
        "sun",
        *RULES,
        GUARDED,
        "above the better rule",
        "at worst",
        title="mean over families",
        box=MARKDOWN,
    )
    for sky in SKIES:
        for sun in SUNS:
            got = [
                reached(left, lambda one, at=(sky, sun): (one.judged.sky, one.sun) == at) for left in families
            ]
            means = np.mean([(*one.rules, one.guarded) for one in got], axis=0)
            over = [one.guarded - one.best for one in got]
            worst = int(np.argmin(over))
            table.add_row(
                sky, f"{sun:g}", *(f"{value:.3f}" for value in means), f"{np.mean(over):+.3f}",
                f"{over[worst]:+.3f} {families[worst].family}",
            )  # fmt: skip
    return table


def table_of_evidence(families: list[Left]) -> Table:
    """Return how far guards that see more are above the better rule: the mean over families and the worst."""
    table = Table(
        "the guard sees", *SKIES, title="mean IoU above the better rule, mean (worst)", box=MARKDOWN
    )
    by_sky = [
        [reached(left, lambda one, sky=sky: one.judged.sky == sky) for left in families] for sky in SKIES
    ]
    for place, title in enumerate(EVIDENCE):
        over = [[one.more[place] - one.best for one in got] for got in by_sky]
        table.add_row(title, *(f"{np.mean(values):+.3f} ({min(values):+.3f})" for values in over))
    return table


def table_of_pixels(families: list[Left]) -> Table:
    """Return by family how well what more bands tell parts shadowed snow from thin ice."""
    names = EVIDENCE["and B08, B10, B11"]
    table = Table("family", "sky", *names, title="parts liftable thick ice from thin", box=MARKDOWN)
    for left in families:
        for sky in SKIES[1:]:
            samples = [product.sample for product in left.products if product.judged.sky == sky]
            thick = np.concatenate([sample.thick for sample in samples])
            parted = (parts(np.concatenate([one.ratios[name] for one in samples]), thick) for name in names)
            table.add_row(left.family, sky, *(f"{value:.2f}" for value in parted))
    return table


def parts(values: NDArray[np.float32], thick: NDArray[np.bool_]) -> float:
    """Return how well a value parts two kinds of pixels: the area under the curve, whichever way it goes.

    NaN where there is one kind only.
    """
    if thick.all() or not thick.any():
        return float("nan")
    thin = np.sort(values[~thick])
    below, upto = (np.searchsorted(thin, values[thick], side) for side in ("left", "right"))
    area = float((below + upto).mean() / 2 / len(thin))
    return max(area, 1 - area)


def main(arguments: Iterable[str] | None = None) -> None:
    """Draw, learn, judge and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--surfaces", type=int, default=4, help="of each family")
    options.add_argument("--pictures", type=int, default=8, help="surfaces to learn from, of each family")
    options.add_argument("--side", type=int, default=1020, help="pixels, divisible by 6")
    options.add_argument("--maps", type=Path, metavar="FOLDER")
    options.add_argument("--learn", type=Path, metavar="FILE")
    given = options.parse_args(None if arguments is None else list(arguments))
    scenes = family_scenes(side=given.side, surfaces=given.pictures, seed=_SEED + 1, maps=given.maps)
    pictures = [judge(scene) for scene in scenes]
    made = list(products(side=given.side, surfaces=given.surfaces, maps=given.maps))
    if given.learn:
        names = ", ".join(dict.fromkeys(scene.family for scene in pictures))
        about = f"Learnt from {names}, as pictures and as L1C products (benchmarks.left_out.products)."
        write_weights(given.learn, learn([*pictures, *(product.judged for product in made)]), about)
        return
    families = list(leave_out(pictures, made))
    console = Console(width=130)
    for table in (table_of_families, table_of_suns, table_of_evidence, table_of_pixels):
        console.print(table(families))


if __name__ == "__main__":
    main()
