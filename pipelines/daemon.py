"""Spark's Python daemon with our code loaded and warm: the workers it forks need not import anything.

Spark starts it with `python -m` where a session of our own asks for it (session.py). Two seconds of imports,
and half a second in which numba loads the kernels, are then spent once on a machine and not in each worker.
"""

from __future__ import annotations

import gc

import cv2
import numpy as np
from pyspark.daemon import manager

import pipelines.label_worker  # noqa: F401
from labeling.label import label_scene
from labeling.profile import load_profile


def warm() -> None:
    """Run every kernel once, and take all that is loaded out of the garbage collector's sight."""
    cv2.setNumThreads(1)  # threads would not survive the fork
    picture = np.full((3, 256, 256), 200, np.uint8)
    for name in ("iqrah-2024-raw", "iqrah-2024", "polynya"):
        label_scene(picture, None, load_profile(name))
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    warm()
    manager()  # type: ignore[no-untyped-call]
