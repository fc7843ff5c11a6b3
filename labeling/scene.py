"""Scenes: one way to open and read whatever holds the pixels.

A scene is an 8-bit RGB picture (GeoTIFF, PNG, JPEG) or a Sentinel-2 product (SAFE folder or zip). Nothing
else in the project knows the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labeling.errors import SceneError
from labeling.picture import SUFFIXES, open_picture
from labeling.products.scene import is_product, open_product_scene
from labeling.scene_info import Pixels, Scene, SceneInfo

__all__ = ["Pixels", "Scene", "SceneInfo", "is_scene", "open_scene", "searched_for"]


def is_scene(path: Path) -> bool:
    """Tell from its name whether a file or folder is a scene."""
    return path.suffix.lower() in SUFFIXES or is_product(path)


def searched_for() -> str:
    """Return what a folder is searched for, for messages."""
    return f"{', '.join(sorted(SUFFIXES))}, S2*.SAFE and S2*.zip"


@contextmanager
def open_scene(uri: str, rendering: str | None = None) -> Iterator[Scene]:
    """Open a scene for reading in a rendering (None: its own).

    SceneError says why it cannot be used and what to do.
    """
    path = Path(uri)
    _check_file(path)
    opened = open_product_scene(path, rendering) if is_product(path) else open_picture(path)
    with opened as scene:
        if rendering is not None and rendering not in scene.info.renderings:
            raise SceneError(
                f"{path} has pixels of {' or '.join(scene.info.renderings)}, not of {rendering}. Brightness "
                "means something else in each rendering: use a profile or model that fits."
            )
        yield scene


def _check_file(path: Path) -> None:
    if not path.exists():
        raise SceneError(f"{path} does not exist. Check the path, or the quotes around a glob.")
    if path.is_dir() and not is_product(path):
        raise SceneError(f"{path} is a folder, but no product. Give its pictures, as in '{path}/*.tif'.")
    if path.is_file() and path.stat().st_size == 0:
        raise SceneError(f"{path} is empty (0 bytes). Fetch or write it again.")
