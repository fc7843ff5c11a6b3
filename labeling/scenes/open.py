"""Scenes: one way to open and read whatever holds the pixels.

A scene is an 8-bit RGB picture (GeoTIFF, PNG, JPEG) or a Sentinel-2 product (SAFE folder or zip, GeoTIFF
with named bands, STAC item). Nothing else in the project knows the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rasterio._err import CPLE_BaseError

from labeling.errors import SceneError
from labeling.files.fetch import probe
from labeling.files.redact import without_secrets
from labeling.files.state import state_of
from labeling.files.storage import AnyPath, at, is_s3
from labeling.files.uri import foreign, is_url, quoted, shown
from labeling.scenes.contract.rendering import RGB8, base_of, find_rendering, missing
from labeling.scenes.contract.scene import Scene, SceneInfo
from labeling.scenes.picture import SUFFIXES, open_picture
from labeling.scenes.products.safe.known import is_safe
from labeling.scenes.products.safe.reader import open_product
from labeling.scenes.products.scene import ProductScene
from labeling.scenes.products.stac.item import list_items
from labeling.scenes.products.stac.reader import has_items, is_stac, open_stac
from labeling.scenes.products.stacks.reader import is_stack, open_stack

_SAY_SO = (
    "State it: in a GeoTIFF by `for tag in SUN_ZENITH=61 SUN_AZIMUTH=55 VIEW_ZENITH=4 VIEW_AZIMUTH=200; do "
    "rio edit-info --tag $tag FILE; done` (the product's MTD_TL.xml has the figures), in a STAC item by "
    "view:sun_elevation, view:sun_azimuth, view:incidence_angle and view:azimuth; or use a profile whose "
    "rendering does without, such as iqrah-2024-l1c."
)
"""What to do about missing angles; a SAFE product states them all in its MTD_TL.xml."""


def is_scene(path: AnyPath) -> bool:
    """Tell whether a file or folder is a scene, from its name; JSON has to hold STAC items too."""
    return path.suffix.lower() in SUFFIXES or is_safe(path) or has_items(path)


def searched_for() -> str:
    """Return what a folder is searched for, for messages."""
    return (
        f"{', '.join(sorted(SUFFIXES))}, products in SAFE format (folders or .zip) and STAC items (.json, "
        ".geojson), two levels down"
    )


def list_scenes(uri: str) -> list[str]:
    """Return the URIs of the scenes that a path or URL stands for: the items of a STAC list, or else its own.

    SceneError when a list cannot be read.
    """
    return list_items(uri) if is_stac(uri) else [uri]


@contextmanager
def open_scene(uri: str, rendering: str | None = None) -> Iterator[Scene]:
    """Open a scene, a path or URL, for reading in a rendering (None: its own).

    SceneError says why it cannot be used and what to do.
    """
    with ExitStack() as stack:
        try:
            scene = stack.enter_context(_open(uri, rendering))
        # GDAL takes names for UTF-8, and may say what is wrong with a file when it is asked for any fact.
        except (UnicodeDecodeError, CPLE_BaseError) as error:
            raise SceneError(
                f"{shown(uri)} is damaged: what it says of itself cannot be read "
                f"({without_secrets(str(error))}). Fetch or write it again."
            ) from None
        if rendering is not None and not scene.info.can_be(rendering):
            raise SceneError(refusal(scene.info, rendering))
        yield scene


def refusal(info: SceneInfo, rendering: str, needed_by: str = "what is asked for") -> str:
    """Return why a scene is refused that cannot be read in the rendering that something needs."""
    lacking = missing(rendering, info.light) if base_of(rendering) in info.renderings else None
    if lacking:
        return f"{info.where} does not say {lacking}, and {needed_by} needs {rendering}. {_SAY_SO}"
    if info.product_type is None and info.renderings[0].startswith("tci-"):
        return (
            f"{info.where} is by its name a product's true-colour image. It is white from reflectance "
            f"{find_rendering(info.renderings[0]).top:g} on, grey ice and snow alike, so no brightness parts "
            f"thin ice from thick, and {needed_by} needs {rendering}. Give the product itself, or its bands "
            "B02, B03 and B04; a picture that only happens to have such a name, rename."
        )
    if info.product_type is None and RGB8 not in (*info.renderings, rendering):
        return (
            f"{info.where} does not say whether it is L1C (top of the atmosphere) or L2A (surface), and "
            f"{needed_by} needs {rendering}. State it: in a GeoTIFF by `rio edit-info --tag PRODUCT_TYPE=L2A "
            f"{quoted(info.uri)}`, in a STAC item by s2:product_type."
        )
    return (
        f"{info.where} can be read as {' or '.join(info.renderings)}, but {needed_by} needs "
        f"{rendering}. Brightness means something else in each rendering: use a profile or model that fits."
    )


@contextmanager
def _open(uri: str, rendering: str | None) -> Iterator[Scene]:
    _check_name(uri)
    if is_stac(uri):
        with open_stac(uri) as (item, state):
            yield ProductScene(uri, item, state, rendering)
        return
    path = at(uri)
    if is_s3(uri):
        _check_object(uri)
    if (is_url(uri) and not is_s3(uri)) or is_stack(path):
        with open_stack(uri) as (stack, state):
            yield ProductScene(uri, stack, state, rendering)
        return
    if isinstance(path, Path):
        _check_file(path)
    if is_safe(path):
        with open_product(uri) as product:
            yield ProductScene(uri, product, state_of(path), rendering)
    else:
        with open_picture(path) as picture:
            yield picture


def _check_name(uri: str) -> None:
    try:
        uri.encode()
    except UnicodeEncodeError:
        raise SceneError(f"{uri!r} has a name that is not UTF-8. Rename it.") from None
    if wrong := foreign(uri):
        raise SceneError(f"the scene is at {wrong}. Fetch it, and give the local copy.")


def _check_object(uri: str) -> None:
    if probe(uri).bytes == 0:
        raise SceneError(f"{uri} is empty (0 bytes). Fetch or write it again.")


def _check_file(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise SceneError(f"{path} is a link that leads nowhere, or in a circle. Mend the link.")
    if not path.exists():
        raise SceneError(f"{path} does not exist. Check the path, or the quotes around a glob.")
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        raise SceneError(f"{path} cannot be listed. Let the user read it that runs the job.")
    if path.is_dir() and not is_safe(path):
        raise SceneError(f"{path} is a folder, but no product. Give its pictures, as in '{path}/*.tif'.")
    if not path.is_file() and not path.is_dir():
        raise SceneError(f"{path} is no file, but a pipe or a device. Give a file.")
    if path.is_file() and path.stat().st_size == 0:
        raise SceneError(f"{path} is empty (0 bytes). Fetch or write it again.")
