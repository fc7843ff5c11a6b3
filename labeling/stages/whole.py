"""All stages of one scene in one process, by one thread or several that share its layers in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.files.raster import quiet_georeference
from labeling.grid import Block
from labeling.ice.scene_sums import SceneSums
from labeling.results.output import SceneOutput
from labeling.scenes.contract.scene import Scene, SceneInfo
from labeling.stages.planes import MemoryPlanes
from labeling.stages.steps import NOTHING, Recipe, compare_block, decode, exclude, write

_Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


def label_whole(
    scene_id: str,
    info: SceneInfo,
    opened: Callable[[], AbstractContextManager[Scene]],
    cut: Sequence[Block],
    recipe: Recipe,
    output: SceneOutput,
    threads: int = 1,
) -> None:
    """Label a scene from its files to its outputs.

    `opened` opens it: every thread reads through a handle of its own. `cut` covers the scene once, and bounds
    what a thread holds beside the layers. Decoding and the filter leave Python to itself most of the time, so
    threads spread over cores.
    """
    planes = MemoryPlanes(height=info.height, width=info.width)
    todo = iter(cut)

    def decode_some(_: int) -> NDArray[np.int64]:
        states = NOTHING.copy()
        with opened() as scene:
            for block in todo:  # of all threads together: whoever is free takes the next
                states += decode(scene, block, planes, recipe, preview=output.quicklook)
        return states

    with _mapping(threads) as mapped:
        states = np.sum(list(mapped(decode_some, range(threads))), axis=0)
        excluded = exclude(info, cut, states, planes, recipe)
        sums = SceneSums.none()
        if recipe.profile.thin_clouds:
            parts = mapped(lambda block: compare_block(info, block, excluded.layer, planes, recipe), cut)
            sums = sum(parts, start=sums)
    write(scene_id, info, cut, excluded, sums, planes, recipe, output, threads)


@contextmanager
def _mapping(threads: int) -> Iterator[_Map]:
    """Yield a `map` that has so many threads."""
    if threads == 1:
        yield map
        return
    # Warnings are silenced for all threads or none: what each of them silences by itself would get mixed up.
    with quiet_georeference(), ThreadPoolExecutor(threads) as pool:
        yield pool.map
