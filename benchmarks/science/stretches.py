"""How near calibrated cut points come to the best there are, under stretches that nobody told them.

    .venv/bin/python -m benchmarks.science.stretches --json stretches.json

Simulated scenes are drawn anew by eleven kinds of stretch, two of each, six scenes a stretch. The best pair
of cuts is found by trying all pairs against the truth under the cloud; what a proposal loses to it in
accuracy is told, without hints and with 30: pixels drawn at random, or ten of each class, in five draws.
`--clear` takes clear skies only, `--others DIR` scenes of another renderer: NAME.tif with NAME.npz, its true
classes as `truth`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from labeling.classes import CLASS_COUNT, IGNORE
from labeling.cuts.hints import Fit, Hints, least_error, weighed
from labeling.cuts.histogram import LEVELS
from labeling.cuts.propose import METHODS
from labeling.files.atomic import write_json
from labeling.ice.thresholds import brightness
from labeling.simulation.scene import SceneSpec, simulate, variety

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Takes V of the simulated picture, returns V of the stretched one before it is rounded; it rises."""

Pixels = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""V and true classes of a scene's pixels, (n,) each."""

DRAWS: Final = 5
HINTS: Final = 30
WITHOUT, WITH = 0.03, 0.01
"""Goals: what may be lost without hints, and with them."""
_KEPT: Final = 0.9
"""Share of the stretches in which a goal shall be kept."""


def _gain(rng: np.random.Generator, low: float, high: float) -> tuple[str, Curve]:
    factor = rng.uniform(low, high)
    return f"{factor:.2f} V", lambda value: factor * value


def _power(rng: np.random.Generator, low: float, high: float) -> tuple[str, Curve]:
    exponent = rng.uniform(low, high)
    return f"V ^ {exponent:.2f}", lambda value: 255 * (value.clip(0) / 255) ** exponent


def _air(rng: np.random.Generator, low: float, high: float) -> tuple[str, Curve]:
    light, factor = rng.uniform(low, high), rng.uniform(0.5, 0.95)
    return f"{factor:.2f} V + {light:.0f}", lambda value: factor * value + light


def _low_sun(rng: np.random.Generator, low: float, high: float) -> tuple[str, Curve]:
    exponent, light = rng.uniform(0.6, 0.85), rng.uniform(low, high)
    text = f"{light:.0f} + {230 - light:.0f} V ^ {exponent:.2f}"
    return text, lambda value: light + (230 - light) * (value.clip(0) / 255) ** exponent


def _logarithm(rng: np.random.Generator, low: float, high: float) -> tuple[str, Curve]:
    steep = rng.uniform(low, high)
    return f"log(1 + {steep:.1f} V)", lambda v: 255 * np.log1p(steep * v.clip(0) / 255) / np.log1p(steep)


def _contrast(rng: np.random.Generator, low: float, high: float) -> tuple[str, Curve]:
    steep = rng.uniform(low, high)

    def curve(value: NDArray[np.float64]) -> NDArray[np.float64]:
        ends = np.tanh(steep / 4)
        return np.asarray(127.5 * (1 + np.tanh(steep / 2 * (value / 255 - 0.5)) / ends))

    return f"S-curve {steep:.1f}", curve


def _percentiles(share: float) -> Callable[[NDArray[np.int64]], tuple[str, Curve]]:
    def stretch(counts: NDArray[np.int64]) -> tuple[str, Curve]:
        below = np.cumsum(counts) / counts.sum()
        low, high = (int(np.searchsorted(below, part)) for part in (share, 1 - share))
        return f"{100 * share:g} % cut off: {low} to {high}", lambda value: 255 * (value - low) / (high - low)

    return stretch


DRAWN: Final = {
    "darker": (_gain, 0.45, 0.8),
    "overexposed": (_gain, 1.05, 1.25),
    "gamma below 1": (_power, 0.5, 0.8),
    "gamma above 1": (_power, 1.2, 1.7),
    "air light": (_air, 8, 30),
    "much air light": (_air, 30, 60),
    "low sun": (_low_sun, 10, 40),
    "logarithm": (_logarithm, 1, 12),
    "contrast": (_contrast, 2, 6),
}
"""Stretches by name: how they are drawn, and from which range."""

CUT_OFF: Final = {"percentiles 2, 98": _percentiles(0.02), "percentiles 0.5, 99.5": _percentiles(0.005)}
"""Those that depend on the scenes, as viewers and archives stretch them."""


WAYS: Final[dict[str, tuple[Fit, int | None]]] = {
    "30 hints": (weighed, None),
    "10 hints a class": (weighed, 10),
    "30 hints, fewest errors": (least_error, None),
}
"""Ways to use hints: the fit, and how many hints of each class (None: 30 pixels at random)."""


class Case(NamedTuple):
    """Scenes under one stretch."""

    name: str
    stretch: str
    shares: NDArray[np.int64]
    """(3, 256): pixels by true class and stretched V, of all scenes."""


class Result(NamedTuple):
    """What proposals lose to the best pair of cuts, in accuracy."""

    name: str
    stretch: str
    best: tuple[int, int]
    accuracy: float
    proposed: dict[str, tuple[int, int]]
    lost: dict[str, float]
    """By method; with hints the mean over draws."""
    kept: dict[str, float]
    """With hints: share of the draws that lose at most 0.01."""


def cases(scenes: Iterator[list[Pixels]], seed: int, times: int) -> Iterator[Case]:
    """Yield each kind of stretch so many times, each on scenes of its own."""
    rng = np.random.default_rng(seed)
    for name in [name for name in (*DRAWN, *CUT_OFF) for _ in range(times)]:
        pixels = next(scenes)
        value, truth = (np.concatenate(part) for part in zip(*pixels, strict=True))
        if name in DRAWN:
            draw, low, high = DRAWN[name]
            text, curve = draw(rng, low, high)
        else:
            text, curve = CUT_OFF[name](np.bincount(value, minlength=LEVELS))
        yield Case(name, text, stretched((value, truth), curve, rng))


def stretched(pixels: Pixels, curve: Curve, rng: np.random.Generator | None) -> NDArray[np.int64]:
    """Return how many pixels have each true class and stretched V, (3, 256).

    With `rng` as if the stretch had been done before the picture was rounded to 8 bit, without as it is.
    """
    value, truth = pixels
    shift = np.zeros(value.shape) if rng is None else rng.uniform(-0.5, 0.5, value.shape)
    levels = np.clip(np.rint(curve(value + shift)), 1, 255).astype(np.intp)
    pairs = np.bincount(truth.astype(np.intp) * LEVELS + levels, minlength=CLASS_COUNT * LEVELS)
    return pairs.reshape(CLASS_COUNT, LEVELS)


def accuracies(shares: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the accuracy of every pair of cuts, (256, 256); 0 where the upper is not above the lower."""
    below = np.cumsum(shares, axis=1)
    thin = below[1][None, :] - below[1][:, None]
    right = below[0][:, None] + thin + (below[2][-1] - below[2])[None, :]
    return np.asarray(np.triu(right, 1) / shares.sum(), np.float64)


def draw_hints(rng: np.random.Generator, shares: NDArray[np.int64], each: int | None) -> Hints:
    """Return 30 hints: pixels drawn at random, or so many of each class."""
    if each is None:
        found = rng.choice(shares.size, HINTS, p=shares.ravel() / shares.sum())
    else:
        there = np.flatnonzero(shares.sum(axis=1))
        odds = {code: shares[code] / shares[code].sum() for code in there}
        found = np.concatenate([code * LEVELS + rng.choice(LEVELS, each, p=odds[code]) for code in there])
    ice, value = np.divmod(found, LEVELS)
    return Hints(value.astype(np.uint8), ice.astype(np.uint8), np.zeros(len(value), np.int64))


def measure(case: Case, seed: int) -> Result:
    """Hold every method against the best pair of cuts."""
    accuracy = accuracies(case.shares)
    best = np.unravel_index(accuracy.argmax(), accuracy.shape)
    counts = case.shares.sum(axis=0)
    proposed: dict[str, tuple[int, int]] = {name: method(counts) for name, method in METHODS.items()}
    lost = {name: float(accuracy.max() - accuracy[cuts]) for name, cuts in proposed.items()}
    kept = {}
    for name, (fit, each) in WAYS.items():
        rng = np.random.default_rng(seed)
        found = [fit(draw_hints(rng, case.shares, each), counts) for _ in range(DRAWS)]
        losses = np.array([accuracy.max() - accuracy[cuts] for cuts in found])
        lost[name], kept[name] = float(losses.mean()), float((losses <= WITH).mean())
    pair = int(best[0]), int(best[1])
    return Result(case.name, case.stretch, pair, float(accuracy.max()), proposed, lost, kept)


def simulated(seed: int, count: int, side: int, *, clear: bool) -> Iterator[list[Pixels]]:
    """Yield lists of simulated scenes, each with seeds of its own: the kinds of `variety` in turn."""
    first = 0
    while True:
        specs = variety(first + count, height=side, width=side, seed=seed)[first:]
        yield [pixels_of(spec.model_copy(update={"cloud": 0.0}) if clear else spec) for spec in specs]
        first += count


def pixels_of(spec: SceneSpec) -> Pixels:
    """Simulate a scene; what has no data is left out."""
    scene = simulate(spec)
    seen = scene.truth != IGNORE
    return brightness(scene.rgb)[seen], scene.truth[seen]


def others(folder: Path, seed: int, count: int) -> Iterator[list[Pixels]]:
    """Yield lists of scenes drawn from a folder of pictures, each with its truth in NAME.npz."""
    rng, files = np.random.default_rng(seed), sorted(folder.glob("*.tif"))
    while True:
        found = []
        for number in rng.choice(len(files), min(count, len(files)), replace=False):
            with rasterio.open(files[number]) as raster, np.load(files[number].with_suffix(".npz")) as beside:
                value, truth = brightness(raster.read()[:, ::2, ::2]), beside["truth"][::2, ::2]
            found.append((value[truth != IGNORE], truth[truth != IGNORE]))
        yield found


def results_table(results: list[Result], title: str) -> Table:
    """Return what each method loses under each stretch."""
    methods = list(results[0].lost)
    table = Table(title=title, box=MARKDOWN)
    for column in ("stretch", "best cuts", "best accuracy", "stepwise", *(f"lost: {m}" for m in methods)):
        table.add_column(column)
    for result in results:
        table.add_row(
            f"{result.name}: {result.stretch}",
            "{}, {}".format(*result.best),
            f"{result.accuracy:.3f}",
            "{}, {}".format(*result.proposed["stepwise"]),
            *(f"{result.lost[method]:.3f}" for method in methods),
        )
    return table


def goals(results: list[Result]) -> list[str]:
    """Return how often each goal is kept, and where it is not."""
    told = []
    for name in results[0].lost:
        bound = WITH if name in WAYS else WITHOUT
        failed = [f"{each.name} ({each.lost[name]:.3f})" for each in results if each.lost[name] > bound]
        share = 1 - len(failed) / len(results)
        text = f"{name}: at most {bound} lost in {share:.0%} of {len(results)} stretches"
        if name in WAYS:
            text += f", in {np.mean([each.kept[name] for each in results]):.0%} of all draws"
        text += ", kept" if share >= _KEPT else ", NOT kept"
        told.append(text + (f"; not in {', '.join(failed)}" if failed else ""))
    return told


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the tables and goals."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seed", type=int, default=31)
    options.add_argument("--times", type=int, default=2, help="stretches of each kind")
    options.add_argument("--scenes", type=int, default=6, help="scenes a stretch")
    options.add_argument("--side", type=int, default=768, help="pixels")
    options.add_argument("--clear", action="store_true", help="clear skies only")
    options.add_argument("--others", type=Path, metavar="DIR", help="scenes of another renderer")
    options.add_argument("--json", type=Path, metavar="FILE")
    given = options.parse_args(arguments)
    scenes = simulated(given.seed, given.scenes, given.side, clear=given.clear)
    if given.others is not None:
        scenes = others(given.others, given.seed, given.scenes)
    results = [measure(case, given.seed) for case in cases(scenes, given.seed, given.times)]
    Console(width=220).print(results_table(results, "Accuracy lost to the best pair of cuts"))
    print(*goals(results), sep="\n")
    if given.json is not None:
        write_json(given.json, [result._asdict() for result in results])


if __name__ == "__main__":
    main()
