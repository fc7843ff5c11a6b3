"""Thresholds moved by network and filter, on a worker: opinions window by window, cuts of the whole scene."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labeling.errors import SceneError
from labeling.files.layout import read_done
from labeling.files.storage import AnyPath
from labeling.grid import Block
from labeling.ice.moved_cuts import Opinion, cut, opinion, scene_cuts, weigh_lifts
from labeling.ice.profile import ThresholdSettings
from labeling.ice.thresholds import brightness
from labeling.stages.planes import Planes

_VALUE, _CLASS, _SURENESS = "value", "class", "sureness"


def thresholds_of(labels: AnyPath) -> ThresholdSettings:
    """Return the thresholds that finished labels, in this folder, were made with."""
    done = read_done(labels)
    if done is None:
        raise SceneError(f"the labels in {labels} were there and are gone: label the scene again")
    return ThresholdSettings(**done["inputs"]["profile"]["thresholds"])


def keep_opinion(
    planes: Planes,
    core: Block,
    rgb: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    labels: NDArray[np.uint8],
    thresholds: ThresholdSettings,
) -> None:
    """Keep what the network says of a core's pixels, weighed with what the filter did to their labels.

    rgb u8 (3, height, width), probabilities f32 (height, width, 3), labels u8 (height, width).
    """
    value = brightness(rgb)
    said = opinion(value, weigh_lifts(probabilities, value, labels, thresholds))
    for layer, values in zip((_VALUE, _CLASS, _SURENESS), said, strict=True):
        planes.put(layer, core, values)


def cut_classes(
    planes: Planes, ignored: NDArray[np.bool_], thresholds: ThresholdSettings
) -> Callable[[Block], NDArray[np.uint8]]:
    """Return what gives any block of a scene its classes, u8, by the cuts that the scene's opinions move.

    `ignored`, bool (height, width), are pixels that move no cut.
    """

    def read(part: Block) -> Opinion:
        value, classes, sureness = (planes.get(layer, part) for layer in (_VALUE, _CLASS, _SURENESS))
        return Opinion(value, classes, np.where(ignored[part.slices], 0, sureness).astype(np.uint8))

    height, width = ignored.shape
    cuts = scene_cuts(read, height=height, width=width, thresholds=thresholds)
    return lambda block: cut(planes.get(_VALUE, block), cuts, block.row, block.column)
