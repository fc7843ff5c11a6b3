"""Scenes that are refused as a whole: the sun too low, or hardly anything observed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from pydantic import Field

from labeling.doubt import Doubt
from labeling.errors import SceneError
from labeling.files.advice import edit_info, is_jpeg
from labeling.in_time import LateError, in_time
from labeling.scenes.contract.rendering import low_sun
from labeling.scenes.contract.scene import SceneInfo
from labeling.settings import Settings

T = TypeVar("T")


class LimitSettings(Settings):
    """From where on a scene is not worth a label."""

    sun_zenith: float | None = Field(
        80, gt=0, le=90, description="degrees; a scene under a lower sun is refused (null: none is)"
    )
    nodata: float | None = Field(
        None, gt=0, lt=1, description="share; a scene with more no-data is refused (null: none is)"
    )
    black: Literal["edge", "nodata"] = Field(
        "edge",
        description="black that is no-data where a picture declares none: what reaches its edge, or all",
    )
    seconds: float = Field(
        3600,
        gt=0,
        le=1e6,
        description="a scene is given up that takes longer to open, or to be worked on: as a whole, or in "
        "all the blocks that it is cut into, together",
    )

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides a scene's result, for its completion mark: how long it may take does not."""
        return self.model_dump(exclude={"seconds"})

    def in_time(self, work: Callable[[], T], spent: float = 0.0) -> T:
        """Return what work on a scene returns; SceneError when it takes longer than it may.

        `spent` are the seconds that earlier work on the scene took.
        """
        try:
            if spent >= self.seconds:
                raise LateError
            return in_time(work, self.seconds - spent)
        except LateError:
            raise SceneError(
                f"the scene was given up after {self.seconds:g} seconds, as limits.seconds says: what it is "
                "read from is too slow or too large, or was made to keep us waiting. Raise it in the "
                "configuration file, or leave the scene out."
            ) from None


def check_sun(info: SceneInfo, limits: LimitSettings) -> None:
    """Raise SceneError when the sun stood too low; a scene that does not say how high it stood passes."""
    if limits.sun_zenith is None or info.sun_zenith is None or info.sun_zenith <= limits.sun_zenith:
        return
    raise SceneError(
        f"{info.where} was taken with the sun {info.sun_zenith:.1f} degrees from the zenith, more than "
        f"limits.sun_zenith allows ({limits.sun_zenith:g}). Thresholds made under a higher sun mislead "
        "there. Raise the limit if you know better."
    )


def check_nodata(info: SceneInfo, pixels: int, limits: LimitSettings) -> None:
    """Raise SceneError when more than the allowed share of a scene, `pixels` of it, is no-data."""
    share = pixels / (info.height * info.width)
    if limits.nodata is None or share <= limits.nodata:
        return
    raise SceneError(
        f"{info.where} is no-data over {share:.1%} of its area, more than limits.nodata allows "
        f"({limits.nodata:.1%}). Leave the scene out, or raise the limit."
    )


def sun_doubts(info: SceneInfo, rendering: str) -> list[Doubt]:
    """Return a doubt where the sun stood lower than a rendering was made for."""
    low = low_sun(rendering, info.light)
    return [Doubt("low-sun", low)] if low else []


def black_doubts(info: SceneInfo, inner: int) -> list[Doubt]:
    """Return a doubt where black regions inside of a picture, `inner` pixels of it, pass for open water."""
    if not inner:
        return []
    share = inner / (info.height * info.width)
    text = (
        f"{share:.1%} of {info.where} is exactly black inside and taken for open water. If it was masked "
        "(cloud, land, what was not asked for), run again with --nodata 0 (limits.black: nodata), which "
        "takes all black of all pictures for no-data"
    )
    if not is_jpeg(info.uri):
        text += f"; or declare it in the file: `{edit_info(info.uri, '--nodata 0')}`"
    return [Doubt("inner-black", f"{text}.")]
