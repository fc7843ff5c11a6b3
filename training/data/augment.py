"""Chips as they are shown in an epoch: turned and mirrored, in other tones, some under a drawn sky.

Ice has no up, so each of the eight ways a square can lie is equally likely. Whatever is done to the picture,
the label keeps saying what the surface is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.chips.skies import brighten, draw_sky
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

_TURNS: Final = (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)
"""OpenCV turns a chip in a tenth of the time that NumPy takes to copy a turned view."""


def augmented(chip: Chip, *, seed: int, epoch: int, index: int, changes: Changes = POSES) -> Chip:
    """Return the chip as it looks in this epoch; depends on the arguments only, not on rank or order."""
    image, label = chip
    if changes.poses:
        pose = int(np.random.default_rng([seed, epoch, index]).integers(8))
        image, label = _posed(image, pose), _posed(label, pose)
    if changes.skies or changes.tones or changes.brightness:
        # Numbers of their own: a chip lies the same way whatever else is done to it.
        image = _repainted(np.random.default_rng([seed, epoch, index, 1]), image, changes)
    return Chip(image, label)


def warm() -> None:
    """Draw on a chip until every compiled loop has run: an image is made with them in it."""
    chip = Chip(np.full((64, 64, 3), 200, np.uint8), np.zeros((64, 64), np.uint8))
    changes = Changes(skies=1.0, tones=1.0, cuts=CutPoints(30, 204))
    for index in range(20):  # half of the tones wander
        augmented(chip, seed=0, epoch=1, index=index, changes=changes)


def _repainted(rng: np.random.Generator, image: NDArray[np.uint8], changes: Changes) -> NDArray[np.uint8]:
    toned, sky, gain = rng.random(), rng.random(), rng.uniform(-1.0, 1.0)
    if toned < changes.tones and changes.cuts is not None:
        image = draw_tones(rng, image, changes.cuts)
    if changes.brightness:
        image = brighten(image, 1.0 + changes.brightness * gain)
    if sky >= changes.skies:
        return image
    return draw_sky(rng, image, changes.cuts.thin_ice_max) if changes.cuts else draw_sky(rng, image)


def _posed(picture: NDArray[np.uint8], pose: int) -> NDArray[np.uint8]:
    """Turn a picture by quarters, `pose % 4` of them to the left, and from 4 on put its rows upside down."""
    turned = picture if pose % 4 == 0 else np.asarray(cv2.rotate(picture, _TURNS[pose % 4 - 1]), np.uint8)
    return turned if pose < 4 else np.asarray(cv2.flip(turned, 0), np.uint8)
