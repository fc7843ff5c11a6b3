"""Which land a run leaves out: the settings, and the state of the file they name."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from labeling.errors import ConfigError
from labeling.files.fields import LocalPath
from labeling.settings import Settings


class LandSettings(Settings):
    """Where land and ice shelf are, which have no ice class."""

    vector: LocalPath | None = None
    """Polygons of land and ice shelf, in any format and CRS that OGR reads; None where there is no such file.

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

    All files of a folder count, and all that make up a shapefile. Raises ConfigError where there is none.
    """
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    elif path.suffix.lower() == ".shp" and path.exists():
        files = sorted(file for file in path.parent.iterdir() if file.stem == path.stem)
    try:
        stats = {str(file.relative_to(path.parent)): file.stat() for file in files}
    except OSError as error:
        raise ConfigError(f"cannot read the land file {path}: {error.strerror}. Check land.vector.") from None
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
