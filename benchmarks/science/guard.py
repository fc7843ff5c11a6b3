"""What the filter's guard keeps and what it saves: accuracy against the truth of simulated scenes.

    .venv/bin/python -m benchmarks.science.guard --json guard.json

Thresholds alone, the published filter, and the filter with the profile's guard, on five kinds of ice under
seven skies. The guard's weights were learnt on other seeds (benchmarks/left_out). Every third seed has floes
three times as large. The last lines are the goals.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from labeling.classes import CLASS_COUNT
from labeling.files.atomic import write_json
from labeling.ice.label import label_scene
from labeling.ice.profile import LabelingProfile, load_profile
from labeling.simulation.sky import Sky, expose, make_sky
from labeling.simulation.surface import Amounts, Surface, make_surface

ICE: Final = {
    "thick": (0.94, 0.10),
    "mixed": (0.88, 0.25),
    "thin": (0.85, 0.45),
    "thinnest": (0.80, 0.65),
    "open": (0.55, 0.35),
}
"""Share of ice, and share of it that is thin."""

SKIES: Final = {
    "clear": 0.0, "light": 0.25, "cloud": 0.45, "heavy": 0.7, "shadow only": 0.45, "half": 0.5, "corner": 0.5,
}  # fmt: skip
"""Amount of cloud; "shadow only" has the shadow without its cloud, "half" cloud on the right alone, "corner"
in the lower right corner."""

LOSS: Final = 0.005
_ZOOM: Final = 3
_GUARDED: Final = "polynya"


class Scores(NamedTuple):
    """Accuracy and mean IoU against the truth."""

    accuracy: float
    mean_iou: float


Found = dict[tuple[str, str], list[dict[str, Scores]]]
"""By ice and sky: the scores of each way, for each seed."""


def ways() -> dict[str, LabelingProfile]:
    """Return the profiles compared."""
    guarded = load_profile(_GUARDED)
    filtered = load_profile("iqrah-2024").model_copy(update={"nodata": guarded.nodata})
    return {"thresholds": load_profile("iqrah-2024-raw"), "filter": filtered, "guarded": guarded}


def pictures(ice: str, seed: int, side: int) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield each sky with the picture (3, side, side) under it and the true classes (side, side)."""
    kind = list(ICE).index(ice)
    cover, thin = ICE[ice]
    sun_seed, ice_seed, sky_seed, sensor_seed = np.random.SeedSequence([seed, kind]).spawn(4)
    sun = float(np.random.default_rng(sun_seed).uniform(0, 2 * np.pi))
    zoom = _ZOOM if seed % _ZOOM == 0 else 1
    surface = make_surface(
        np.random.default_rng(ice_seed), height=side // zoom, width=side // zoom, sun=sun,
        amounts=Amounts(cover * (1 - thin), cover * thin),
    )  # fmt: skip
    square = np.ones((zoom, zoom), np.uint8)
    surface = Surface(np.kron(surface.classes, square), np.kron(surface.value, square).astype(np.float32))
    for name, amount in SKIES.items():
        sky = make_sky(np.random.default_rng(sky_seed), height=side, width=side, amount=amount, sun=sun)
        if name == "shadow only":
            sky = Sky(np.zeros_like(sky.cloud), sky.shadow)
        if name in ("half", "corner"):
            ramp = _from(0.5 if name == "half" else 0.65, side)
            sky = Sky(*(layer * ramp for layer in sky))
        if name == "corner":
            sky = Sky(*(layer * ramp[:, None] for layer in sky))
        yield name, expose(np.random.default_rng(sensor_seed), surface.value, sky), surface.classes


def _from(start: float, side: int) -> NDArray[np.float32]:
    """Return 0 up to a share of the side, then a slope a tenth of it wide to 1, (side,)."""
    return np.clip((np.linspace(0, 1, side, dtype=np.float32) - np.float32(start)) * 10 + 0.5, 0, 1)


def scores(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Scores:
    """Compare labels with the truth, both u8 (height, width)."""
    pairs = np.bincount(truth.ravel().astype(np.intp) * 256 + labels.ravel(), minlength=CLASS_COUNT * 256)
    matrix = pairs.reshape(-1, 256)[:CLASS_COUNT, :CLASS_COUNT]
    hits = matrix.diagonal()
    union = matrix.sum(0) + matrix.sum(1) - hits
    return Scores(float(hits.sum() / truth.size), float((hits[union > 0] / union[union > 0]).mean()))


def measure(seeds: list[int], side: int) -> Found:
    """Label every scene in every way."""
    found: Found = defaultdict(list)
    for seed in seeds:
        for ice in ICE:
            for sky, rgb, truth in pictures(ice, seed, side):
                labels = {way: label_scene(rgb, None, profile) for way, profile in ways().items()}
                found[ice, sky].append({way: scores(codes, truth) for way, codes in labels.items()})
    return found


def accuracy_table(found: Found, title: str) -> Table:
    """Return mean accuracy and mean IoU by ice and sky."""
    heads = [f"{way}, {what}" for what in ("accuracy", "IoU") for way in ways()]
    table = Table("sky", "ice", *heads, title=title, box=MARKDOWN)
    for ice, sky in sorted(found, key=lambda key: (list(SKIES).index(key[1]), list(ICE).index(key[0]))):
        means = [np.mean([scene[way] for scene in found[ice, sky]], axis=0) for way in ways()]
        table.add_row(sky, ice, *(f"{mean[what]:.3f}" for what in (0, 1) for mean in means))
    return table


def goals(found: Found) -> dict[str, float]:
    """Return the differences in accuracy that the guard is judged by."""

    def gains(clear: bool, against: str) -> NDArray[np.float64]:
        skies = (scenes for (_, sky), scenes in found.items() if (sky == "clear") is clear)
        chosen = [scene for scenes in skies for scene in scenes]
        if not clear:  # where the filter helps
            chosen = [scene for scene in chosen if scene["filter"].accuracy > scene["thresholds"].accuracy]
        return np.array([scene["guarded"].accuracy - scene[against].accuracy for scene in chosen])

    clear, cloudy = gains(True, "thresholds"), gains(False, "filter")
    return {
        "clear sky, guarded - thresholds, mean": float(clear.mean()),
        "clear sky, guarded - thresholds, worst": float(clear.min()),
        "cloud where the filter helps, guarded - filter, mean": float(cloudy.mean()),
        "cloud where the filter helps, share that loses at most 0.005": float((cloudy >= -LOSS).mean()),
        "cloud where the filter helps, guarded - filter, worst": float(cloudy.min()),
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seeds", type=int, nargs="+", default=list(range(101, 107)))
    options.add_argument("--side", type=int, default=1023, help="pixels, divisible by 3")
    options.add_argument("--json", type=Path, help="file for all figures")
    given = options.parse_args()
    found = measure(given.seeds, given.side)
    console = Console(width=150)
    console.print(accuracy_table(found, f"{given.side} x {given.side}, seeds {given.seeds}"))
    for what, value in goals(found).items():
        console.print(f"{what}: {value:.4f}")
    if given.json:
        rows: list[dict[str, Any]] = [
            {"ice": ice, "sky": sky} | {way: reached._asdict() for way, reached in scene.items()}
            for (ice, sky), scenes in found.items()
            for scene in scenes
        ]
        write_json(given.json, {"seeds": given.seeds, "scenes": rows, "goals": goals(found)})


if __name__ == "__main__":
    main()
