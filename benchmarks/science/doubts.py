"""How often labels are doubted, where the profile is right and where the picture is another rendering.

    .venv/bin/python -m benchmarks.science.doubts --json doubts.json

Simulated scenes of any ice cover, share of thin ice and cloud, as they are, and under the stretches of
stretches.py and a product's true-colour image. A stretch is the worse, the more accuracy the profile's cuts
lose by it. `--others DIR` takes scenes of another renderer for the first part, as stretches.py does.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.science.stretches import CUT_OFF, DRAWN, Curve, accuracies, others, pixels_of, stretched
from labeling.cuts.doubts import brightness_doubts
from labeling.files.atomic import write_json
from labeling.ice.profile import load_profile
from labeling.simulation.scene import SceneSpec

CUTS: Final = load_profile("polynya").thresholds
TOP: Final = 0.3558
"""Reflectance that a true-colour image draws as 255."""

LOSSES: Final = (0.02, 0.05, 0.1, 0.3)
"""Bounds of the rows: accuracy that the profile's cuts lose by a stretch."""

FALSE: Final = 0.02
"""Share of right scenes that may be doubted."""


class Seen(NamedTuple):
    """A scene under a stretch."""

    stretch: str
    lost: float
    """Accuracy that the profile's cuts lose by it."""
    codes: list[str]


def varied(count: int, seed: int, side: int) -> Iterator[SceneSpec]:
    """Yield all kinds of scenes: one in eight has no ice at all, or is closed; two in five are clear."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        cover, thin = (
            float(rng.choice([0.0, 1.0])) if rng.random() < 0.12 else float(rng.uniform(0, 1) ** power)
            for power in (0.5, 1.0)
        )
        cloud = 0.0 if rng.random() < 0.4 else float(rng.uniform(0, 0.7))
        yield SceneSpec(
            scene_id="a", height=side, width=side, seed=seed * 10_000 + number, ice_cover=cover,
            thin_share=thin, cloud=cloud,
        )  # fmt: skip


def codes_of(shares: NDArray[np.int64]) -> list[str]:
    """Return the codes of what is doubted; `shares` is (3, 256), by true class and V."""
    return [doubt.code for doubt in brightness_doubts(shares.sum(axis=0), CUTS)]


def stretch_of(name: str, rng: np.random.Generator, shares: NDArray[np.int64]) -> Curve:
    """Return a stretch of a kind, drawn anew."""
    if name in DRAWN:
        draw, low, high = DRAWN[name]
        return draw(rng, low, high)[1]
    if name in CUT_OFF:
        return CUT_OFF[name](shares.sum(axis=0))[1]
    return lambda value: value / TOP


def measure(count: int, seed: int, side: int) -> tuple[list[list[str]], list[Seen]]:
    """Return what is doubted of scenes as they are, and of each under a stretch of every kind in turn."""
    rng = np.random.default_rng(seed)
    kinds = [*DRAWN, *CUT_OFF, "true-colour image"]
    right, wrong = [], []
    for number, spec in enumerate(varied(count, seed, side)):
        pixels = pixels_of(spec)
        plain = stretched(pixels, lambda value: value, rng)
        right.append(codes_of(plain))
        before = accuracies(plain)[CUTS.water_max, CUTS.thin_ice_max]
        for name in (kinds[number % len(kinds)], kinds[(number + 5) % len(kinds)]):
            drawn = stretched(pixels, stretch_of(name, rng, plain), rng)
            lost = before - accuracies(drawn)[CUTS.water_max, CUTS.thin_ice_max]
            wrong.append(Seen(name, float(lost), codes_of(drawn)))
    return right, wrong


def rows(wrong: list[Seen]) -> Iterator[tuple[str, list[Seen]]]:
    """Yield the rows of the table: by what is lost, then by kind of stretch where that is much."""
    for low, high in zip((-1.0, *LOSSES), (*LOSSES, 1.0), strict=True):
        title = f"{max(low, 0):g} to {high:g} lost"
        yield title, [each for each in wrong if low <= each.lost < high]
    for name in dict.fromkeys(each.stretch for each in wrong):
        yield (
            f"{name}, at least {LOSSES[2]:g} lost",
            [each for each in wrong if each.stretch == name and each.lost >= LOSSES[2]],
        )


def table_of(right: list[list[str]], wrong: list[Seen]) -> Table:
    """Return how often what is doubted."""
    table = Table(title="Scenes that are doubted", box=MARKDOWN)
    for column in ("scenes", "number", "doubted", "why"):
        table.add_column(column)
    for title, found in (("right", right), *((t, [each.codes for each in some]) for t, some in rows(wrong))):
        why = Counter(code for codes in found for code in codes)
        share = np.mean([bool(codes) for codes in found]) if found else 0.0
        table.add_row(title, str(len(found)), f"{share:.1%}", ", ".join(f"{c} {n}" for c, n in why.items()))
    return table


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the table and the goal."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seed", type=int, default=41)
    options.add_argument("--scenes", type=int, default=360)
    options.add_argument("--side", type=int, default=512, help="pixels")
    options.add_argument("--others", type=Path, metavar="DIR", help="scenes of another renderer")
    options.add_argument("--json", type=Path, metavar="FILE")
    given = options.parse_args(arguments)
    right, wrong = measure(given.scenes, given.seed, given.side)
    Console(width=160).print(table_of(right, wrong))
    share = float(np.mean([bool(codes) for codes in right]))
    print(f"right scenes doubted: {share:.2%}, {'kept' if share < FALSE else 'NOT kept'} (under {FALSE:.0%})")
    result: dict[str, Any] = {"right": right, "wrong": [each._asdict() for each in wrong]}
    if given.others is not None:
        every = next(others(given.others, given.seed, 1_000))
        result["others"] = [codes_of(stretched(each, lambda value: value, None)) for each in every]
        doubted = sum(bool(codes) for codes in result["others"])
        print(f"scenes of another renderer doubted: {doubted} of {len(every)}")
    if given.json is not None:
        write_json(given.json, result)


if __name__ == "__main__":
    main()
