"""What every kind of scene is to the rest of the project: a description, and windows of 8-bit pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from labeling.doubt import Doubt
from labeling.files.uri import shown
from labeling.grid import Block
from labeling.scenes.contract.product import Product
from labeling.scenes.contract.rayleigh import Angles
from labeling.scenes.contract.rendering import Light, base_of, missing

GDAL_OPTIONS: Final = {
    # A damaged JPEG is an error, not grey pixels.
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,
    # A PNG cut off is an error too: the faster reader fills the rest with whatever was in memory.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": False,
    # Spark runs one task per core already.
    "GDAL_NUM_THREADS": 1,
    # Bytes: two rows of a true-colour image's JPEG 2000 tiles, which a map's windows come back to. GDAL would
    # keep 5 % of the machine's memory in every worker, and using memory for the first time takes long.
    "GDAL_CACHEMAX": 96 << 20,
}


class SceneInfo(NamedTuple):
    """What a catalogue row says about a scene."""

    uri: str
    group: str
    """Acquisition: chips of one group never fall into different splits."""
    renderings: list[str]
    """Names of the renderings it can be read in, its own first."""
    height: int
    width: int
    crs: str | None
    """WKT, None without georeference."""
    transform: list[float] | None
    """Affine a, b, c, d, e, f; None without georeference."""
    block: list[int]
    """Rows and columns of the pieces that decode on their own; the whole size where there are none."""
    bytes: int
    modified_ns: int
    etag: str | None = None
    """What a server calls this state of the file; None for a file of this machine."""
    product_type: str | None = None
    """L1C or L2A; this and all that follows is None where the scene does not say, as a picture."""
    baseline: str | None = None
    """Processing baseline, for example "05.00"."""
    sensing_time: str | None = None
    """ISO 8601, UTC."""
    relative_orbit: int | None = None
    tile: str | None = None
    """MGRS tile, for example "58CDU"."""
    sun_zenith: float | None = None
    """Degrees: 0 overhead, 90 at the horizon."""
    angles: list[list[float]] | None = None
    """Where sun and satellite stood for red, green and blue: rayleigh.Angles each."""
    unit: str | None = None
    """The satellite: A, B or C."""
    rim: int = 0
    """Pixels by which no-data that is known by its value alone grows: lossy formats smear its edge."""
    doubts: list[list[str]] | None = None
    """What spoke against the scene when it was opened: code and text of a labeling.doubt.Doubt each."""

    def dumps(self) -> str:
        """Return the description as JSON, to travel in a table."""
        return json.dumps(self._asdict())

    @classmethod
    def loads(cls, text: str) -> SceneInfo:
        """Read what `dumps` wrote."""
        return cls(**json.loads(text))

    def identity(self) -> dict[str, Any]:
        """Return what tells this state of the scene's file from another."""
        names = ("uri", "bytes", "modified_ns", "etag")
        return {name: getattr(self, name) for name in names}

    def is_in(self, inputs: Mapping[str, Any]) -> bool:
        """Tell whether this state of the scene's file is what the inputs in a completion mark name."""
        return all(inputs.get(name) == value for name, value in self.identity().items())

    def can_be(self, rendering: str) -> bool:
        """Tell whether the scene can be read in a rendering; some need to know its sun and view."""
        return base_of(rendering) in self.renderings and missing(rendering, self.light) is None

    @property
    def light(self) -> Light:
        """How the scene was lit and seen, as far as it says."""
        angles = None if self.angles is None else [Angles(*each) for each in self.angles]
        return Light(self.sun_zenith, angles, self.unit)

    @property
    def where(self) -> str:
        """The URI for messages and published files: without what signs a link."""
        return shown(self.uri)

    @property
    def windowed(self) -> bool:
        """Whether a window can be read without decoding all of the rest."""
        return self.block != [self.height, self.width]

    @property
    def affine(self) -> Affine | None:
        """The transform from (column, row) to coordinates, None without georeference."""
        return None if self.transform is None else Affine(*self.transform)

    @property
    def doubted(self) -> list[Doubt]:
        """What spoke against the scene when it was opened."""
        return [Doubt(*each) for each in self.doubts or ()]


class Pixels(NamedTuple):
    """A window of a scene, rendered to 8 bit."""

    rgb: NDArray[np.uint8]
    """Band-first (3, height, width) in true R, G, B order."""
    valid: NDArray[np.bool_] | None
    """False where the scene says no-data, (height, width); None where the scene says nothing."""
    beyond: NDArray[np.bool_] | None = None
    """True where reflectance lies beyond what can be (plausible.py), (height, width); None for a picture."""


class Scene(Protocol):
    """An open scene. It is not shared between threads and never crosses to another process."""

    @property
    def info(self) -> SceneInfo:
        """The scene's description."""

    @property
    def product(self) -> Product | None:
        """The product behind the picture, for who needs more of its bands; None for a plain picture."""

    def read(self, block: Block) -> Pixels:
        """Read a window; SceneError when its pixels cannot be decoded."""

    def preview(self, *, height: int, width: int) -> NDArray[np.uint8]:
        """Return the whole scene reduced to (height, width, 3), u8, without reading all of it if possible."""
