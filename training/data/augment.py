"""Chips as they are shown in an epoch: turned and mirrored, in other tones, some under a drawn sky.

Ice has no up, so each of the eight ways a square can lie is equally likely. Whatever is done to the picture,
the label keeps saying what the surface is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.chips.skies import THICK, brighten, draw_sky
from labeling.chips.tones import CutPoints, draw_tones
from training.data.store import Chip


class Changes(NamedTuple):
    """What may be done to a chip."""

    poses: bool = True
    """Turn and mirror it."""
    skies: float = 0.0
    """Share of the chips that get a sky of random cloud and shadow, 0..1."""
    tones: float = 0.0
    """Share of the chips whose brightness is drawn anew within the ranges of their classes, 0..1."""
    brightness: float = 0.0
    """Largest relative change of the brightness."""
    cuts: CutPoints | None = None
    """The chips' cut points, for `tones` and for the brightness of clouds."""


POSES = Changes()


class _Pose(NamedTuple):
    transposed: bool
    flipped: int | None
    """By cv2.flip afterwards: 0 upside down, 1 left to right, -1 both."""


_POSES: Final = (
    *(_Pose(False, None), _Pose(True, 0), _Pose(False, -1), _Pose(True, 1)),  # turned to the left by quarters
    *(_Pose(False, 0), _Pose(True, None), _Pose(False, 1), _Pose(True, -1)),  # and then upside down
)


def augmented(
    chip: Chip, *, seed: int, epoch: int, index: int, changes: Changes = POSES, out: Chip | None = None
) -> Chip:
    """Return the chip as it looks in this epoch, in the arrays of `out` if given.

    It depends on chip, seed, epoch, index and changes only, not on rank or order.
    """
    shown = out or Chip(np.empty_like(chip.image), np.empty_like(chip.label))
    rng = np.random.default_rng([seed, epoch, index])
    # Drawn first: a chip lies the same way whatever else is done to it.
    pose = _POSES[int(rng.integers(8))] if changes.poses else _POSES[0]
    image = chip.image
    if changes.skies or changes.tones or changes.brightness:
        image = _repainted(rng, image, changes)
    _lay(image, pose, shown.image)
    _lay(chip.label, pose, shown.label)
    return shown


def warm() -> None:
    """Draw on a chip until every compiled loop has run: an image is made with them in it."""
    chip = Chip(np.full((64, 64, 3), 200, np.uint8), np.zeros((64, 64), np.uint8))
    changes = Changes(skies=1.0, tones=1.0, brightness=0.1, cuts=CutPoints(30, 204))
    for index in range(20):  # half of the tones wander
        augmented(chip, seed=0, epoch=1, index=index, changes=changes)


def _repainted(rng: np.random.Generator, image: NDArray[np.uint8], changes: Changes) -> NDArray[np.uint8]:
    bands = np.empty((3, *image.shape[:2]), np.uint8)
    cv2.split(image, [*bands])  # told where to put them OpenCV takes a third of the time
    toned, sky, gain = rng.random(3).tolist()
    if toned < changes.tones and changes.cuts is not None:
        draw_tones(rng, bands, changes.cuts)
    if changes.brightness:
        brighten(bands, 1.0 + changes.brightness * (2 * gain - 1))
    if sky < changes.skies:
        draw_sky(rng, bands, changes.cuts.thin_ice_max if changes.cuts else THICK)
    return np.asarray(cv2.merge([*bands]), np.uint8)


def _lay(picture: NDArray[np.uint8], pose: _Pose, into: NDArray[np.uint8]) -> None:
    """Put a picture that lies another way into an array; OpenCV takes a tenth of NumPy's time."""
    if pose.transposed:
        cv2.transpose(picture, into)
    if pose.flipped is not None:
        cv2.flip(into if pose.transposed else picture, pose.flipped, into)
    elif not pose.transposed:
        np.copyto(into, picture)
