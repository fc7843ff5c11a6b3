"""The methods that beat_the_rule.py compares: rules, trained networks, and both together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.science.truth_scenes import TruthScene
from labeling.ice.label import (
    class_table,
    compare,
    label_scene,
    prepare,
    scene_sums,
    settle_black,
)
from labeling.ice.lifted import filter_facts
from labeling.ice.moved_cuts import cut, opinion, scene_cuts, weigh_lifts
from labeling.ice.profile import LabelingProfile, load_profile
from labeling.ice.thresholds import brightness

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
"""The thresholds, moved by the network (labeling/ice/moved_cuts.py) in scenes in which `BOTH` asks it."""

BOTH_FILTER: Final = "network and filter where there is cloud"
MOVED_FILTER: Final = "thresholds moved by network and filter where there is cloud"
"""As `BOTH` and `MOVED`, by the network's probabilities weighed with the guarded filter's lifts."""

AVERAGED: Final = ", all seeds averaged"
"""Ends the name of a method that takes the mean of all networks' probabilities."""

Found = TypeVar("Found")
Method = Callable[[TruthScene], NDArray[np.uint8]]
"""Takes a scene, returns class codes (height, width)."""

Probabilities = Callable[[TruthScene], NDArray[np.float32]]
"""Takes a scene, returns class probabilities (height, width, 3)."""


def network(model: Path, threads: int | None) -> Probabilities:
    """Return a trained network: class probabilities (height, width, 3) of a scene, given whole."""
    from training.predict import Predictor  # here: TensorFlow takes seconds to load

    predictor = Predictor.load(model, batch=1, threads=threads)
    return lambda scene: predictor.predict(np.ascontiguousarray(scene.rgb.transpose(1, 2, 0))[None])[0]


def networks(models: list[Path], threads: int | None, ending: str = "") -> dict[str, Method]:
    """Return the methods that need trained networks, whose probabilities are averaged, by name."""
    members = [network(model, threads) for model in models]
    cloudy, rule = _kept(is_cloudy), rules()
    thresholds = load_profile(RULES["thresholds"]).thresholds
    alone = _kept(lambda scene: np.mean([member(scene) for member in members], axis=0))

    @_kept
    def with_filter(scene: TruthScene) -> NDArray[np.float32]:
        labels = rule["guarded filter + thresholds"](scene)
        return weigh_lifts(alone(scene), brightness(scene.rgb), labels, thresholds)

    def likeliest(probabilities: Probabilities) -> Method:
        return lambda scene: probabilities(scene).argmax(axis=-1).astype(np.uint8)

    def moved(probabilities: Probabilities) -> Method:
        def method(scene: TruthScene) -> NDArray[np.uint8]:
            said = opinion(brightness(scene.rgb), probabilities(scene))
            height, width = said.value.shape
            return cut(said.value, scene_cuts(said.part, height=height, width=width, thresholds=thresholds))

        return method

    def under_cloud(method: Method) -> Method:
        return lambda scene: (method if cloudy(scene) else rule["thresholds"])(scene)

    methods = {
        "network": likeliest(alone),
        BOTH: under_cloud(likeliest(alone)),
        MOVED: under_cloud(moved(alone)),
        BOTH_FILTER: under_cloud(likeliest(with_filter)),
        MOVED_FILTER: under_cloud(moved(with_filter)),
    }
    return {name + ending: method for name, method in methods.items()}


def is_cloudy(scene: TruthScene) -> bool:
    """Tell whether the guard of the default profile sees cloud or shadow in a scene."""
    profile = load_profile(RULES["guarded filter + thresholds"])
    value, state = prepare(scene.rgb, None, profile)
    settle_black(state)
    sums = scene_sums(compare(value, profile), state, profile)
    return bool(filter_facts(class_table(sums, profile))["filter_shadow"])


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
