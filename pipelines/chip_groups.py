"""Which scenes belong together when chips are split: those that share ground, a datatake or all pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from labeling.chips.ground import Ground, ground_of, joined, overlaps, same
from labeling.files.layout import LABELS, Run, read_done
from labeling.files.uri import stem
from labeling.scenes.contract.scene import SceneInfo
from labeling.uncollected import uncollected
from pipelines.engine.scenes import CatalogRow


@uncollected()
def groups_of(rows: Sequence[CatalogRow], run: Run) -> list[str]:
    """Return the name of each labelled scene's group; chips of one group never fall into different splits.

    Scenes are of one group where their footprints overlap, where they are of one datatake, as products say
    and the names of their pictures do, or, for those that do not say where they lie, where their labels are
    equal. The name is that of a datatake or the id of a scene, whichever comes first: a file's name alone is
    none, for five scenes may all be called visual.tif.
    """
    grounds = [ground(row.info) for row in rows]
    placed = [index for index, each in enumerate(grounds) if each is not None]
    lying = [each for each in grounds if each is not None]
    links = list(same(grounds))  # scenes of one tile: a hundred years of them are no ten thousand pairs
    distinct = {each: index for index, each in zip(reversed(placed), reversed(lying), strict=True)}
    places = list(distinct)
    links += [(distinct[places[one]], distinct[places[other]]) for one, other in overlaps(places, places)]
    links += same([_datatake(row.info) for row in rows])
    links += same(
        [_content(run, row) if each is None else None for row, each in zip(rows, grounds, strict=True)]
    )
    leaders = joined(len(rows), links)
    names: dict[int, str] = {}
    for row, leader in zip(rows, leaders, strict=True):
        own = row.info.group if _says_acquisition(row.info) else row.scene_id
        names[leader] = min(own, names.get(leader, own))
    return [names[leader] for leader in leaders]


def ground(info: SceneInfo) -> Ground | None:
    """Return where a scene lies; None where it does not say."""
    return ground_of(info.crs, info.transform, height=info.height, width=info.width)


def _says_acquisition(info: SceneInfo) -> bool:
    """Tell whether a scene's group is more than the name of its file."""
    return info.product_type is not None and info.group not in (stem(info.uri), info.uri)


def _datatake(info: SceneInfo) -> str | None:
    """Return what scenes of one datatake share: the time it began, as products and ESA's names have it."""
    named = info.group if _says_acquisition(info) else stem(info.uri)
    time = re.search(r"(?<!\d)20\d{6}T\d{6}(?!\d)", named)
    if time is not None:
        return time[0]
    return info.group if _says_acquisition(info) else None


def _content(run: Run, row: CatalogRow) -> Any:
    """Return the digest of a scene's labels: pictures without a place that have the same are one picture."""
    outputs = (read_done(run.labels(row.scene_id)) or {}).get("outputs", {})
    mark = outputs.get(LABELS, {})
    return mark.get("sha256") or mark.get("etag")
