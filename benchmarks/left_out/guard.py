"""The filter's guard on ice that it did not learn: every family of ice and sky is left out once.

    .venv/bin/python -m benchmarks.left_out.guard --maps ../shared/data/ross-sea          (about 12 minutes)
    .venv/bin/python -m benchmarks.left_out.guard --maps ../shared/data/ross-sea --learn regions-v1.yaml

The guard's weights (labeling/ice/guards) are learnt from all families but one (families.py) and judged on
that one: mean IoU against the truth over the pooled pixels of a family and sky, beside thresholds alone and
the published filter. `--others DIR` judges weights learnt from all families on scenes of yet another
renderer: NAME.tif, and beside each NAME.npz with `truth`; a name says its sky, NUMBER-SKY-…. `--learn FILE`
learns from all families and writes the table.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.left_out.families import SKIES, FamilyScene, family_scenes
from labeling.classes import IceClass
from labeling.files.atomic import replacing
from labeling.grid import Block
from labeling.ice import filter_guard, shadow_cells
from labeling.ice.label import PixelState, SceneTable, compare, finish, label_scene, prepare, settle_black
from labeling.ice.profile import GuardSettings, LabelingProfile, load_profile
from labeling.ice.shadow_cells import NUMBERS, ShadowCells, count_cells, features
from labeling.ice.thinclouds import lookup_table
from training.network.metrics import Matrix, confusion_matrix, empty_matrix, scores

PROFILE: Final = load_profile("polynya")
_STRENGTH: Final = 1e-2
"""Of the weights' squares, beside the loss per pixel."""

_STEPS: Final = 300
"""Of Newton's method at most."""

Weights = dict[str, float]


class Judged(NamedTuple):
    """A scene with all that its guard is learnt from and judged by."""

    family: str
    sky: str
    grid: NDArray[np.int64]
    """Counts of its cells, (rows, columns, COUNTS)."""
    right: NDArray[np.float64]
    wrong: NDArray[np.float64]
    """Pixels of each cell that the filter would lift and that are thick ice in truth, or thin."""
    scene: FamilyScene
    profile: LabelingProfile
    key: NDArray[np.uint8]
    """What the filter found of each pixel, (side, side)."""
    state: NDArray[np.uint8]
    """Its PixelState."""


def judge(scene: FamilyScene, profile: LabelingProfile = PROFILE) -> Judged:
    """Count a scene's cells, and what lifting in each would do."""
    guard = _guard(profile)
    value, state = prepare(scene.rgb, None, profile)
    settle_black(state)
    compared = compare(value, profile)
    whole = Block(0, 0, *state.shape)
    assert compared.seen is not None
    counts = count_cells(compared.seen, state, whole, guard)
    rows, columns = counts[:, :2].max(axis=0) + 1
    grid = counts[:, 2:].reshape(rows, columns, NUMBERS - 2)
    lifted = _lifted(compared.key, state, profile)
    cells = (
        cell_sums(lifted & (scene.truth == code), rows, columns, guard.cell)
        for code in (IceClass.THICK_ICE, IceClass.THIN_ICE)
    )
    return Judged(scene.family, scene.sky, grid, *cells, scene, profile, compared.key, state)


def _guard(profile: LabelingProfile) -> GuardSettings:
    assert profile.guard is not None
    return profile.guard


def liftable(judged: Judged) -> NDArray[np.bool_]:
    """Return the pixels that the filter would lift to thick ice if it might."""
    return _lifted(judged.key, judged.state, judged.profile)


def _lifted(key: NDArray[np.uint8], state: NDArray[np.uint8], profile: LabelingProfile) -> NDArray[np.bool_]:
    return (_filter_table(key, profile)[key] == IceClass.THICK_ICE) & (state == PixelState.SEEN)


def _filter_table(key: NDArray[np.uint8], profile: LabelingProfile) -> NDArray[np.uint8]:
    """Return the class of each key where the filter may do as it likes."""
    assert profile.thin_clouds is not None
    counts = filter_guard.differences(np.bincount(key.ravel(), minlength=256))
    table = lookup_table(counts, profile.thin_clouds, profile.thresholds)
    return filter_guard.guard_table(table, IceClass.THIN_ICE)


def cell_sums(values: NDArray[Any], rows: int, columns: int, side: int) -> NDArray[np.float64]:
    """Return the sum over each cell of values (height, width), f64 (rows, columns)."""
    whole = np.zeros((rows * side, columns * side))
    whole[: values.shape[0], : values.shape[1]] = values
    return whole.reshape(rows, side, columns, side).sum(axis=(1, 3))


Features = Callable[[Judged], dict[str, NDArray[np.float64]]]
"""What the cells of a scene are judged by, each (rows, columns)."""


def counted(judged: Judged) -> dict[str, NDArray[np.float64]]:
    """Return what the guard judges by."""
    return features(judged.grid)


def learn(scenes: list[Judged], features_of: Features = counted) -> Weights:
    """Return the weights that part cells in which lifting is right from others, by logistic regression.

    Every family weighs the same, as pictures and as products, and a cell as much as pixels would be lifted
    in it.
    """
    columns: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    right, wrong = [], []
    pixels: dict[tuple[str, str], float] = defaultdict(float)
    for scene in scenes:
        pixels[scene.family, scene.profile.name] += float((scene.right + scene.wrong).sum())
    for scene in scenes:
        chosen = (scene.right + scene.wrong) > 0
        for name, values in features_of(scene).items():
            columns[name].append(values[chosen])
        right.append(scene.right[chosen] / pixels[scene.family, scene.profile.name])
        wrong.append(scene.wrong[chosen] / pixels[scene.family, scene.profile.name])
    table = np.stack([np.concatenate(parts) for parts in columns.values()], axis=1)
    mean, spread = table.mean(axis=0), table.std(axis=0) + 1e-6
    scaled = np.concatenate([(table - mean) / spread, np.ones((len(table), 1))], axis=1)
    weights = _logistic(scaled, np.concatenate(right), np.concatenate(wrong))
    slopes = weights[:-1] / spread
    found = {name: float(value) for name, value in zip(columns, slopes, strict=True)}
    return found | {"bias": float(weights[-1] - mean @ slopes)}


def _logistic(
    table: NDArray[np.float64], right: NDArray[np.float64], wrong: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weights of least loss, by Newton's method."""
    total = float((right + wrong).sum())
    right, wrong = right / total, wrong / total
    held = np.full(table.shape[1], 2 * _STRENGTH)
    held[-1] = 0
    weights = np.zeros(table.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(table @ weights, -40, 40)))
        slope = table.T @ (wrong * chance - right * (1 - chance)) + held * weights
        curve = (table * ((right + wrong) * chance * (1 - chance))[:, None]).T @ table
        step = np.linalg.solve(curve + np.diag(held + 1e-12), slope)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def cells_of(judged: Judged, weights: Weights) -> ShadowCells:
    """Return what a guard with these weights sees of a scene's cells."""
    rows, columns = judged.grid.shape[:2]
    places = np.mgrid[:rows, :columns].transpose(1, 2, 0)
    counts = np.concatenate([places, judged.grid], axis=-1).reshape(-1, NUMBERS)
    return shadow_cells.shadow_cells(counts, _guard(judged.profile), weights)


def labels_by(judged: Judged, weights: Weights) -> NDArray[np.uint8]:
    """Return the labels of a scene whose guard has these weights."""
    return labels_where(judged, cells_of(judged, weights))


def labels_where(judged: Judged, cells: ShadowCells) -> NDArray[np.uint8]:
    """Return the labels of a scene in whose cells that speaks for shadow."""
    table = SceneTable(_filter_table(judged.key, judged.profile), cells)
    return finish(judged.key, judged.state, table, judged.profile)


def others(folder: Path) -> Iterator[FamilyScene]:
    """Yield scenes of another renderer."""
    for file in sorted(folder.glob("*.tif")):
        with np.load(file.with_suffix(".npz")) as arrays:
            truth = arrays["truth"]
        picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB).transpose(2, 0, 1)
        yield FamilyScene("another renderer", file.stem.split("-")[1], np.ascontiguousarray(picture), truth)


def without_guard(profile: LabelingProfile) -> LabelingProfile:
    """Return a profile whose filter does as it likes."""
    assert profile.thin_clouds is not None
    return profile.model_copy(update={"thin_clouds": profile.thin_clouds.model_copy(update={"guard": None})})


def rules(profile: LabelingProfile) -> dict[str, LabelingProfile]:
    """Return the rules that need no guard, by name: of the same rendering and cut points as a profile."""
    thresholds = profile.model_copy(update={"thin_clouds": None})
    return {"thresholds": thresholds, "published filter": without_guard(profile)}


def _add(found: dict[tuple[str, str, str], Matrix], judged: Judged, weights: Weights) -> None:
    truth = judged.scene.truth
    labels = {
        name: label_scene(judged.scene.rgb, None, profile) for name, profile in rules(judged.profile).items()
    }
    labels["guarded filter"] = labels_by(judged, weights)
    for name, codes in labels.items():
        found[judged.family, judged.sky, name] = found.get(
            (judged.family, judged.sky, name), empty_matrix()
        ) + confusion_matrix(truth, codes)


def table_of(found: dict[tuple[str, str, str], Matrix]) -> Table:
    """Return mean IoU by family and sky, and how far the guarded filter is from the better rule."""
    names = ("thresholds", "published filter", "guarded filter")
    table = Table("left out", "sky", *names, "above the better rule", title="mean IoU", box=MARKDOWN)
    for family in dict.fromkeys(key[0] for key in found):
        for sky in (sky for sky in SKIES if (family, sky, names[0]) in found):
            reached = [scores(found[family, sky, name]).mean_iou for name in names]
            table.add_row(
                family, sky, *(f"{value:.3f}" for value in reached), f"{reached[2] - max(reached[:2]):+.3f}"
            )
    return table


def leave_out(scenes: list[Judged]) -> dict[tuple[str, str, str], Matrix]:
    """Judge every family by what the rest taught."""
    found: dict[tuple[str, str, str], Matrix] = {}
    for family in dict.fromkeys(scene.family for scene in scenes):
        weights = learn([scene for scene in scenes if scene.family != family])
        for scene in scenes:
            if scene.family == family:
                _add(found, scene, weights)
    return found


def write_weights(file: Path, weights: Weights, about: str) -> None:
    """Write a table of weights."""
    content = {"about": about, "weights": {name: round(value, 6) for name, value in weights.items()}}
    with replacing(file) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False, width=110), encoding="utf-8")


def main(arguments: Iterable[str] | None = None) -> None:
    """Learn, judge and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--surfaces", type=int, default=16, help="of each family")
    options.add_argument("--side", type=int, default=1024)
    options.add_argument("--seed", type=int, default=5000)
    options.add_argument("--maps", type=Path, metavar="FOLDER")
    options.add_argument("--others", type=Path, metavar="FOLDER")
    options.add_argument("--learn", type=Path, metavar="FILE")
    given = options.parse_args(None if arguments is None else list(arguments))
    made = family_scenes(side=given.side, surfaces=given.surfaces, seed=given.seed, maps=given.maps)
    scenes = [judge(scene) for scene in made]
    console = Console(width=110)
    if given.learn is None or given.others:
        found = {} if given.learn else leave_out(scenes)
        if given.others:
            weights = learn(scenes)
            for scene in others(given.others):
                _add(found, judge(scene), weights)
        console.print(table_of(found))
    if given.learn:
        families = ", ".join(dict.fromkeys(scene.family for scene in scenes))
        write_weights(given.learn, learn(scenes), f"Learnt from {families} (benchmarks.left_out.guard).")
        console.print(f"weights: {given.learn}")


if __name__ == "__main__":
    main()
