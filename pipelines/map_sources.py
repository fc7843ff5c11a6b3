"""Where a map comes from: from the scene's labels, and where the guard saw shadow from the network.

Networks see through cloud what thresholds cannot, and are behind them where there is none (docs/science.md).
When a scene is labelled, the guard of the thin-cloud filter tells where there is shadow. Elsewhere the labels
are the map; there network and labels together move the thresholds (labeling/ice/moved_cuts.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from labeling.errors import ConfigError, SceneError
from labeling.files.layout import LABELS, STATUS, Run, read_done
from labeling.files.marks import digest_of_json
from labeling.results.shadow import SHADOW
from labeling.scenes.contract.scene import SceneInfo
from pipelines.cuts_worker import is_clear
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.many.looks import of_each

NETWORK: Final = "network"
LABELS_ALONE: Final = "labels"
MOVED_CUTS: Final = "moved-cuts"
"""Where a map can come from."""


_LOG = logging.getLogger("polynya.infer")


class MapRow(NamedTuple):
    """A scene to map."""

    scene_id: str
    info: SceneInfo
    source: str
    """NETWORK, LABELS_ALONE, or MOVED_CUTS where there is shadow and labels elsewhere."""
    labels: str | None
    """Which state of its labels decides the map, as `_state` says, or of their status where the network draws
    it and they know of clouds; None where there are no such labels."""


def choose_sources(
    rows: Iterable[CatalogRow], run: Run, rendering: str, *, checked: bool
) -> tuple[list[MapRow], list[Failure]]:
    """Return where each scene's map comes from, and refusals; `rendering` is the model's.

    Unless `checked` the network draws them all. Else a scene is refused whose labels do not tell where there
    is shadow. ConfigError when that refuses all: then the run folder is the wrong one, not the scenes.
    """

    unseen: list[str] = []

    def choose(row: CatalogRow) -> MapRow | Failure:
        if not checked:
            clouds, why = _clouds(row, run)
            unseen.extend([why] * bool(why))
            return MapRow(row.scene_id, row.info, NETWORK, clouds)
        try:
            done = _finished_labels(row, run, rendering)
        except SceneError as error:
            return Failure(row.scene_id, "infer", str(error))
        source = LABELS_ALONE if _is_clear(done) else MOVED_CUTS
        return MapRow(row.scene_id, row.info, source, _state(done))

    chosen: list[MapRow] = []
    refused: list[Failure] = []
    for _, each in of_each(choose, rows, run.root):
        if isinstance(each, MapRow):
            chosen.append(each)
        else:
            refused.append(each)
    if unseen:
        _LOG.warning(
            "%d map(s) will not show the clouds that their labels know of, such as: %s. Label again: "
            "python -m jobs.label --scenes … --out %s", len(unseen), min(unseen), run.root,
        )  # fmt: skip
    if refused and not chosen:
        raise ConfigError(refused[0].reason)
    return chosen, refused


def _is_clear(done: dict[str, Any]) -> bool:
    """Tell whether edges are sharp all over, and no source of clouds saw any.

    Pixels under a cloud mask have no class in the labels, and the guard does not look at them; the network
    gives them one.
    """
    pixels = done["pixels"]
    classed = sum(pixels[name] for name in pixels if name != "ignore")
    thick = pixels["thick_ice"] / max(1, classed)
    return is_clear(done["filter_soft_area"], thick) and not done["excluded"]["cloud"]


def _state(done: dict[str, Any]) -> str:
    """Return what tells these labels from others of the scene: the sha256 of their completion mark.

    The mark names their digest.
    """
    return digest_of_json(done)


def _clouds(row: CatalogRow, run: Run) -> tuple[str | None, str]:
    """Return what tells the status of a scene's labels from another; None where none knows of any cloud.

    And why clouds that its labels know of cannot be taken from them; empty where they can, or know of none.
    """
    folder = run.labels(row.scene_id)
    done = read_done(folder) or {}
    status, excluded = done.get("status"), done.get("excluded")
    seen = status if isinstance(status, dict) else excluded if isinstance(excluded, dict) else {}
    if not seen.get("cloud"):
        return None, ""
    if not row.info.is_in(done["inputs"]):
        return None, f"{folder} is of another file than {row.info.where}, or of another state of it"
    mark = done.get("outputs", {}).get(STATUS)
    if mark is None or seen is not status:
        return None, f"{folder} has no {STATUS}, which earlier versions did not write"
    return digest_of_json(mark), ""


def _finished_labels(row: CatalogRow, run: Run, rendering: str) -> dict[str, Any]:
    """Return the completion mark of a scene's labels; SceneError where they do not fit, or say too little."""
    folder, info = run.labels(row.scene_id), row.info
    done = read_done(folder)
    if done is None or not (folder / LABELS).is_file():
        raise _refusal(f"there are no finished labels of {info.where} in {folder}", run)
    inputs = done["inputs"]
    if not info.is_in(inputs):
        raise _refusal(f"{folder} is of another file than {info.where}, or of another state of it", run)
    profile = inputs.get("profile")
    if not isinstance(profile, dict) or not {"name", "rendering", "thresholds"} <= profile.keys():
        raise _refusal(f"the completion mark in {folder} does not say what labelled it", run)
    if (profile.get("thin_clouds") or {}).get("guard") is None:
        raise _refusal(f"profile {profile['name']}, which made {folder}, does not look for cloud", run)
    for name in (SHADOW, STATUS):
        if name not in done["files"]:
            raise _refusal(f"{folder} has no {name}, which earlier versions did not write", run)
    facts = {"filter_soft_area": done, "thick_ice": done.get("pixels"), "cloud": done.get("excluded")}
    for fact, told in facts.items():
        if not isinstance(told, dict) or not isinstance(told.get(fact), int | float):
            lacking = f"the completion mark in {folder} does not say {fact}, which earlier versions did not"
            raise _refusal(lacking, run)
    if profile["rendering"] != rendering:
        raise _refusal(
            f"profile {profile['name']}, which made {folder}, is for the rendering {profile['rendering']}, "
            f"and the model for {rendering}",
            run,
        )
    return done


def _refusal(problem: str, run: Run) -> SceneError:
    return SceneError(
        f"{problem}, so nothing tells where the network is needed, nor whether it fits. Label all scenes "
        "with a profile that has a guard and the model's rendering, as polynya and its variants for products "
        f"have: python -m jobs.label --profile polynya --scenes … --out {run.root}; or let the network draw "
        "all of every map: --network alone."
    )
