"""What may lie beside a scene's file that no picture shows: its true classes, and the sky over them.

scenes/
  ross-01.tif          the picture
  ross-01.truth.tif    true classes
  ross-01.cloud.tif    optical depth of the cloud
  ross-01.shadow.tif   strength of the shadow
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

SIDECARS: Final = (".truth", ".cloud", ".shadow")
"""Ends of the stems of such files: they are not scenes."""


def truth_path(scene: Path) -> Path:
    """Return where the true classes of a simulated scene lie."""
    return sidecar_path(scene, ".truth")


def sidecar_path(scene: Path, kind: str) -> Path:
    """Return where a scene's companion of a kind (one of SIDECARS) lies; beside a product it is a GeoTIFF."""
    suffix = ".tif" if scene.suffix.lower() in {".safe", ".zip"} else scene.suffix
    return scene.with_name(f"{scene.stem}{kind}{suffix}")
