"""Land as the jobs use it: settings that are checked before a job starts, and the mask of a scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from labeling.errors import SceneError
from labeling.masks.land_settings import LandSettings, vector_state
from labeling.scenes.contract.scene import SceneInfo


def checked(settings: LandSettings) -> LandSettings:
    """Return settings whose file can be read, with a path that workers find from any folder.

    Raises ConfigError as `open_layer`.
    """
    if settings.vector is None:
        return settings
    from labeling.masks.land import open_layer  # a quarter of a second of imports, and most runs name no file

    open_layer(settings.vector, settings.layer)
    return settings.model_copy(update={"vector": settings.vector.absolute()})


def land_inputs(settings: LandSettings) -> dict[str, Any]:
    """Return what decides where land is, for a completion mark: the settings and the state of the file."""
    files = {} if settings.vector is None else vector_state(settings.vector)
    return settings.model_dump(mode="json") | {"files": files}


def find_land(info: SceneInfo, settings: LandSettings) -> NDArray[np.bool_] | None:
    """Return which pixels of a scene are land, bool (height, width); None where no file is set.

    Raises SceneError for a scene without georeference.
    """
    if settings.vector is None:
        return None
    if info.crs is None or info.affine is None:
        raise SceneError(
            f"{info.where} does not say where it lies, so land cannot be found in it. Give it a "
            "georeference, or leave land.vector out."
        )
    from labeling.masks.land import land_mask

    crs = CRS.from_wkt(info.crs)
    return land_mask(settings, crs=crs, transform=info.affine, height=info.height, width=info.width)
