"""Does a network that was trained under drawn skies beat the threshold rule and the filter under real truth?

    .venv/bin/python -m benchmarks.beat_the_rule --out beat                       # about an hour on two cores
    .venv/bin/python -m benchmarks.beat_the_rule --out beat --seeds 1 --scenes 12 --side 512 --epochs 4

Simulates clear scenes, with --plates some of another kind of ice, labels them by the thresholds (jobs.label
--profile polynya-clear), trains a network a seed (jobs.train), and holds networks, rule and filter against
the truth of other scenes (truth_scenes.py), by stratum. What is there is not done again: stop it at any time
and start it anew. Writes OUT/beat_the_rule.json and OUT/beat_the_rule.md, after every seed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.beat_tables import Counts, add, read_counts, report, write_counts
from benchmarks.plates import plate_picture
from benchmarks.truth_scenes import TruthScene, truth_scenes
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
from labeling.raster import replacing, write_json
from labeling.simulate import SceneSpec, write_scene

ROOT: Final = Path(__file__).parents[1]
CONFIG: Final = ROOT / "jobs/conf/train-skies.yaml"

FREE: Final = ("out", "seeds", "threads")
"""Options that do not decide a figure."""

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

Method = Callable[[TruthScene], NDArray[np.uint8]]
"""Takes a scene, returns class codes (height, width)."""


def training_specs(count: int, *, side: int, seed: int) -> list[SceneSpec]:
    """Return clear scenes from nearly closed thick ice to mostly thin ice and water: variety decides."""
    rng = np.random.default_rng(seed)
    return [
        SceneSpec(
            scene_id=f"clear-{number:03d}",
            height=side,
            width=side,
            seed=seed * 1000 + number,
            ice_cover=round(float(rng.uniform(0.5, 0.99)), 3),
            thin_share=round(float(0.03 + 0.7 * rng.random() ** 1.3), 3),
        )
        for number in range(count)
    ]


def make_chips(given: argparse.Namespace) -> Path:
    """Draw and label the training scenes as far as that is not done; return the chips folder."""
    scenes, plates = given.out / "scenes", round(given.plates * given.scenes)
    scenes.mkdir(parents=True, exist_ok=True)
    for spec in training_specs(given.scenes - plates, side=given.side, seed=given.scene_seed):
        if not (scenes / f"{spec.scene_id}.tif").exists():
            write_scene(scenes, spec)
    for number in range(plates):
        if not (file := scenes / f"plates-{number:03d}.png").exists():
            with replacing(file) as temporary:
                cv2.imwrite(str(temporary), plate_picture([given.scene_seed, number], given.side)[..., ::-1])
    config = given.out / "label.yaml"
    config.write_text(
        f"profile: {RULES['thresholds']}\noutputs: [labels, chips]\n"
        f"chips: {{size: {given.chip_size}, val_share: 0.06, test_share: 0.02}}\n"
    )
    _job("label", "--config", config, "--scenes", scenes, "--out", given.out)
    return Path(given.out / "chips")


def train(given: argparse.Namespace, chips: Path, seed: int) -> Path:
    """Train the network of a seed as far as that is not done; return the model folder."""
    model = given.out / f"model-{seed}"
    if not (model / "model.json").exists():
        flags = ["--resume"] if (model / "checkpoints").is_dir() else []
        for key in ("epochs", "threads"):
            if getattr(given, key) is not None:
                flags += [f"--{key}", str(getattr(given, key))]
        _job("train", "--config", given.config, "--chips", chips, "--out", model, "--seed", seed, *flags)
    return Path(model)


def network(model: Path, threads: int | None) -> Method:
    """Return a trained network as a method; it is given each scene whole."""
    from training.predict import Predictor  # here: TensorFlow takes seconds to load

    predictor = Predictor.load(model, batch=1, threads=threads)

    def classes(scene: TruthScene) -> NDArray[np.uint8]:
        picture = np.ascontiguousarray(scene.rgb.transpose(1, 2, 0))[None]
        return predictor.predict(picture)[0].argmax(axis=-1).astype(np.uint8)

    return classes


def networks(model: Path, threads: int | None) -> dict[str, Method]:
    """Return the methods that need a trained network, by name."""
    alone, thresholds = _kept(network(model, threads)), rules()["thresholds"]
    return {"network": alone, BOTH: lambda scene: (alone if is_cloudy(scene) else thresholds)(scene)}


def is_cloudy(scene: TruthScene) -> bool:
    """Tell whether the guard of the default profile sees cloud or shadow in a scene."""
    profile = load_profile(RULES["guarded filter + thresholds"])
    value, state = prepare(scene.rgb, None, profile)
    settle_black(state)
    sums = scene_sums(compare(value, profile), state, profile)
    return bool(filter_facts(sums, class_table(sums, profile))["filter_shadow"])


def _kept(method: Method) -> Method:
    """Return a method that remembers what it found in the last scene."""
    last: list[tuple[TruthScene, NDArray[np.uint8]]] = []

    def found(scene: TruthScene) -> NDArray[np.uint8]:
        if not last or last[0][0] is not scene:
            last[:] = [(scene, method(scene))]
        return last[0][1]

    return found


def rules() -> dict[str, Method]:
    """Return the methods that need no training, by name."""

    def method(profile: LabelingProfile) -> Method:
        return lambda scene: label_scene(scene.rgb, None, profile)

    found = {name: method(load_profile(profile)) for name, profile in RULES.items()}
    clear = load_profile(RULES["thresholds"])
    return found | {TAUGHT: lambda scene: label_scene(scene.clear, None, clear)}


def count(given: argparse.Namespace, file: Path, methods: Callable[[], dict[str, Method]]) -> Counts:
    """Return the confusion matrices of methods over the test scenes, from `file` when they are there."""
    if not file.exists():
        counts: Counts = {}
        chosen = methods()
        for scene in truth_scenes(
            side=given.side, surfaces=given.surfaces, seed=given.test_seed, maps=given.maps
        ):
            for name, method in chosen.items():
                add(counts, name, scene, method(scene))
        write_counts(file, counts)
    return read_counts(file)


def run(given: argparse.Namespace) -> None:
    """Do all that is missing and write the tables, after every seed."""
    given.out.mkdir(parents=True, exist_ok=True)
    settings = same_experiment(given)
    counts = {"rules": count(given, given.out / "counts-rules.json", rules)}
    chips = make_chips(given)
    for seed in range(given.seeds):
        model = train(given, chips, seed)
        file = given.out / f"counts-{seed}.json"
        methods = partial(networks, model, given.threads)
        counts[f"seed {seed}"] = count(given, file, methods)
        print(report(given.out, counts, settings), flush=True)


def same_experiment(given: argparse.Namespace) -> dict[str, Any]:
    """Return what decides the figures; SystemExit where the folder holds figures of something else."""
    chosen = {key: value for key, value in vars(given).items() if key not in FREE}
    settings = json.loads(json.dumps(chosen, default=str)) | {"training": given.config.read_text()}
    file = given.out / "settings.json"
    before = json.loads(file.read_text()) if file.exists() else settings
    if before != settings:
        changed = [key for key in settings if before.get(key) != settings[key]]
        raise SystemExit(
            f"{given.out} holds this experiment with another {', '.join(changed)}: name another --out"
        )
    write_json(file, settings)
    return settings


def _job(name: str, *flags: object) -> None:
    command = [sys.executable, "-m", f"jobs.{name}", *map(str, flags)]
    quiet = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run(command, check=True, env=quiet)


def main() -> None:
    """Run the experiment as the command line says."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--out", type=Path, required=True, help="folder for everything")
    options.add_argument("--config", type=Path, default=CONFIG, help="training configuration")
    options.add_argument("--seeds", type=int, default=3, help="networks to train, seeds 0, 1 …")
    options.add_argument("--epochs", type=int, help="instead of the configuration's")
    options.add_argument("--threads", type=int, help="CPU threads; default: the configuration's")
    options.add_argument("--scenes", type=int, default=48, help="clear scenes to train on")
    options.add_argument("--plates", type=float, default=0.0, help="share of them with plates for floes")
    options.add_argument("--surfaces", type=int, default=12, help="test surfaces a family")
    options.add_argument("--side", type=int, default=1024, help="of every scene, pixels")
    options.add_argument("--chip-size", type=int, default=256, help="pixels")
    options.add_argument("--scene-seed", type=int, default=900, help="of the training scenes")
    options.add_argument("--test-seed", type=int, default=2024, help="of the test scenes")
    options.add_argument("--maps", type=Path, help="folder with the published label maps of the Ross Sea")
    run(options.parse_args())


if __name__ == "__main__":
    main()
