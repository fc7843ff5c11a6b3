"""Labelling profiles: everything that decides a label, named and versioned, kept as YAML in profiles/."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
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

    evidence: str = "regions-v1"
    """Name of the table of weights, one of guards/*.yaml."""
    near: int = Field(9, ge=3, le=LARGEST)
    """Side, pixels (odd), of the surroundings whose span of grey levels says how soft an edge is."""
    spans: tuple[Level, Level, Level, Level] = (64, 32, 16, 8)
    """Grey levels from the darkest to the brightest pixel there: an edge is as soft as many it keeps to."""
    reach: Level = Field(66, ge=1, le=254)
    """Grey levels that a candidate is darker than its background, at most: the filter lifts no darker one."""
    background_levels: tuple[Level, Level, Level, Level] = (150, 200, 225, 240)
    """Grey levels that part backgrounds."""
    snow_levels: tuple[Level, Level, Level] = (220, 232, 244)
    """Grey levels that part thick ice."""
    cell: int = Field(64, ge=1, le=65536)
    """Side, pixels, of the cells of the grid."""
    soft_share: float = Field(0.005, ge=0, le=1)
    """Share of a region's edges that must be soft (the third of `spans`) for the filter to lift there."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.near % 2 == 0:
            raise ValueError("near must be odd")
        for name in ("background_levels", "snow_levels"):
            if list(getattr(self, name)) != sorted(set(getattr(self, name))):
                raise ValueError(f"{name} must rise")
        if list(self.spans) != sorted(set(self.spans), reverse=True):
            raise ValueError("spans must fall")
        return self

    @property
    def halo(self) -> int:
        """Pixels of surroundings that decide about one pixel."""
        return self.near // 2


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

    @property
    def guard(self) -> GuardSettings | None:
        """Settings of the filter's guard; None without one."""
        return self.thin_clouds.guard if self.thin_clouds else None


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
        return _shipped(name)
    if name.endswith((".yaml", ".yml")):
        return load_settings(LabelingProfile, Path(name), {})
    raise ConfigError(
        f"no labelling profile '{name}': choose one of {', '.join(profile_names())}, or give a .yaml file"
    )


@cache
def _shipped(name: str) -> LabelingProfile:
    """Read a shipped profile once: every refused scene asks all of them whether they would fit."""
    with as_file(_SHIPPED / f"{name}.yaml") as file:  # the project may be in a zip
        return load_settings(LabelingProfile, file, {})


def load_variants(name: str) -> list[LabelingProfile]:
    """Return a profile and, of a shipped one, its variants for products: NAME-l1c and NAME-l2a."""
    names = [name, *(f"{name}-{kind}" for kind in KINDS)]
    return [load_profile(each) for each in names if each == name or each in profile_names()]


def fitting(renderings: Iterable[str]) -> list[str]:
    """Return the names of the shipped profiles for scenes that can be drawn in these renderings."""
    drawn = set(renderings)
    return [name for name in profile_names() if load_profile(name).rendering in drawn]
