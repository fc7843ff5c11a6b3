"""The methods that benchmarks/beat_the_rule.py compares: rules, trained networks, and both together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.moved_cuts import classes_by_moved_cuts
from benchmarks.truth_scenes import TruthScene
from labeling.label import (
    class_table,
    compare,
    filter_facts,
    label_scene,
    prepare,
    scene_sums,
    settle_black,
)
from labeling.profile import LabelingProfile, load_profile

RULES: Final = {
    "thresholds": "polynya-clear",
    "filter + thresholds": "iqrah-2024",
    "guarded filter + thresholds": "polynya",
}
"""Labelling profile behind each method that is not a network."""

TAUGHT: Final = "thresholds on the clear picture"
"""What the training's labels would say of a test scene: as much as a network can learn from them."""

BOTH: Final = "network where there is cloud, else thresholds"
"""The network for scenes in whose labels' metadata `filter_shadow` is true, the thresholds for others."""

MOVED: Final = "thresholds moved by the network where there is cloud"
"""The thresholds, in scenes in which `BOTH` asks the network moved by what it says (moved_cuts.py)."""

AVERAGED: Final = ", all seeds averaged"
"""Ends the name of a method that takes the mean of all networks' probabilities."""

Found = TypeVar("Found")
Method = Callable[[TruthScene], NDArray[np.uint8]]
"""Takes a scene, returns class codes (height, width)."""


def network(model: Path, threads: int | None) -> Callable[[TruthScene], NDArray[np.float32]]:
    """Return a trained network: class probabilities (height, width, 3) of a scene, given whole."""
    from training.predict import Predictor  # here: TensorFlow takes seconds to load

    predictor = Predictor.load(model, batch=1, threads=threads)
    return lambda scene: predictor.predict(np.ascontiguousarray(scene.rgb.transpose(1, 2, 0))[None])[0]


def networks(models: list[Path], threads: int | None, ending: str = "") -> dict[str, Method]:
    """Return the methods that need trained networks, whose probabilities are averaged, by name."""
    members = [network(model, threads) for model in models]
    probabilities = _kept(lambda scene: np.mean([member(scene) for member in members], axis=0))
    cloudy = _kept(is_cloudy)
    thresholds = load_profile(RULES["thresholds"]).thresholds
    clear = (thresholds.water_max, thresholds.thin_ice_max)

    def alone(scene: TruthScene) -> NDArray[np.uint8]:
        return probabilities(scene).argmax(axis=-1).astype(np.uint8)

    def moved(scene: TruthScene) -> NDArray[np.uint8]:
        return classes_by_moved_cuts(scene.rgb, probabilities(scene), clear)

    def under_cloud(method: Method) -> Method:
        rule = rules()["thresholds"]
        return lambda scene: (method if cloudy(scene) else rule)(scene)

    methods = {"network": alone, BOTH: under_cloud(alone), MOVED: under_cloud(moved)}
    return {name + ending: method for name, method in methods.items()}


def is_cloudy(scene: TruthScene) -> bool:
    """Tell whether the guard of the default profile sees cloud or shadow in a scene."""
    profile = load_profile(RULES["guarded filter + thresholds"])
    value, state = prepare(scene.rgb, None, profile)
    settle_black(state)
    sums = scene_sums(compare(value, profile), state, profile)
    return bool(filter_facts(sums, class_table(sums, profile))["filter_shadow"])


def _kept(look: Callable[[TruthScene], Found]) -> Callable[[TruthScene], Found]:
    """Return a function that remembers what it found in the last scene."""
    last: list[tuple[TruthScene, Found]] = []

    def found(scene: TruthScene) -> Found:
        if not last or last[0][0] is not scene:
            last[:] = [(scene, look(scene))]
        return last[0][1]

    return found


def rules() -> dict[str, Method]:
    """Return the methods that need no training, by name."""

    def method(profile: LabelingProfile) -> Method:
        return lambda scene: label_scene(scene.rgb, None, profile)

    found = {name: method(load_profile(profile)) for name, profile in RULES.items()}
    clear = load_profile(RULES["thresholds"])
    return found | {TAUGHT: lambda scene: label_scene(scene.clear, None, clear)}
