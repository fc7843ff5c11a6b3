"""Simulated Ross Sea scenes with known truth, for tests, demonstrations and trials.

A simulated scene is an ordinary Sentinel-2-like picture plus what no real picture has, in files beside it
(labeling/scenes/sidecars.py): the true class of every pixel under the cloud, and cloud and shadow themselves.
"""

from __future__ import annotations

from math import atan2, cos, degrees, sin
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pydantic import Field as Bounds
from pydantic import model_validator
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform as reproject
from rasterio.windows import Window

from labeling.classes import IGNORE
from labeling.files.atomic import replacing
from labeling.files.cogs.legend import class_legend
from labeling.files.cogs.write import write_codes
from labeling.files.raster import TILE
from labeling.scenes.sidecars import sidecar_path, truth_path
from labeling.settings import Settings
from labeling.simulation.noise import Field
from labeling.simulation.sky import expose, make_sky
from labeling.simulation.surface import Amounts, make_surface

NODATA: Final = 0
"""Value of every band where the picture holds nothing; valid pixels are 1..255."""

_ROSS_SEA_LATITUDE: Final = (-76.5, -71.5)
_ROSS_SEA_LONGITUDE: Final = (166.0, 198.0)
"""Degrees; the sea crosses the 180th meridian, so eastern longitudes run on."""


class SceneSpec(Settings):
    """What to simulate; the same specification always gives the same pixels."""

    scene_id: str = Bounds(pattern=r"^[A-Za-z0-9_-]+$")
    """Name of the files, without ending."""
    height: int = Bounds(1024, ge=2, le=10980)
    """Pixels; 10980 is the side of a Sentinel-2 tile."""
    width: int = Bounds(1024, ge=2, le=10980)
    seed: int = Bounds(0, ge=0)
    """Scenes that differ only in `cloud` or `nodata` share one surface."""
    ice_cover: float = Bounds(0.9, ge=0, le=1)
    """Share of the picture covered by ice of any kind; the rest is open water."""
    thin_share: float = Bounds(0.2, ge=0, le=1)
    """Share of that ice that is thin."""
    cloud: float = Bounds(0.0, ge=0, le=1)
    """Amount of thin cloud: 0 is a clear sky, 1 a veil over nearly everything."""
    nodata: float = Bounds(0.0, ge=0, le=0.9)
    """Share of the picture beyond the edge of the swath; 0 for none."""
    crs: str = "EPSG:3031"
    """Projected, in metres."""
    pixel_size: float = Bounds(10.0, gt=0)
    """Metres."""
    sun_zenith: float | None = Bounds(None, ge=40, le=80)
    """Degrees, of the product that a scene may become; None draws one. A picture is the same under any
    sun."""

    @model_validator(mode="after")
    def _metric_crs(self) -> Self:
        try:
            crs = CRS.from_user_input(self.crs)
        except CRSError as error:
            raise ValueError(f"crs {self.crs!r} is not known: {error}") from None
        if not crs.is_projected:
            raise ValueError(f"crs {self.crs!r} is in degrees; name a projected one such as EPSG:3031")
        return self


class SimulatedScene(NamedTuple):
    """A picture and what it truly shows."""

    rgb: NDArray[np.uint8]
    """(3, height, width) R, G, B; 1..255, or 0 in every band where there is no data."""
    truth: NDArray[np.uint8]
    """Class codes of the surface, under the cloud, (height, width); IGNORE where there is no data."""
    cloud: Field
    """Optical depth, f32 (height, width); 0 is clear, and where there is no data."""
    shadow: Field
    """Strength 0..1, f32 (height, width); 0 is full sun, and where there is no data."""
    value: Field
    """Brightness V of the surface under a clear sky, f32 (height, width), about 8..270: above 255 a picture
    saturates. Known where there is no data, too."""


def simulate(spec: SceneSpec) -> SimulatedScene:
    """Simulate one scene, whole and in memory (about 90 bytes a pixel while it runs)."""
    height, width = spec.height, spec.width
    # One stream of random numbers per layer: a change to the sky leaves the ice as it is.
    sun_stream, ice_stream, sky_stream, sensor_stream, swath_stream, _ = _streams(spec)
    sun = _travel(sun_stream)
    amounts = Amounts(thick=spec.ice_cover * (1.0 - spec.thin_share), thin=spec.ice_cover * spec.thin_share)
    surface = make_surface(ice_stream, height=height, width=width, amounts=amounts, sun=sun)
    sky = make_sky(sky_stream, height=height, width=width, amount=spec.cloud, sun=sun)
    rgb = expose(sensor_stream, surface.value, sky)
    outside = _beyond_swath(swath_stream, height, width, spec.nodata)
    rgb[:, outside] = NODATA
    truth = np.where(outside, np.uint8(IGNORE), surface.classes)
    cloud, shadow = (np.where(outside, np.float32(0), layer) for layer in sky)
    return SimulatedScene(rgb, truth, cloud, shadow, surface.value)


def sun_azimuth(spec: SceneSpec) -> float:
    """Return where the sun of a scene stands, degrees clockwise from the top of the picture, 0..360."""
    travel = _travel(_streams(spec)[0])
    # Light comes from where it does not go, and y counts downwards.
    return degrees(atan2(-cos(travel), sin(travel))) % 360


def _travel(sun_stream: np.random.Generator) -> float:
    """Return the direction that light travels, radians from the x axis towards y."""
    return float(sun_stream.uniform(0.0, 2.0 * np.pi))


def _streams(spec: SceneSpec) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in np.random.SeedSequence(spec.seed).spawn(6)]


def _beyond_swath(rng: np.random.Generator, height: int, width: int, share: float) -> NDArray[np.bool_]:
    """Return which pixels lie beyond a straight slanting edge, bool (height, width): `share` of them."""
    count = round(share * height * width)
    if count == 0:
        return np.zeros((height, width), np.bool_)
    # Descending orbits over Antarctica cut tiles about diagonally, on either side.
    angle = rng.uniform(0.45, 1.1) + np.pi * rng.integers(2)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    distance = columns * cos(angle) + rows * sin(angle)
    edge = np.partition(distance, distance.size - count, axis=None)[distance.size - count]
    return np.asarray(distance >= edge, np.bool_)


def variety(count: int, *, height: int, width: int, seed: int) -> list[SceneSpec]:
    """Return `count` differing scenes, "ross-01" on: clear or cloudy, thick or thin ice, some cut off."""
    return [
        SceneSpec(
            scene_id=f"ross-{number + 1:02d}", height=height, width=width, seed=seed * 1000 + number,
            **_VARIETY[number % len(_VARIETY)],
        )
        for number in range(count)
    ]  # fmt: skip


_VARIETY: Final[tuple[dict[str, Any], ...]] = (
    {"ice_cover": 0.93, "thin_share": 0.12},
    {"ice_cover": 0.95, "thin_share": 0.10, "cloud": 0.4},
    {"ice_cover": 0.75, "thin_share": 0.45},
    {"ice_cover": 0.88, "thin_share": 0.20, "nodata": 0.18},
    {"ice_cover": 0.90, "thin_share": 0.25, "cloud": 0.55},
    {"ice_cover": 0.98, "thin_share": 0.06},
    {"ice_cover": 0.80, "thin_share": 0.50, "cloud": 0.30},
    {"ice_cover": 0.60, "thin_share": 0.30, "nodata": 0.10},
)


def write_scene(folder: Path, spec: SceneSpec) -> Path:
    """Simulate a scene and write it with its sidecars as GeoTIFFs; return the path of the picture.

    The picture is written last: where it is, its sidecars are.
    """
    scene = simulate(spec)
    path = folder / f"{spec.scene_id}.tif"
    crs, transform = CRS.from_user_input(spec.crs), placement(spec)
    whole = Window(0, 0, spec.width, spec.height)
    write_codes(
        truth_path(path), [(whole, scene.truth)],
        class_legend(), height=spec.height, width=spec.width, crs=crs, transform=transform,
    )  # fmt: skip
    common = {"crs": crs, "transform": transform}
    # GDAL's predictor for floats: neighbours are alike, which keeps the files small.
    write_bands(sidecar_path(path, ".cloud"), scene.cloud[None], **common, predictor=3)
    write_bands(sidecar_path(path, ".shadow"), scene.shadow[None], **common, predictor=3)
    write_bands(path, scene.rgb, **common, nodata=NODATA, photometric="rgb")
    return path


def placement(spec: SceneSpec) -> Affine:
    """Return the affine transform of a scene: somewhere in the Ross Sea, on a grid of whole pixels."""
    rng = _streams(spec)[-1]
    latitude, longitude = rng.uniform(*_ROSS_SEA_LATITUDE), rng.uniform(*_ROSS_SEA_LONGITUDE)
    zone = CRS.from_user_input(spec.crs).to_dict().get("zone")
    if zone is not None:
        # Stay inside the zone; 58 to 60 and 1 to 4 lie in the Ross Sea.
        longitude = 6.0 * zone - 183.0 + rng.uniform(-2.5, 2.5)
    [x], [y] = reproject(CRS.from_epsg(4326), CRS.from_user_input(spec.crs), [longitude], [latitude])
    size = spec.pixel_size
    return Affine(size, 0.0, round(x / size) * size, 0.0, -size, round(y / size) * size)


def write_bands(target: Path, bands: NDArray[np.uint8] | Field, **profile: Any) -> None:
    """Write bands (count, height, width) as a deflated GeoTIFF, tiled when large enough, atomically."""
    count, height, width = bands.shape
    if min(height, width) >= TILE:
        profile |= {"tiled": True, "blockxsize": TILE, "blockysize": TILE}
    with (
        replacing(target) as temporary,
        rasterio.open(
            temporary, "w", driver="GTiff", dtype=bands.dtype, count=count, height=height, width=width,
            compress="deflate", BIGTIFF="IF_SAFER", **profile,
        ) as raster,
    ):  # fmt: skip
        raster.write(bands)
