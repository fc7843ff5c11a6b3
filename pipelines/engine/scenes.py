"""The scenes of a run, as every step knows them, and those that a step could not do."""

from __future__ import annotations

from typing import NamedTuple

from labeling.scenes.contract.scene import SceneInfo


class CatalogRow(NamedTuple):
    """A scene of a run."""

    scene_id: str
    info: SceneInfo


class Failure(NamedTuple):
    """A scene that a step could not do."""

    scene: str
    step: str
    reason: str
