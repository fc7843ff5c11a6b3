"""What the thin-cloud filter gains in a stretched picture, its levels carried over to the stretched cuts.

    .venv/bin/python -m benchmarks.science.carried

Accuracy against the truth of simulated scenes: cuts alone, and with filter and guard as `jobs.calibrate`
writes them. The cuts are those of the profile, stretched; the first row is the profile itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from labeling.cuts.carry import carry_profile
from labeling.cuts.propose import Cuts
from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile
from labeling.simulation.scene import SceneSpec, SimulatedScene, simulate

SCENES: Final = {
    "clear": (0.85, 0.30, 0.0),
    "light cloud": (0.90, 0.10, 0.3),
    "cloud": (0.95, 0.10, 0.5),
    "cloud, thin ice": (0.80, 0.40, 0.5),
    "heavy cloud": (0.90, 0.20, 0.7),
}
"""Ice cover, share of it that is thin, and cloud."""

STRETCHES: Final[dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "none": lambda value: value,
    "0.8 V": lambda value: 0.8 * value,
    "0.6 V": lambda value: 0.6 * value,
    "0.7 V + 35": lambda value: 0.7 * value + 35,
    "V ^ 0.7": lambda value: 255 * (value / 255) ** 0.7,
    "V ^ 1.3": lambda value: 255 * (value / 255) ** 1.3,
}


def measure(scene: SimulatedScene, stretch: str) -> tuple[float, float]:
    """Return the accuracy of the stretched cuts alone, and with the filter carried over to them."""
    start, curve = load_profile("polynya"), STRETCHES[stretch]
    old = start.thresholds
    cuts = Cuts(*(round(float(curve(np.float64(cut)))) for cut in (old.water_max, old.thin_ice_max)))
    profile = carry_profile(start, cuts, name="carried", description="")
    rgb = np.clip(np.rint(curve(scene.rgb.astype(np.float64))), 1, 255).astype(np.uint8)
    ways = profile.model_copy(update={"thin_clouds": None}), profile
    alone, filtered = (float((label_scene(rgb, None, way) == scene.truth).mean()) for way in ways)
    return alone, filtered


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seed", type=int, default=7000)
    options.add_argument("--side", type=int, default=768, help="pixels")
    given = options.parse_args(arguments)
    table = Table(title="Accuracy: cuts alone, with the filter carried over", box=MARKDOWN)
    for column in ("stretch", *SCENES):
        table.add_column(column)
    scenes = [
        simulate(
            SceneSpec(
                scene_id="a", height=given.side, width=given.side, seed=given.seed + number, ice_cover=cover,
                thin_share=thin, cloud=cloud,
            )
        )
        for number, (cover, thin, cloud) in enumerate(SCENES.values())
    ]  # fmt: skip
    for stretch in STRETCHES:
        table.add_row(stretch, *("{:.3f}, {:.3f}".format(*measure(scene, stretch)) for scene in scenes))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
