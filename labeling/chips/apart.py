"""Blocks of scenes for each split, such that splits keep apart on the ground, whichever scene shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.chips.ground import Ground, covered
from labeling.chips.splits import choose_regions


class Survey(NamedTuple):
    """What is known of a scene before its chips are cut."""

    ground: Ground | None
    """None where the scene does not say where it lies: then nobody can tell what it shares with others."""
    size: int
    """Side of a chip, pixels."""
    fractions: NDArray[np.float64]
    """Class fractions of each chip of the scene's grid of chips, (rows, columns, 3)."""
    usable: NDArray[np.bool_]
    """Which chips may be used, (rows, columns)."""

    def chips(self, reach: int = 0) -> list[Ground]:
        """Return the ground of every chip of the grid, row by row, each grown by `reach` pixels."""
        if self.ground is None:
            return []
        cells = np.ndindex(*self.usable.shape)
        return [
            self.ground.part(row * self.size, column * self.size, self.size, reach) for row, column in cells
        ]


def split_scenes(surveys: Sequence[Survey], *, val_share: float, test_share: float) -> list[NDArray[np.str_]]:
    """Assign the chips of scenes to splits that keep at least one chip apart, on the ground of all scenes.

    The scene with most usable chips comes first and is split as `split_cells` says. A scene that shows ground
    of earlier ones follows them: its chips test where theirs do, and train where they are a chip away from
    all that tests or validates. Then whatever lies too near is left out of training before it is left out of
    the others. Returns (rows, columns) of "train", "val", "test" or "" (left free) for each scene.
    """
    regions: list[NDArray[np.str_]] = [np.full(each.usable.shape, "", "U5") for each in surveys]
    order = sorted(range(len(surveys)), key=lambda index: (-int(surveys[index].usable.sum()), index))
    done: list[int] = []
    for index in order:
        survey = surveys[index]
        if _is_new(survey, [surveys[i] for i in done]):
            regions[index] = choose_regions(
                survey.fractions, survey.usable, val_share=val_share, test_share=test_share
            )
        else:
            regions[index] = _followed(survey, [(surveys[i], regions[i]) for i in done])
        done.append(index)
    chosen = [np.where(each.usable, region, "") for each, region in zip(surveys, regions, strict=True)]
    for late, early in (("val", ("test",)), ("train", ("test", "val"))):
        held = list(zip(surveys, chosen, strict=True))
        near = [part for name in early for part in _of(held, name, grown=True)]
        for survey, cells in held:
            _leave_out(survey, cells, late, near)
    return chosen


def _is_new(survey: Survey, earlier: Iterable[Survey]) -> bool:
    grounds = [each.ground for each in earlier if each.ground is not None]
    return survey.ground is None or not covered([survey.ground], grounds).any()


Held = tuple[Survey, NDArray[np.str_]]


def _followed(survey: Survey, earlier: Sequence[Held]) -> NDArray[np.str_]:
    """Return the regions of a scene that shows ground of earlier ones."""
    chips, shape = survey.chips(), survey.usable.shape
    on = {name: covered(chips, _of(earlier, name)).reshape(shape) for name in ("train", "val", "test")}
    near = [part for name in ("val", "test") for part in _of(earlier, name, grown=True)]
    regions = np.where(covered(chips, near).reshape(shape), "", "train").astype("U5")
    regions[on["test"] & ~on["val"] & ~on["train"]] = "test"
    regions[on["val"] & ~on["test"] & ~on["train"]] = "val"
    return regions


def _of(held: Iterable[Held], name: str, *, grown: bool = False) -> list[Ground]:
    """Return the ground of all chips of a split, grown by a chip's side where asked."""
    return [
        chip
        for survey, cells in held
        for chip, split in zip(survey.chips(survey.size if grown else 0), cells.ravel(), strict=False)
        if split == name
    ]


def _leave_out(survey: Survey, cells: NDArray[np.str_], name: str, near: list[Ground]) -> None:
    """Free the chips of a split that share ground with `near`, in place."""
    if survey.ground is not None and near:
        cells[(cells == name) & covered(survey.chips(), near).reshape(cells.shape)] = ""
