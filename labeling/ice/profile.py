"""Labelling profiles: everything that decides a label, named and versioned, kept as YAML in profiles/."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from labeling.errors import ConfigError
from labeling.settings import Settings, load_settings

LARGEST: Final = 1023
"""Side of a window around a pixel, pixels, at most; OpenCV's median ends at 1241."""

Level = int
"""An 8-bit brightness, V = max(R, G, B)."""


class ThresholdSettings(Settings):
    """Cut points on V: 0..water_max is open water, then thin ice to thin_ice_max, then thick ice."""

    water_max: Level = Field(30, ge=0, le=253)
    thin_ice_max: Level = Field(204, ge=1, le=254)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.water_max >= self.thin_ice_max:
            raise ValueError("water_max must be below thin_ice_max")
        return self


class GuardSettings(Settings):
    """What must speak for shadow before the filter may lift ice from thin to thick (filter_guard.py)."""

    background_min: Level = Field(136, ge=0, le=255)
    """Grey level of the darkest background that can be snow in shadow."""
    background_bright: Level = Field(244, ge=0, le=255)
    """Grey level from which a background is snow, and nothing else need speak for shadow."""
    near: int = Field(9, ge=3, le=LARGEST)
    """Side, pixels (odd), of the surroundings in which a smooth slope or a soft edge changes little."""
    smooth_span: Level = Field(24, ge=1, le=255)
    """Grey levels from the darkest to the brightest pixel there, at most, for a pixel to be smooth."""
    smooth_from: Level = Field(130, ge=0, le=254)
    """Grey levels from here to the thick ice's are looked at for smoothness."""
    smooth_share: float = Field(0.15, ge=0, le=1)
    """Share of them that must be smooth, in a window around the pixel."""
    window: int = Field(151, ge=3, le=LARGEST)
    """Side of the window, pixels (odd)."""
    soft_span: Level = Field(16, ge=1, le=255)
    """Grey levels, as `smooth_span`, for an edge to be soft."""
    cell: int = Field(512, ge=1, le=65536)
    """Side, pixels, of the cells in which edges are counted; a region is a cell with its eight neighbours."""
    soft_share: float = Field(0.002, ge=0, le=1)
    """Share of a region's edges that must be soft."""

    @model_validator(mode="after")
    def _odd_windows(self) -> Self:
        if self.near % 2 == 0 or self.window % 2 == 0:
            raise ValueError("near and window must be odd")
        return self

    @property
    def halo(self) -> int:
        """Pixels of surroundings that decide about one pixel."""
        return self.near // 2 + self.window // 2


class ThinCloudSettings(Settings):
    """Kernel sides (odd, pixels) and the truncation level of the thin-cloud and shadow filter."""

    dilate: int = Field(7, ge=1, le=LARGEST)
    median: int = Field(155, ge=3, le=LARGEST)
    truncate: Level = Field(235, ge=1, le=255)
    thin_max: Level | None = Field(None, ge=1, le=254)
    """Filtered brightness of thin ice, at most; None: that of the thresholds, as published."""
    guard: GuardSettings | None = None
    """None filters wherever the published method does."""

    @model_validator(mode="after")
    def _odd_kernels(self) -> Self:
        if self.dilate % 2 == 0 or self.median % 2 == 0:
            raise ValueError("kernel sides must be odd")
        return self

    @property
    def halo(self) -> int:
        """Pixels of surroundings that decide one pixel's value."""
        return max(self.dilate // 2 + self.median // 2, self.guard.halo if self.guard else 0)


class LabelingProfile(Settings):
    """A rendering with the cut points and filter that belong to it."""

    name: str
    version: int = Field(ge=1)
    description: str = ""
    rendering: str = "rgb8"
    """Name of the 8-bit picture the cut points were made for; a scene of another rendering is refused."""
    nodata: Literal["ignore", "water"] = "ignore"
    thresholds: ThresholdSettings = ThresholdSettings()
    thin_clouds: ThinCloudSettings | None = ThinCloudSettings()
    """None labels the picture as it is, without the filter."""

    @property
    def halo(self) -> int:
        """Pixels of surroundings that decide one pixel's label."""
        return self.thin_clouds.halo if self.thin_clouds else 0


KINDS: Final = ("l1c", "l2a")
"""Ends of the names of a profile's variants for products."""

_SHIPPED = files("labeling.ice") / "profiles"


def profile_names() -> list[str]:
    """Return the names of the profiles that come with the project."""
    return sorted(
        item.name.removesuffix(".yaml") for item in _SHIPPED.iterdir() if item.name.endswith(".yaml")
    )


def load_profile(name: str) -> LabelingProfile:
    """Return a shipped profile by name, or one from a YAML file by its path."""
    if name in profile_names():
        with as_file(_SHIPPED / f"{name}.yaml") as file:  # the project may be in a zip
            return load_settings(LabelingProfile, file, {})
    if name.endswith((".yaml", ".yml")):
        return load_settings(LabelingProfile, Path(name), {})
    raise ConfigError(
        f"no labelling profile '{name}': choose one of {', '.join(profile_names())}, or give a .yaml file"
    )


def load_variants(name: str) -> list[LabelingProfile]:
    """Return a profile and, of a shipped one, its variants for products: NAME-l1c and NAME-l2a."""
    names = [name, *(f"{name}-{kind}" for kind in KINDS)]
    return [load_profile(each) for each in names if each == name or each in profile_names()]


def fitting(renderings: Iterable[str]) -> list[str]:
    """Return the names of the shipped profiles for scenes that can be drawn in these renderings."""
    drawn = set(renderings)
    return [name for name in profile_names() if load_profile(name).rendering in drawn]
