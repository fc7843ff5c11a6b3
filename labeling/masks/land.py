"""Land that a run leaves out: settings, checked before a job starts, and the mask of a scene."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from rasterio.crs import CRS

from labeling.errors import ConfigError, SceneError
from labeling.files.fields import LocalPath
from labeling.masks.vector_files import files_of
from labeling.scenes.contract.scene import SceneInfo
from labeling.settings import Settings


class LandSettings(Settings):
    """Where land and ice shelf are, which have no ice class."""

    vector: LocalPath | None = None
    """Polygons of land and ice shelf in any CRS, of a kind of vector_kinds.py; None where there is no file.

    Edges are straight in the file's own coordinates. Polygons in longitude and latitude may be cut at 180
    degrees or go on beyond, and one around a pole goes down to latitude -90 or up to 90.
    """
    layer: str | None = None
    """Name of the layer; needed only where the file has several."""
    grow: int = Field(0, ge=0, le=1000)
    """Pixels by which land grows on every side: coasts are drawn coarsely, and shelf fronts move."""
    product: bool = False
    """Whether what an L2A product's own scene classification takes for land is land too."""


def vector_state(path: Path) -> dict[str, list[int]]:
    """Return what tells this state of a vector file from another: [bytes, change time in ns] by file name.

    All that make up a shapefile count. Raises ConfigError where there is none.
    """
    try:
        stats = {os.path.relpath(file, path.parent): file.stat() for file in files_of(path)}
    except OSError as error:
        raise ConfigError(f"cannot read the land file {path}: {error.strerror}. Check land.vector.") from None
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def checked(settings: LandSettings) -> LandSettings:
    """Return settings whose file can be read, with a path that workers find from any folder.

    Raises ConfigError as `open_layer`.
    """
    if settings.vector is None:
        return settings
    from labeling.masks.layers import (
        open_layer,  # a quarter of a second of imports, and most runs name no file
    )

    open_layer(settings.vector, settings.layer)
    return settings.model_copy(update={"vector": settings.vector.absolute()})


def land_inputs(settings: LandSettings) -> dict[str, Any]:
    """Return what decides where land is, for a completion mark: the settings and the state of the file."""
    files = {} if settings.vector is None else vector_state(settings.vector)
    return settings.model_dump(mode="json") | {"files": files}


def find_land(info: SceneInfo, settings: LandSettings) -> NDArray[np.bool_] | None:
    """Return which pixels of a scene are land, bool (height, width); None where no file is set.

    Raises SceneError for a scene that has no place on Earth, and ConfigError as `open_layer` and `land_mask`.
    """
    if settings.vector is None:
        return None
    if info.crs is None or info.affine is None:
        raise SceneError(
            f"{info.where} does not say where it lies, so land cannot be found in it. Give it a "
            "georeference, or leave land.vector out."
        )
    from labeling.masks.layers import open_layer
    from labeling.masks.polygons import land_mask

    return land_mask(
        open_layer(settings.vector, settings.layer),
        crs=CRS.from_wkt(info.crs),
        transform=info.affine,
        height=info.height,
        width=info.width,
        grow=settings.grow,
    )
