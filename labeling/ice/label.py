"""Labels by a profile, in the steps that distribute: prepare, compare, count, look up, finish.

`label_scene` runs them over one whole picture: the plain reference of the Spark job in pipelines/label.py.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import CLASS_COUNT, IGNORE, IceClass
from labeling.grid import Block
from labeling.ice import filter_guard, nodata, shadow_cells, thinclouds, thresholds
from labeling.ice.fused import brightness_and_state, count_pairs, grey_and_state, look_up
from labeling.ice.profile import LabelingProfile
from labeling.ice.scene_sums import KEYS, SceneSums
from labeling.status import PixelStatus


class PixelState(IntEnum):
    """What is known of a pixel before the scene's table is."""

    SEEN = 0
    WATER = 1
    BLACK = 2
    """All three bands zero, in a picture that declares no no-data: dark water, or no-data after all."""
    BRIGHT = 3
    """Thick ice by its brightness, where a guard keeps the filter from saying otherwise."""
    NODATA = 4
    CLOUD = 5
    """Under a cloud mask."""
    LAND = 6
    """On land or an ice shelf."""


_STATES = np.arange(len(PixelState), dtype=np.uint8)


class Prepared(NamedTuple):
    """A window before anything is compared: u8 (height, width) each."""

    value: NDArray[np.uint8]
    """What the next step looks at: grey with white water, or brightness without the filter."""
    state: NDArray[np.uint8]
    """PixelState codes."""


def prepare(rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, profile: LabelingProfile) -> Prepared:
    """Do all of the labelling that looks at one pixel alone; any window of a scene will do.

    `rgb` is band-first u8 (3, height, width); `valid` is False where the file says no-data, or None where
    the file says nothing. No-data counts as black, whatever its values.
    """
    value, state = (np.empty(rgb.shape[1:], np.uint8) for _ in range(2))
    planar = np.ascontiguousarray(rgb).reshape(3, -1)
    if profile.thin_clouds is None:
        brightness_and_state(planar, value.reshape(-1), state.reshape(-1))
    else:
        grey_and_state(planar, profile.thresholds.water_max, value.reshape(-1), state.reshape(-1))
    if profile.guard:
        bright = thresholds.brightness(rgb) > profile.thresholds.thin_ice_max
        np.copyto(state, np.uint8(PixelState.BRIGHT), where=bright)
    if valid is None:
        return Prepared(value, state)
    state[state == PixelState.BLACK] = PixelState.WATER
    without = ~valid
    state[without] = PixelState.NODATA
    value[without] = 0 if profile.thin_clouds is None else thinclouds.WHITE
    return Prepared(value, state)


def pixel_state(rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Return PixelState codes, u8 (height, width), of a picture in which water is not told from ice."""
    if valid is not None:
        return np.where(valid, np.uint8(PixelState.SEEN), np.uint8(PixelState.NODATA))
    black = thresholds.brightness(rgb) == 0
    return np.where(black, np.uint8(PixelState.BLACK), np.uint8(PixelState.SEEN))


def count_states(state: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels have each PixelState, int64 (7,)."""
    return np.array([np.count_nonzero(state == np.uint8(kind)) for kind in PixelState], np.int64)


def settle_black(state: NDArray[np.uint8], *, all_nodata: bool = False) -> int:
    """Decide in place, for a whole scene's states, whether black is no-data or dark water.

    Return how many pixels large black regions inside have, see nodata.settle. `all_nodata`: all black is.
    """
    if all_nodata:
        state[state == PixelState.BLACK] = PixelState.NODATA
        return 0
    return nodata.settle(state, black=PixelState.BLACK, nodata=PixelState.NODATA, water=PixelState.WATER)


def grow_nodata(state: NDArray[np.uint8], pixels: int) -> None:
    """Let a whole scene's no-data grow by so many pixels on every side, in place."""
    nodata.grow(state, pixels, nodata=PixelState.NODATA)


def ignored(state: NDArray[np.uint8], profile: LabelingProfile) -> NDArray[np.bool_]:
    """Return which pixels the profile gives no class, bool like `state`, whose black is settled."""
    first = PixelState.NODATA if profile.nodata == "ignore" else PixelState.CLOUD
    return np.asarray(state >= first, np.bool_)


def pixel_statuses(
    state: NDArray[np.uint8],
    profile: LabelingProfile,
    *,
    classed: PixelStatus,
    doubted: NDArray[np.bool_] | None,
) -> NDArray[np.uint8]:
    """Return PixelStatus codes, u8 like `state`, whose black is settled.

    A pixel with a class is `classed`, or in doubt where `doubted`, bool like `state`, says so and nothing
    worse is known. So is no-data that the profile takes for water.
    """
    table = np.full(len(PixelState), classed, np.uint8)
    table[PixelState.NODATA] = PixelStatus.NODATA if profile.nodata == "ignore" else PixelStatus.DOUBT
    table[PixelState.CLOUD], table[PixelState.LAND] = PixelStatus.CLOUD, PixelStatus.LAND
    found = table[state]
    if doubted is not None:
        found[doubted & (found == PixelStatus.CLASSIFIED)] = PixelStatus.DOUBT
    return np.asarray(found, np.uint8)


class Compared(NamedTuple):
    """A window's pixels after a look at their surroundings; u8 (height, width) each."""

    key: NDArray[np.uint8]
    """Index into the scene's table."""
    seen: NDArray[np.uint8] | None = None
    """What each pixel is judged by, as filter_guard.hold tells it; None without a guard."""


def compare(
    value: NDArray[np.uint8], profile: LabelingProfile, inside: tuple[slice, slice] | None = None
) -> Compared:
    """Look at each pixel's surroundings.

    Its key is the difference from the background, changed by a guard as filter_guard.py says, or the
    brightness without the filter. With `inside` (rows, columns) the result is for that part, `profile.halo`
    from edges that are not the scene's own.
    """
    part = value if inside is None else value[inside]
    if profile.thin_clouds is None:
        return Compared(part)
    background = thinclouds.background(value, profile.thin_clouds, inside)
    key = thinclouds.difference(part, background)
    guard = profile.guard
    if guard is None:
        return Compared(key)
    bound = profile.thresholds.thin_ice_max
    return Compared(key, filter_guard.hold(value, background, key, bound, guard, inside))


def scene_sums(
    compared: Compared, state: NDArray[np.uint8], profile: LabelingProfile, block: Block | None = None
) -> SceneSums:
    """Return what a window, `block` or the whole scene, adds to the sums; black is settled in `state`."""
    guard = profile.guard
    keys = _count(compared.key, state)[~ignored(_STATES, profile)].sum(axis=0)
    if guard is None or compared.seen is None:
        return SceneSums.none()._replace(keys=keys)
    whole = block or Block(0, 0, *state.shape)
    return SceneSums(keys, shadow_cells.count_cells(compared.seen, state, whole, guard))


def _count(key: NDArray[np.uint8], state: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels have each state and key, int64 (7, 256)."""
    counts = np.zeros((2, len(PixelState), KEYS), np.int64)
    count_pairs(*(np.ascontiguousarray(layer).reshape(-1) for layer in (key, state)), counts)
    return np.asarray(counts.sum(axis=0), np.int64)


class SceneTable(NamedTuple):
    """What the sums of a scene make of its pixels."""

    codes: NDArray[np.uint8]
    """(256,): the class code of each key."""
    shadow: shadow_cells.ShadowCells | None = None
    """Where pixels that wait may be lifted; None without a guard."""


def class_table(sums: SceneSums, profile: LabelingProfile) -> SceneTable:
    """Return what the sums of a whole scene make of its pixels."""
    if profile.thin_clouds is None:
        return SceneTable(thresholds.label_table(profile.thresholds))
    guard = profile.guard
    counts = filter_guard.differences(sums.keys) if guard else sums.keys
    table = thinclouds.lookup_table(counts, profile.thin_clouds, profile.thresholds)
    if guard is None:
        return SceneTable(table)
    codes = filter_guard.guard_table(table, IceClass.THIN_ICE)
    return SceneTable(codes, shadow_cells.shadow_cells(sums.cells, guard))


def finish(
    key: NDArray[np.uint8],
    state: NDArray[np.uint8],
    table: SceneTable,
    profile: LabelingProfile,
    block: Block | None = None,
) -> NDArray[np.uint8]:
    """Return the class codes, u8 (height, width), of a window, `block` or all of a scene.

    Black is settled in `state`.
    """
    tables = np.full((len(PixelState), 256), IceClass.WATER, np.uint8)
    tables[PixelState.SEEN] = table.codes
    tables[PixelState.BRIGHT] = IceClass.THICK_ICE
    tables[ignored(_STATES, profile)] = IGNORE
    guard = profile.guard
    if guard and table.shadow:
        key = shadow_cells.hold_closed(key, block or Block(0, 0, *key.shape), table.shadow, guard)
    labels = np.empty(key.shape, np.uint8)
    look_up(*(np.ascontiguousarray(layer).reshape(-1) for layer in (key, state)), tables, labels.reshape(-1))
    return labels


def label_scene(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, profile: LabelingProfile
) -> NDArray[np.uint8]:
    """Label one whole picture in memory; arguments as of `prepare`, class codes u8 (height, width)."""
    return label_with_table(rgb, valid, profile)[0]


def label_with_table(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, profile: LabelingProfile
) -> tuple[NDArray[np.uint8], SceneTable]:
    """Label one whole picture in memory; return class codes, u8 (height, width), and what decided them."""
    value, state = prepare(rgb, valid, profile)
    settle_black(state)
    compared = compare(value, profile)
    table = class_table(scene_sums(compared, state, profile), profile)
    return finish(compared.key, state, table, profile), table


def class_fractions(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share of each class among the labelled pixels, (3,); zeros where all are ignored."""
    counts = np.bincount(labels.ravel(), minlength=256)[:CLASS_COUNT]
    return np.asarray(counts / max(1, counts.sum()), np.float64)
