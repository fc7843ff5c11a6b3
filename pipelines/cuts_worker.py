"""Maps from labels, network and filter together, on a worker: opinions by block, then the whole scene.

The labels are the map but where edges are soft: there is cloud or shadow, and thresholds that network and
filter move draw it. Elsewhere the moved thresholds are held against the labels, and a network that
contradicts them is not used; unless most of it says snow in shadow, as under one cloud without an edge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import IGNORE, IceClass
from labeling.doubt import Doubt
from labeling.errors import SceneError
from labeling.files.layout import read_done
from labeling.files.storage import AnyPath
from labeling.grid import Block
from labeling.ice.moved_cuts import Opinion, cut, opinion, scene_cuts, weigh_lifts
from labeling.ice.profile import GuardSettings, LabelingProfile, ThresholdSettings
from labeling.ice.shadow_cells import soft_pixels
from labeling.ice.thresholds import brightness
from labeling.results.shadow import read_softness
from labeling.scenes.contract.scene import SceneInfo
from labeling.stages.planes import Planes

_LEAST_CHECKED: Final = 0.02
"""Share of a scene's pixels that must be without evidence for a contradiction to say something."""

_MOST_LIFTED: Final = 0.5
"""Share of the labels without evidence from which on thin ice that the network calls thick lies in shadow.

Networks that do not know the ice of a clear scene lift far less of it (docs/science.md).
"""

_LEAST_THICK: Final = 0.02
"""Share of thick ice under which labels without evidence may lie under one cloud over all."""

_LABEL, _VALUE, _CLASS, _SURENESS = "label", "value", "class", "sureness"


class Evidence(NamedTuple):
    """What a scene's labels were made by, and where they show anything of cloud or shadow."""

    thresholds: ThresholdSettings
    guard: GuardSettings
    softness: NDArray[np.float32]
    """(rows, columns): share of the edges around a cell that are soft, which those of ice are not."""

    @classmethod
    def of(cls, profile: LabelingProfile, softness: NDArray[np.float32]) -> Evidence:
        """Return what the share of soft edges around cells, (rows, columns), shows."""
        if profile.guard is None:
            raise ValueError(f"profile {profile.name} has no guard")
        return cls(profile.thresholds, profile.guard, softness)

    def speaks(self, block: Block) -> NDArray[np.bool_]:
        """Return where in a block it speaks for cloud or shadow, bool (height, width)."""
        return soft_pixels(self.softness, block, self.guard)


class CheckedMap(NamedTuple):
    """A map of a whole scene."""

    used: bool
    """Whether the network is."""
    facts: dict[str, float]
    """Shares of the scene's pixels, for its metadata."""
    doubts: list[Doubt]
    classes: Callable[[Block], NDArray[np.uint8]]
    """Gives a block its class codes, u8."""
    drawn: Callable[[Block], NDArray[np.bool_]]
    """Says where the network had a say in them."""


def is_clear(soft_area: float, thick: float) -> bool:
    """Tell whether a scene is clear without a look by the network.

    `soft_area` is the share of its cells around which edges are soft, `thick` the share of thick ice in its
    labels: a shadow over all has no edge, but leaves none.
    """
    return not soft_area and thick >= _LEAST_THICK


def profile_of(labels: AnyPath) -> LabelingProfile:
    """Return the profile that finished labels, in this folder, were made with."""
    done = read_done(labels)
    if done is None:
        raise SceneError(f"the labels in {labels} were there and are gone: label the scene again")
    return LabelingProfile.model_validate(done["inputs"]["profile"])


def evidence_of(labels: AnyPath, info: SceneInfo) -> Evidence:
    """Return where finished labels, in this folder, show anything of cloud or shadow."""
    profile = profile_of(labels)
    if profile.guard is None:
        raise SceneError(f"the labels in {labels} have no guard any more: label the scene with polynya")
    return Evidence.of(profile, read_softness(labels, info, profile.guard.cell))


def keep_opinion(
    planes: Planes,
    core: Block,
    rgb: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    labels: NDArray[np.uint8],
    thresholds: ThresholdSettings,
) -> None:
    """Keep a core's labels, and what the network says, weighed with what the filter did to them.

    rgb u8 (3, height, width), probabilities f32 (height, width, 3), labels u8 (height, width).
    """
    value = brightness(rgb)
    said = opinion(value, weigh_lifts(probabilities, value, labels, thresholds))
    for layer, values in zip((_VALUE, _CLASS, _SURENESS, _LABEL), (*said, labels), strict=True):
        planes.put(layer, core, values)


def checked_map(
    planes: Planes, blocks: Sequence[Block], ignored: NDArray[np.bool_], evidence: Evidence, most: float
) -> CheckedMap:
    """Return the map of a scene whose blocks' opinions are kept, by whether they fit its labels.

    `ignored`, bool (height, width), are pixels that have no class. `most` is the share of the labels without
    evidence that the network may contradict (docs/science.md: how often that is wrong, either way).
    """

    def read(part: Block) -> Opinion:
        value, classes, sureness = (planes.get(layer, part) for layer in (_VALUE, _CLASS, _SURENESS))
        return Opinion(value, classes, np.where(ignored[part.slices], 0, sureness).astype(np.uint8))

    height, width = ignored.shape
    cuts = scene_cuts(read, height=height, width=width, thresholds=evidence.thresholds)

    def moved(block: Block) -> NDArray[np.uint8]:
        return cut(planes.get(_VALUE, block), cuts, block.row, block.column)

    def asked(block: Block, labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Where the labels are not the map: in shadow, and under a cloud mask, where they say nothing."""
        return np.asarray(evidence.speaks(block) | (labels == IGNORE))

    drawn = checked = contradicted = lifted = 0
    for block in blocks:
        labels, seen, found = planes.get(_LABEL, block), ~ignored[block.slices], moved(block)
        open_to = asked(block, labels)
        drawn += int(np.count_nonzero(open_to & seen))
        held = ~open_to & seen
        checked += int(np.count_nonzero(held))
        contradicted += int(np.count_nonzero(held & (found != labels)))
        lifted += int(np.count_nonzero(held & (found == IceClass.THICK_ICE) & (labels == IceClass.THIN_ICE)))
    share = contradicted / max(1, checked)
    tells = checked >= _LEAST_CHECKED * (checked + drawn)
    shaded = tells and lifted > _MOST_LIFTED * checked
    used = shaded or not tells or share <= most

    def classes(block: Block) -> NDArray[np.uint8]:
        labels = planes.get(_LABEL, block)
        if not used:
            return labels
        return moved(block) if shaded else np.where(asked(block, labels), moved(block), labels)

    def network(block: Block) -> NDArray[np.bool_]:
        labels = planes.get(_LABEL, block)
        return asked(block, labels) | shaded if used else np.zeros(labels.shape, np.bool_)

    facts = {"network_asked": drawn / max(1, checked + drawn), "network_contradicts": share}
    doubts = [Doubt("all-shadow", _shaded(lifted / checked))] if shaded else []
    doubts += [] if used else [Doubt("unfit-network", _unfit(share, most))]
    told = {name: round(value, 6) for name, value in facts.items()}
    return CheckedMap(used, told, doubts, classes, network)


def _shaded(share: float) -> str:
    return (
        "no edge speaks for cloud or shadow, but the model takes thin ice for snow in shadow in "
        f"{share:.0%} of such pixels, as under one cloud over all, and so does the map. If the sky was "
        "clear, it is wrong: look at the quicklook, and take the labels."
    )


def _unfit(share: float, most: float) -> str:
    return (
        f"the model contradicts the labels in {share:.1%} of the pixels where nothing speaks for shadow (at "
        f"most {most:.1%} where it knows the ice), so the map is the labels, shadow or not. "
        "See whether it fits clear scenes of such ice: python -m jobs.fits --model … --scenes … --out …"
    )
