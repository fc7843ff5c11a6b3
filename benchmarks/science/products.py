"""Products against pictures, the height of the sun, and real pixels: what profiles for products are worth.

    .venv/bin/python -m benchmarks.science.products --json products.json

1. The same simulated ice and sky as picture, L1C and L2A: accuracy against the truth, thresholds alone and
   with the guarded filter.
2. One surface under four suns: agreement of its labels with those at 60 degrees, with clear air taken out
   (polynya-l1c) and at the top of the air (the published cut points, iqrah-2024-l1c).
3. Real pixels that a reference mask calls water, with the published cut points and with polynya-l1c, whose
   angles are assumed. Left out where ../shared/data (or POLYNYA_DATA) has none.
4. Real tiles that exist as L1C and as L2A, which another processor made from the same light: pixels with the
   same label from both, with the published cut points and with thresholds alone of the profiles for products.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from labeling.bands import BLUE, GREEN, RED, ProductType
from labeling.classes import IGNORE, IceClass
from labeling.files.atomic import write_json
from labeling.grid import Block
from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile
from labeling.ice.thresholds import label
from labeling.scenes.contract.rayleigh import Angles, rayleigh_corrected
from labeling.scenes.contract.rendering import Light, find_rendering, render
from labeling.scenes.open import open_scene
from labeling.simulation.product import write_product_scene
from labeling.simulation.scene import SceneSpec, simulate, variety

KINDS: Final = ("picture", "L1C", "L2A")
WAYS: Final = {"thresholds": "polynya-clear", "guarded filter": "polynya"}
SKIES: Final = {"clear": 0.0, "cloudy": 0.4}
SUNS: Final = (45.0, 60.0, 70.0, 78.0)
AT: Final = 60.0
"""Degrees of the sun whose labels the others are compared with."""

CUTS: Final = {
    "thresholds, air taken out": "polynya-clear-l1c",
    "guarded filter, air taken out": "polynya-l1c",
    "published thresholds, top of the air": "iqrah-2024-raw-l1c",
}

_DATA: Final = Path(os.environ.get("POLYNYA_DATA", Path(__file__).parents[3] / "shared/data"))
_WATER: Final = 1
"""Code of water in the reference mask of csmask-clouds."""

_TILES: Final = {"282D_485L_3_3": 1000, "38D_378R_2_3": 0}
"""Real tiles of terramesh, and what their L1C numbers stand above reflectance; L2A has no offset there."""

Found = dict[str, list[float]]


def write_once(folder: Path, spec: SceneSpec, kind: ProductType) -> Path:
    """Return a scene's product in a folder of its own, which is made unless it is there."""
    home = folder / f"{spec.scene_id}-{kind}"
    if not home.exists():
        write_product_scene(home, spec, product_type=kind)
    return next(home.glob("*.SAFE"))


def labels_of(path: Path, profile_name: str) -> NDArray[np.uint8]:
    """Return the labels of a product by a profile, whole and in memory."""
    profile = load_profile(profile_name)
    with open_scene(str(path), profile.rendering) as scene:
        rgb, valid, _ = scene.read(Block(0, 0, scene.info.height, scene.info.width))
    return label_scene(rgb, valid, profile)


def compare_kinds(specs: list[SceneSpec], folder: Path) -> Found:
    """Return the accuracy of every scene by "sky, kind, way"."""
    found: Found = defaultdict(list)
    for spec in specs:
        for sky, amount in SKIES.items():
            update = {"cloud": amount and (spec.cloud or amount), "scene_id": f"{spec.scene_id}-{sky}"}
            one = spec.model_copy(update=update)
            scene = simulate(one)
            seen = scene.truth != IGNORE
            for kind in KINDS:
                for way, name in WAYS.items():
                    if kind == "picture":
                        labels = label_scene(scene.rgb, seen, load_profile(name))
                    else:
                        labels = labels_of(write_once(folder, one, kind), f"{name}-{kind.lower()}")
                    found[f"{sky}, {kind}, {way}"].append(float((labels == scene.truth)[seen].mean()))
    return found


def compare_suns(specs: list[SceneSpec], folder: Path) -> Found:
    """Return, for every scene under a clear sky, the agreement by "way, sun" and water's recall."""
    found: Found = defaultdict(list)
    for spec in specs:
        clear = spec.model_copy(update={"cloud": 0.0})
        truth = simulate(clear).truth
        for way, name in CUTS.items():
            labels = {
                sun: labels_of(
                    write_once(
                        folder,
                        clear.model_copy(update={"sun_zenith": sun, "scene_id": f"{spec.scene_id}-{sun:g}"}),
                        "L1C",
                    ),
                    name,
                )
                for sun in SUNS
            }
            for sun in SUNS:
                same, water = labels[sun] == labels[AT], truth == IceClass.WATER
                found[f"{way}, {sun:g}, agreement"].append(float(same[truth != IGNORE].mean()))
                found[f"{way}, {sun:g}, water"].append(float((labels[sun] == IceClass.WATER)[water].mean()))
    return found


def real_water() -> Iterator[tuple[str, float]]:
    """Yield, for several assumed angles, the share of real water pixels that are labelled water."""
    file = _DATA / "csmask-clouds/sentinel2.npz"
    if not file.exists():
        return
    with np.load(file) as arrays:
        pixels = arrays["img"][arrays["msk"][..., 0] == _WATER][:, :3].T.astype(np.float32)
    level = load_profile("iqrah-2024-l1c").thresholds.water_max
    yield "published cut point, top of the air", float((np.rint(255 * pixels.max(0)) <= level).mean())
    level = load_profile("polynya-l1c").thresholds.water_max
    for sun in (20, 30, 40, 50, 60, 70):
        shares = []
        for view, azimuth in ((0, 0), (10, 150), (10, 330)):
            angles = [Angles(sun, 150, view, azimuth)] * 3
            value = rayleigh_corrected(pixels, (BLUE, GREEN, RED), angles).max(0)
            shares.append(float((np.rint(255 * value / 1.3) <= level).mean()))
        yield f"polynya-l1c, sun {sun}, any view", min(shares)


def labels_of_tile(level: str, tile: str, offset: int, profile_name: str, light: Light) -> NDArray[np.uint8]:
    """Return the labels of a real tile by thresholds alone."""
    with rasterio.open(_DATA / f"terramesh/S2{level}/{tile}.tif") as image:
        reflectance = (image.read([4, 3, 2]).astype(np.float32) - offset) / 10_000
    profile = load_profile(profile_name)
    valid = np.ones(reflectance.shape[1:], bool)
    return label(render(reflectance, valid, find_rendering(profile.rendering), light), profile.thresholds)


def real_levels() -> Iterator[tuple[str, float]]:
    """Yield, for every tile and assumed sun, the share of pixels with the same label as L1C and as L2A."""
    if not (_DATA / "terramesh").exists():
        return
    for tile, offset in _TILES.items():
        ground = labels_of_tile("L2A", tile, 0, "polynya-clear-l2a", Light())
        for sun in (20, 30, 40, 50):
            light = Light(sun, [Angles(sun, 150, 4, 200)] * 3, "A")
            air = labels_of_tile("L1C", tile, offset, "polynya-clear-l1c", light)
            yield f"{tile}, air taken out, sun {sun}", float((air == ground).mean())
        air = labels_of_tile("L1C", tile, offset, "iqrah-2024-raw-l1c", Light())
        yield f"{tile}, published cut points, top of the air", float((air == ground).mean())


def _print(
    console: Console, kinds: Found, suns: Found, water: dict[str, float], levels: dict[str, float]
) -> None:
    table = Table("sky", "", *KINDS, title="accuracy against truth, mean", box=MARKDOWN)
    for sky in SKIES:
        for way in WAYS:
            table.add_row(sky, way, *(f"{np.mean(kinds[f'{sky}, {kind}, {way}']):.4f}" for kind in KINDS))
    console.print(table)
    for what, title in (
        ("agreement", f"pixels with the label they have at {AT:g} degrees, mean"),
        ("water", "share of the water found, mean"),
    ):
        table = Table("", *(f"{sun:g}" for sun in SUNS), title=title, box=MARKDOWN)
        for way in CUTS:
            table.add_row(way, *(f"{np.mean(suns[f'{way}, {sun:g}, {what}']):.4f}" for sun in SUNS))
        console.print(table)
    for heads, shares in (
        (("real water pixels", "labelled water"), water),
        (("real tiles", "same label as L1C and as L2A"), levels),
    ):
        table = Table(*heads, box=MARKDOWN)
        for name, share in shares.items():
            table.add_row(name, f"{share:.3f}")
        console.print(table)


def measure(scenes: int, side: int, seed: int) -> dict[str, Any]:
    """Return all figures."""
    specs = variety(scenes, height=side, width=side, seed=seed)
    with TemporaryDirectory() as folder:
        kinds = compare_kinds(specs, Path(folder))
        suns = compare_suns(specs, Path(folder))
    return {"kinds": kinds, "suns": suns, "water": dict(real_water()), "levels": dict(real_levels())}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--scenes", type=int, default=8)
    options.add_argument("--side", type=int, default=1020, help="pixels, divisible by 6")
    options.add_argument("--seed", type=int, default=11)
    options.add_argument("--json", type=Path, help="file for all figures")
    given = options.parse_args()
    figures = measure(given.scenes, given.side, given.seed)
    _print(Console(width=110), **figures)
    if given.json:
        write_json(given.json, figures)


if __name__ == "__main__":
    main()
