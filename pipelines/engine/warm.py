"""A Python daemon with our code loaded and warm: workers that it forks import little but their own module.

    python -m pipelines.engine.warm NUMBER   warms up and waits for Java's daemon at that socket

daemon.py says who starts it.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from select import select

import cv2
import numpy as np
from pyspark.daemon import manager

import labeling.scenes.open
import labeling.stages.whole  # noqa: F401
import pipelines.engine.plan
import pipelines.engine.rows  # noqa: F401
from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile


def serve() -> None:
    """Do the work of Spark's daemon, on this process's stdin and stdout, until Java ends it."""
    manager()  # type: ignore[no-untyped-call]


def warm() -> None:
    """Run every kernel once, and take all that is loaded out of the garbage collector's sight."""
    cv2.setNumThreads(1)  # threads would not survive the fork
    picture = np.full((3, 256, 256), 200, np.uint8)
    for name in ("iqrah-2024-raw", "iqrah-2024", "polynya"):
        label_scene(picture, None, load_profile(name))
    gc.collect()
    gc.freeze()


def take_over(entry: socket.socket) -> bool:
    """Wait for Java's daemon and take its place: environment, stdin and stdout.

    Returns False when stdin ends before: there is no job any more.
    """
    if entry not in select([entry, sys.stdin], [], [])[0]:
        return False
    link, _ = entry.accept()
    entry.close()
    _, descriptors, _, _ = socket.recv_fds(link, 1, 2)
    with link.makefile("rb") as stream:
        environment = json.loads(stream.readline())
    os.environ.clear()
    os.environ.update(environment)
    for target, given in enumerate(descriptors):
        os.dup2(given, target)
        os.close(given)
    link.sendall(b"\0")
    link.detach()  # closed when this process ends, which the other waits for
    return True


if __name__ == "__main__":
    warm()
    if take_over(socket.socket(fileno=int(sys.argv[1]))):
        serve()
