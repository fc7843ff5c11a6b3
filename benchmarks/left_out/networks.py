"""Maps by network and labels on ice that neither learnt: every family of ice and sky is left out once.

    .venv/bin/python -m benchmarks.left_out.networks --out LEFT --maps ../shared/data/ross-sea
    .venv/bin/python -m benchmarks.left_out.networks --out SMALL --families plates --side 512 --scenes 1 \\
        --surfaces 1 --epochs 1                                              (half a minute; in the tests)

The first takes some two hours on two cores. A network is trained (jobs.label, jobs.train) on clear scenes of
all families but one (families.py), the guard's weights are learnt on cloudy ones of the same families, and
both are judged on the family left out: mean IoU against the truth. The map is that of jobs.infer
(pipelines/cuts_worker.py), and the share that a network may contradict is chosen on the other families. With
--products the scenes are L1C products under several suns (products.py), for weights too. With
--others DIR, scenes of another renderer as in left_out.py, by a network and weights that learnt all families.
What is there is not done again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.left_out.families import SKIES, FamilyScene, family_scenes, family_surfaces
from benchmarks.left_out.guard import (
    Judged,
    Weights,
    cells_of,
    judge,
    labels_by,
    learn,
    others,
    rules,
)
from benchmarks.left_out.products import clear_product, products
from labeling.grid import Block
from labeling.ice.label import class_fractions, label_scene
from labeling.simulation.product import write_simulated
from labeling.stages.planes import MemoryPlanes
from pipelines.config import InferConfig
from pipelines.cuts_worker import Evidence, checked_map, is_clear, keep_opinion
from training.network.metrics import Matrix, confusion_matrix, empty_matrix, scores

ROOT: Final = Path(__file__).parents[2]
CONFIG: Final = ROOT / "jobs/conf/train-skies.yaml"
ALL: Final = "another renderer"
"""Stands for the family that is left out where none is."""

LIMITS: Final = (0.03, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 1.0)
"""Shares that a network may contradict, of which one is chosen."""

SHIPPED: Final = InferConfig.model_fields["contradicted"].default
"""That of jobs.infer."""

_RULES: Final = ("thresholds", "published filter", "labels")
_TRAINING_SEED: Final = 7100

Counts = dict[tuple[str, str], Matrix]
"""By sky and method."""


class Answer(NamedTuple):
    """Whether a network was used for a scene, and what it would have gained."""

    sky: str
    used: bool
    gain: float


class Opinions(NamedTuple):
    """A test scene with what a network says of it."""

    judged: Judged
    probabilities: NDArray[np.float32]


def write_clear_scenes(given: argparse.Namespace) -> Path:
    """Write the clear training scenes of every family, unless all are there; return their folder."""
    folder = Path(given.out) / "scenes"
    if (written := folder / "all-written").exists():
        return folder
    made = family_surfaces(side=given.side, surfaces=given.scenes, seed=_TRAINING_SEED, maps=given.maps)
    for family, number, _, drawn in made:
        home, name = folder / family, f"{family}-{number:02d}"
        home.mkdir(parents=True, exist_ok=True)
        if given.products:
            write_simulated(home, *clear_product(name, number, drawn))
        else:
            cv2.imwrite(str(home / f"{name}.png"), drawn.rgb.transpose(1, 2, 0)[..., ::-1])
    written.touch()
    return folder


def train_without(given: argparse.Namespace, family: str) -> Path:
    """Label and cut the clear scenes of all other families and train on them; return the model folder."""
    out = Path(given.out) / f"without-{family.replace(' ', '-')}"
    model = out / "model"
    if not (model / "model.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        scenes = write_clear_scenes(given)
        folders = [folder for folder in sorted(scenes.iterdir()) if folder.is_dir() and folder.name != family]
        config = out / "label.yaml"
        config.write_text(
            f"profile: polynya-clear{'-l1c' if given.products else ''}\noutputs: [labels, chips]\n"
            "chips: {size: 256, val_share: 0.04, test_share: 0.02}\n"
        )
        _job("label", "--config", config, "--out", out, "--scenes", *folders)
        flags = ["--resume"] if (model / "checkpoints").is_dir() else []
        flags += ["--epochs", str(given.epochs)] if given.epochs else []
        _job("train", "--config", CONFIG, "--chips", out / "chips", "--out", model, "--threads", 1, *flags)
    return model


def opinions(scenes: Iterable[Judged], model: Path) -> list[Opinions]:
    """Return what a network says of scenes, each given whole."""
    from training.predict import Predictor  # here: TensorFlow takes seconds to load

    predictor = Predictor.load(model, batch=1)
    return [
        Opinions(scene, predictor.predict(np.ascontiguousarray(scene.scene.rgb.transpose(1, 2, 0))[None])[0])
        for scene in scenes
    ]


def count(scenes: Iterable[Opinions], weights: Weights) -> tuple[Counts, list[Answer]]:
    """Return confusion matrices of rules, network and the map at every limit, and what was answered."""
    found: Counts = {}
    answers = []
    for judged, probabilities in scenes:
        rgb, truth = judged.scene.rgb, judged.scene.truth
        named = {name: label_scene(rgb, None, rule) for name, rule in rules(judged.profile).items()}
        labels = named["labels"] = labels_by(judged, weights)
        named["network"] = probabilities.argmax(axis=-1).astype(np.uint8)
        matrices = {name: confusion_matrix(truth, codes) for name, codes in named.items()}
        made = _map(judged, probabilities, labels, weights)
        if made is not None:
            mapped = confusion_matrix(truth, made.codes)
            gained = scores(mapped).mean_iou - scores(matrices["labels"]).mean_iou
            answers.append(Answer(judged.sky, made.used(SHIPPED), gained))
        for limit in LIMITS:
            matrices[str(limit)] = mapped if made and made.used(limit) else matrices["labels"]
        for name, matrix in matrices.items():
            found[judged.sky, name] = found.get((judged.sky, name), empty_matrix()) + matrix
    return found, answers


class Mapped(NamedTuple):
    """The map of a scene in which the network is asked."""

    codes: NDArray[np.uint8]
    """Its classes where the network is used."""
    always: bool
    """Whether it is used whatever it contradicts."""
    contradicts: float

    def used(self, limit: float) -> bool:
        """Tell whether the network is used at a limit."""
        return self.always or self.contradicts <= limit


def _map(
    judged: Judged, probabilities: NDArray[np.float32], labels: NDArray[np.uint8], weights: Weights
) -> Mapped | None:
    """Return the map of a scene; None where the network is not asked."""
    cells = cells_of(judged, weights)
    if is_clear(cells.soft_area, class_fractions(labels)[-1]):
        return None
    whole = Block(0, 0, *labels.shape)
    planes = MemoryPlanes(height=whole.height, width=whole.width)
    keep_opinion(planes, whole, judged.scene.rgb, probabilities, labels, judged.profile.thresholds)
    evidence, nothing = Evidence.of(judged.profile, cells.softness), np.zeros(labels.shape, np.bool_)
    most, least = (checked_map(planes, [whole], nothing, evidence, limit) for limit in (1.0, 0.0))
    return Mapped(most.classes(whole), least.used, most.facts["network_contradicts"])


def table_of_answers(answers: list[Answer]) -> Table:
    """Return how often the check is wrong, either way; gains are over the labels, in a scene's mean IoU."""
    columns = ("asked", "used", "used, and worse by 0.01", "not used", "not used, and better by 0.01")
    table = Table("sky", *columns, title=f"scenes; a network may contradict {SHIPPED:.0%}", box=MARKDOWN)
    for sky in SKIES:
        gains = {used: [a.gain for a in answers if a.sky == sky and a.used == used] for used in (True, False)}
        worse = sum(one < -0.01 for one in gains[True])
        missed = sum(one > 0.01 for one in gains[False])
        numbers = (len(gains[True]) + len(gains[False]), len(gains[True]), worse, len(gains[False]), missed)
        table.add_row(sky, *map(str, numbers))
    return table


def _iou(matrix: Matrix) -> float:
    return scores(matrix).mean_iou


def gain(counts: Counts, sky: str, name: str) -> float:
    """Return how far a method is above the better of thresholds and published filter, in mean IoU."""
    return _iou(counts[sky, name]) - max(_iou(counts[sky, rule]) for rule in _RULES[:2])


def chosen_limit(counts: dict[str, Counts], without: str) -> float:
    """Return the limit that gains most on all families but one; the shipped one where there are no others."""
    if not counts.keys() - {without}:
        return float(SHIPPED)

    def gained(limit: float) -> float:
        return float(
            np.mean(
                [
                    gain(found, sky, str(limit))
                    for family, found in counts.items()
                    if family != without
                    for sky in SKIES
                ]
            )
        )

    return max(LIMITS, key=gained)


def table_of(counts: dict[str, Counts]) -> Table:
    """Return mean IoU by family and sky; the map's limit was chosen on the other families."""
    last = ("network alone", "map", "map above the better rule", "may contradict")
    table = Table("left out", "sky", *_RULES, *last, title="mean IoU", box=MARKDOWN)
    families = {family: found for family, found in counts.items() if family != ALL}
    gains: dict[str, list[float]] = {sky: [] for sky in SKIES}
    for family, found in counts.items():
        limit = chosen_limit(families, family)
        for sky in SKIES:
            over = gain(found, sky, str(limit))
            if family != ALL:
                gains[sky].append(over)
            names = (*_RULES, "network", str(limit))
            table.add_row(
                family,
                sky,
                *(f"{_iou(found[sky, name]):.3f}" for name in names),
                f"{over:+.3f}",
                f"{limit:.0%}",
            )
    for sky, values in gains.items():
        table.add_row("mean of families", sky, *[""] * 5, f"{np.mean(values):+.3f}", "")
    return table


def _job(name: str, *flags: object) -> None:
    command = [sys.executable, "-m", f"jobs.{name}", *map(str, flags)]
    quiet = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run(command, check=True, env=quiet)


def main(arguments: Iterable[str] | None = None) -> None:
    """Train, judge and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--out", type=Path, required=True, help="folder for everything")
    options.add_argument("--scenes", type=int, default=12, help="clear training scenes of each family")
    options.add_argument("--surfaces", type=int, default=8, help="test surfaces of each family")
    options.add_argument("--products", action="store_true", help="L1C products under several suns instead")
    options.add_argument(
        "--side", type=int, help="pixels of all scenes (1024; products: 1056, divisible by 48)"
    )
    options.add_argument("--epochs", type=int, help="instead of the configuration's")
    options.add_argument("--families", nargs="+", help="those to leave out; default: each")
    options.add_argument("--maps", type=Path, metavar="FOLDER")
    options.add_argument("--others", type=Path, metavar="FOLDER")
    given = options.parse_args(None if arguments is None else list(arguments))
    given.side = given.side or (1056 if given.products else 1024)
    tests = family_scenes(side=given.side, surfaces=given.surfaces, seed=5000, maps=given.maps)
    scenes = [judge(scene) for scene in tests]
    families = given.families or list(dict.fromkeys(scene.family for scene in scenes))
    judged = scenes
    if given.products:
        made = products(side=given.side, surfaces=given.surfaces, maps=given.maps)
        judged = [product.judged for product in made]
    counts: dict[str, Counts] = {}
    answers: list[Answer] = []
    for family in families:
        model = train_without(given, family)
        known = [scene for scene in (*scenes, *(judged if given.products else ())) if scene.family != family]
        weights = learn(known)
        left_out = opinions([scene for scene in judged if scene.family == family], model)
        counts[family], answered = count(left_out, weights)
        answers += answered
        print(f"{family}: judged", flush=True)
    if given.others:
        foreign: list[FamilyScene] = list(others(given.others))
        counts[ALL], _ = count(opinions(map(judge, foreign), train_without(given, ALL)), learn(scenes))
    console = Console(width=150)
    console.print(table_of(counts))
    console.print(table_of_answers(answers))


if __name__ == "__main__":
    main()
