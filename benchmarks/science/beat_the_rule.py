"""Does a network that was trained under drawn skies beat the threshold rule and the filter under real truth?

    .venv/bin/python -m benchmarks.science.beat_the_rule --out beat      # about an hour on two cores
    .venv/bin/python -m benchmarks.science.beat_the_rule --out beat --seeds 1 --scenes 12 --side 512 \\
        --epochs 4
    .venv/bin/python -m benchmarks.science.beat_the_rule --out tuned --start beat --scenes 64 --plates 0.25 \\
        --config jobs/conf/tune-skies.yaml

Simulates clear scenes, with --plates some of another kind of ice, labels them by the thresholds (jobs.label
--profile polynya-clear), trains a network a seed (jobs.train), and holds networks, rule and filter against
the truth of other scenes (truth_scenes.py), by stratum; so too what rule and network make together
(labeling/ice/moved_cuts.py), and the mean of all networks. With --start its networks begin with those of
another experiment, seed by seed. What is there is not done again: stop it at any time and start it anew.
Writes OUT/beat_the_rule.json and OUT/beat_the_rule.md, after every seed.
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

from benchmarks.science.methods import AVERAGED, RULES, Method, networks, rules
from benchmarks.science.plates import plate_picture
from benchmarks.science.tables import Counts, add, read_counts, report, write_counts
from benchmarks.science.truth_scenes import truth_scenes
from labeling.files.atomic import replacing, write_json
from labeling.simulation.scene import SceneSpec, write_scene

ROOT: Final = Path(__file__).parents[2]
CONFIG: Final = ROOT / "jobs/conf/train-skies.yaml"

FREE: Final = ("out", "seeds", "threads")
"""Options that do not decide a figure."""


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
        if given.start is not None:
            flags += ["--start", str(given.start / f"model-{seed}")]
        for key in ("epochs", "threads"):
            if getattr(given, key) is not None:
                flags += [f"--{key}", str(getattr(given, key))]
        _job("train", "--config", given.config, "--chips", chips, "--out", model, "--seed", seed, *flags)
    return Path(model)


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
    models = []
    for seed in range(given.seeds):
        models.append(train(given, chips, seed))
        methods = partial(networks, models[-1:], given.threads)
        counts[f"seed {seed}"] = count(given, given.out / f"counts-{seed}.json", methods)
        print(report(given.out, counts, settings), flush=True)
    if len(models) > 1:
        methods = partial(networks, models, given.threads, AVERAGED)
        counts["averaged"] = count(given, given.out / f"counts-mean-of-{given.seeds}.json", methods)
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
    options.add_argument("--start", type=Path, help="--out of an experiment whose networks these begin with")
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
