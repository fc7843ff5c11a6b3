"""What processes of trainings that tests start need not load."""

import os
from pathlib import Path


def lean_environment():
    """Return the environment of a training that starts without Matplotlib.

    Keras loads it with itself, for pictures that no training draws: a fifth of what a rank takes to start.
    """
    folder = str(Path(__file__).with_name("lean"))
    path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
