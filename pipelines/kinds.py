"""Kinds of scenes in one run: which profile labels each, and of which kind chips are cut."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from pyspark.sql import SparkSession

from labeling.files.layout import Run
from labeling.ice.profile import LabelingProfile
from labeling.masks.limits import LimitSettings
from labeling.scenes.contract.rendering import RGB8, base_of
from labeling.scenes.contract.scene import SceneInfo
from labeling.scenes.open import refusal
from pipelines.catalog import made_for
from pipelines.chips import make_chips
from pipelines.config import ChipSettings
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.many.marks import Marks

_LOG = logging.getLogger("polynya.label")


class Kind(NamedTuple):
    """Scenes that one profile labels."""

    profile: LabelingProfile
    rows: list[CatalogRow]


def part_by_profile(
    rows: list[CatalogRow], profiles: list[LabelingProfile]
) -> tuple[list[Kind], list[Failure]]:
    """Part the scenes by the first of a profile's variants that fits each, and refusals; no kind is empty."""
    kinds, refused = [Kind(profile, []) for profile in profiles], []
    for row in rows:
        fitting_kind = next((kind for kind in kinds if row.info.can_be(kind.profile.rendering)), None)
        if fitting_kind is not None:
            fitting_kind.rows.append(row)
        else:
            refused.append(Failure(row.scene_id, "label", _unfit(row.info, profiles)))
    return [kind for kind in kinds if kind.rows], refused


def _unfit(info: SceneInfo, profiles: list[LabelingProfile]) -> str:
    """Return why none of a profile's variants fits a scene, and which profiles do."""
    of_kind = [p for p in profiles if (p.rendering == RGB8) == (RGB8 in info.renderings)] or profiles
    nearest = next((p for p in profiles if base_of(p.rendering) in info.renderings), of_kind[0])
    return refusal(info, nearest.rendering, f"profile {nearest.name}") + made_for(info)


def cut_chips(
    spark: Callable[[], SparkSession],
    kinds: list[Kind],
    failed: set[str],
    run: Run,
    settings: ChipSettings,
    limits: LimitSettings,
    marks: Marks,
) -> list[Failure]:
    """Cut chips from the labelled scenes of one kind, that of most; those of others are listed as not made.

    Brightness means another reflectance in each rendering, so no folder of chips mixes them. `failed` names
    the scenes without labels, `marks` are those of the others.
    """
    labelled = [
        kind._replace(rows=[row for row in kind.rows if row.scene_id not in failed]) for kind in kinds
    ]
    labelled = [kind for kind in labelled if kind.rows]
    if not labelled:
        return []
    most = max(labelled, key=lambda kind: len(kind.rows))
    for kind in labelled if len(labelled) > 1 else ():
        _LOG.warning(
            "%d scene(s) labelled with profile %s (rendering %s)%s", len(kind.rows), kind.profile.name,
            kind.profile.rendering, ", and cut into chips" if kind is most else "; no chips of them",
        )  # fmt: skip
    without = [
        Failure(row.scene_id, "chips", _other_kind(kind.profile, most.profile))
        for kind in labelled
        if kind is not most
        for row in kind.rows
    ]
    return without + make_chips(spark, most.rows, run, most.profile, settings, limits, marks)


def _other_kind(profile: LabelingProfile, chosen: LabelingProfile) -> str:
    return (
        f"labelled with profile {profile.name} in rendering {profile.rendering}, but the chips of one folder "
        f"have one rendering, here {chosen.rendering}, that of most scenes. Label its kind into a folder of "
        "its own to get chips of it, or leave chips out: --outputs labels,quicklook."
    )
