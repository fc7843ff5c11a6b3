"""A scene's labels, stage by stage: decode, exclude, compare, write.

Each stage takes the scene's layers from the one before. Decode and compare do one block at a time, so they
spread over tasks; exclude and write need the whole scene, but no pixel of its files.

decode    scene -> value, state (and what clouds are found by)
exclude   state -> settled: no-data, cloud and land as far as the whole scene shows it
compare   value with its surroundings -> key, and the block's share of the scene's sums
write     sums -> table; table[key] -> labels.tif and what goes with it, state -> status.tif
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.cuts.doubts import brightness_doubts
from labeling.doubt import Doubt
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.ice.label import (
    PixelState,
    class_table,
    compare,
    count_states,
    finish,
    grow_nodata,
    ignored,
    pixel_statuses,
    prepare,
    scene_sums,
    settle_black,
)
from labeling.ice.lifted import LiftCount, filter_facts
from labeling.ice.profile import LabelingProfile
from labeling.ice.scene_sums import SceneSums
from labeling.ice.shadow_cells import ShadowCells, soft_pixels
from labeling.masks.clouds.find import CloudSettings, cloud_mask
from labeling.masks.clouds.raster import CLOUDS, write_clouds
from labeling.masks.land import LandSettings, find_land, land_inputs
from labeling.masks.limits import LimitSettings, black_doubts, check_nodata, sun_doubts
from labeling.results.assets import ItemAsset
from labeling.results.output import SceneOutput, sample, write_scene
from labeling.results.shadow import SHADOW, write_shadow
from labeling.results.status import place_of
from labeling.scenes.contract.plausible import check_reflectance
from labeling.scenes.contract.product import Product
from labeling.scenes.contract.scene import Scene, SceneInfo
from labeling.stages.brightness import BrightnessCount, note_brightness
from labeling.stages.clouds import clouds_of, note_cells, note_clouds, noted_clouds
from labeling.stages.planes import Planes
from labeling.status import PixelStatus

STATE, SETTLED = "state", "settled"
_VALUE, _KEY, _PREVIEW = "value", "key", "preview"


class Recipe(NamedTuple):
    """Everything that decides a scene's labels, beside the scene; small, and pickled with the tasks."""

    profile: LabelingProfile
    limits: LimitSettings = LimitSettings()
    land: LandSettings = LandSettings()
    clouds: CloudSettings = CloudSettings()

    @property
    def extras(self) -> list[str]:
        """Names of the files that go with the labels."""
        return [CLOUDS] * bool(self.clouds.sources) + [SHADOW] * bool(self.profile.guard)

    def inputs(self, info: SceneInfo) -> dict[str, Any]:
        """Return what decides a scene's labels, for its completion mark."""
        return info.identity() | self.deciding

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides all scenes' labels, in the same words."""
        return {
            "profile": self.profile.model_dump(),
            "limits": self.limits.deciding,
            "land": land_inputs(self.land),
            "clouds": self.clouds.model_dump(),
        }


class Excluded(NamedTuple):
    """What the whole scene shows of its pixels."""

    layer: str
    """The layer that holds the pixels' final states."""
    pixels: dict[str, int]
    """How many pixels are no-data, under cloud and on land."""
    inner_black: int = 0
    """How many pixels large black regions have that touch no edge."""


NOTHING: Final = np.zeros(len(PixelState) + 1, np.int64)
"""What `decode` has counted before the first block."""


def decode(scene: Scene, block: Block, planes: Planes, recipe: Recipe, *, preview: bool) -> NDArray[np.int64]:
    """Read a block once and keep all that later stages need; return what is counted of it, i64.

    That is how many pixels have each PixelState, and how many lie beyond what reflectance can be. `preview`
    says whether a quicklook will be drawn, which shows a sample of the block.
    """
    rgb, valid, beyond = scene.read(block)
    prepared = prepare(rgb, valid, recipe.profile)
    planes.put(_VALUE, block, prepared.value)
    planes.put(STATE, block, prepared.state)
    note_brightness(rgb, block, scene.info, planes)
    if preview:
        planes.note(_PREVIEW, block, rgb=sample(rgb, block, scene.info))
    if recipe.clouds.sources:
        note_cells(_product(scene), block, planes, recipe.clouds)
    return np.append(count_states(prepared.state), 0 if beyond is None else np.count_nonzero(beyond))


def exclude(
    info: SceneInfo, cut: Sequence[Block], counts: NDArray[np.int64], planes: Planes, recipe: Recipe
) -> Excluded:
    """Decide which pixels of a decoded scene get no class; SceneError when a limit refuses the scene.

    `counts` is the sum of what `decode` returned.
    """
    *states, beyond = counts.tolist()
    counts = np.array(states, np.int64)
    check_reflectance(info, beyond=beyond, pixels=int(counts.sum() - counts[PixelState.NODATA]) + beyond)
    changed, inner_black = False, 0
    land = find_land(info, recipe.land)
    rim = info.rim and bool(counts[PixelState.BLACK] or counts[PixelState.NODATA])
    if counts[PixelState.BLACK] or rim or land is not None or recipe.clouds.sources:
        state = planes.get(STATE, Block(0, 0, info.height, info.width)).copy()
        if counts[PixelState.BLACK]:
            inner_black = settle_black(state, all_nodata=recipe.limits.black == "nodata")
            changed = True
        if rim and recipe.profile.nodata == "ignore":
            grow_nodata(state, info.rim)
            changed = True
        if land is not None:
            changed |= _exclude(state, land, PixelState.LAND)
        if recipe.clouds.sources:
            changed |= _exclude_clouds(state, cut, planes, recipe.clouds)
        if changed:
            counts = count_states(state)
            for block in cut:
                planes.put(SETTLED, block, state[block.slices])
    pixels = {state.name.lower(): int(counts[state]) for state in _EXCLUDING}
    check_nodata(info, pixels["nodata"], recipe.limits)
    states = np.flatnonzero(counts).astype(np.uint8)
    if ignored(states, recipe.profile).all():
        raise SceneError(f"{info.where} holds no data: every pixel is no-data or black. Leave the scene out.")
    return Excluded(SETTLED if changed else STATE, pixels, inner_black)


def _product(scene: Scene) -> Product:
    if scene.product is None:
        raise SceneError(
            f"{scene.info.where} is a picture, and clouds are found in the bands of a product. Leave "
            "clouds.sources empty for pictures."
        )
    return scene.product


def _exclude_clouds(
    state: NDArray[np.uint8], cut: Sequence[Block], planes: Planes, settings: CloudSettings
) -> bool:
    height, width = state.shape
    grid = settings.grid(height=height, width=width)
    clouds = clouds_of(cut, planes, grid, settings)
    note_clouds(clouds, planes, grid)
    changed = False
    for block in cut:
        mask = cloud_mask(clouds.classes, grid, block)
        changed |= _exclude(state[block.slices], mask, PixelState.CLOUD)
    return changed


def _exclude(state: NDArray[np.uint8], mask: NDArray[np.bool_], why: PixelState) -> bool:
    """Mark pixels of the mask that no stronger reason excludes already; return whether there are any."""
    mask &= state < PixelState.NODATA
    state[mask] = why
    return bool(mask.any())


_EXCLUDING = (PixelState.NODATA, PixelState.CLOUD, PixelState.LAND)


def compare_block(info: SceneInfo, block: Block, layer: str, planes: Planes, recipe: Recipe) -> SceneSums:
    """Compare a block with its surroundings; return its share of the scene's sums."""
    outer = block.grow(recipe.profile.halo, height=info.height, width=info.width)
    compared = compare(planes.get(_VALUE, outer), recipe.profile, block.inside(outer))
    planes.put(_KEY, block, compared.key)
    return scene_sums(compared, planes.get(layer, block), recipe.profile, block)


def write(
    scene_id: str,
    info: SceneInfo,
    cut: Sequence[Block],
    excluded: Excluded,
    sums: SceneSums,
    planes: Planes,
    recipe: Recipe,
    output: SceneOutput,
    threads: int = 1,
) -> None:
    """Write a compared scene's labels from the sum over its blocks."""
    table = class_table(sums, recipe.profile)
    facts: dict[str, Any] = filter_facts(table)
    lifts = LiftCount(table)
    keys = _KEY if recipe.profile.thin_clouds else _VALUE
    seen = BrightnessCount(info, planes)

    def classes_of(block: Block) -> NDArray[np.uint8]:
        state = planes.get(excluded.layer, block)
        seen.add(block, state)
        key = planes.get(keys, block)
        labels = finish(key, state, table, recipe.profile, block)
        lifts.add(key, state, labels)
        return labels

    def statuses_of(block: Block, classed: PixelStatus) -> NDArray[np.uint8]:
        state, guard = planes.get(excluded.layer, block), recipe.profile.guard
        soft = soft_pixels(table.shadow.softness, block, guard) if table.shadow and guard else None
        return pixel_statuses(state, recipe.profile, classed=classed, doubted=soft)

    write_scene(
        output,
        scene_id,
        info,
        recipe.inputs(info) | {"palette": output.palette},
        cut,
        classes_of,
        statuses_of,
        lambda block: planes.noted(_PREVIEW, block)["rgb"],
        extras=lambda: _extras(info, planes, recipe, output, table.shadow),
        doubts=lambda: scene_doubts(info, seen, recipe, excluded.inner_black),
        counted=lambda: lifts.facts,
        about={"profile": recipe.profile.name, "profile_version": recipe.profile.version, **facts},
        threads=threads,
        excluded=excluded.pixels,
        **facts,
    )


def scene_doubts(info: SceneInfo, seen: BrightnessCount, recipe: Recipe, inner_black: int = 0) -> list[Doubt]:
    """Return what speaks against a scene's labels, from its sun and what was counted of it."""
    found = brightness_doubts(seen.counts, recipe.profile.thresholds)
    return [*sun_doubts(info, recipe.profile.rendering), *black_doubts(info, inner_black), *found]


def _extras(
    info: SceneInfo, planes: Planes, recipe: Recipe, output: SceneOutput, shadow: ShadowCells | None
) -> list[ItemAsset]:
    """Write and return what goes with the labels."""
    found = []
    if recipe.clouds.sources:
        grid = recipe.clouds.grid(height=info.height, width=info.width)
        clouds = noted_clouds(planes, grid)
        write_clouds(output.folder / CLOUDS, *clouds, grid=grid, **place_of(info))
        found.append(ItemAsset(CLOUDS, "Cloud probability and class", ("data", "cloud")))
    if shadow and recipe.profile.guard:
        bands = shadow.evidence, shadow.softness
        write_shadow(output.folder / SHADOW, bands, info, recipe.profile.guard.cell)
        found.append(ItemAsset(SHADOW, "Evidence of shadow", ("data", "cloud-shadow")))
    return found
