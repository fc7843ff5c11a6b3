"""What a file of a network says it holds, held against its own size before anything of it is built or read.

A few hundred bytes can ask for any number of weights: by sizes of layers in its configuration, by shapes in
its HDF5 file that were never written, or packed so that they unpack to more.
"""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, Final

import h5py
import keras
import numpy as np

from labeling.in_time import in_time

WEIGHTS: Final = "model.weights.h5"
CONFIG: Final = "config.json"
LARGEST_CONFIG: Final = 16 << 20
"""Bytes; that of a U-Net has some ten thousand."""
_SLACK: Final = 1 << 20
"""Bytes: states of random numbers are no weights, and weights are kept with their names."""


def declared_fault(file: Path) -> str | None:
    """Return what a network asks for beyond what its file can hold, as the end of a sentence; None: nothing.

    Raises whatever zipfile, h5py and Keras do where it is damaged.
    """
    size = file.stat().st_size
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        # Keras packs nothing; zipped again by others, weights hardly shrink.
        if unpacked > 2 * size + LARGEST_CONFIG or archive.getinfo(CONFIG).file_size > LARGEST_CONFIG:
            return f"unpacks to {_mib(unpacked)}, and its file has {_mib(size)}"
        config, weights = json.loads(archive.read(CONFIG)), archive.read(WEIGHTS)
    with h5py.File(BytesIO(weights), "r") as held:
        written, led_out = _written(held)
    if led_out:
        return f"takes weights from elsewhere ({led_out})"
    if written > len(weights):
        return f"says that it holds {_mib(written)} of weights, and its file has {_mib(size)}"
    asked = in_time(lambda: _asked(config))
    if asked > written + _SLACK:
        return f"asks for {_mib(asked)} of weights, and its file holds {_mib(written)}"
    return None


def _written(held: h5py.File) -> tuple[int, str]:
    """Return how many bytes of weights an HDF5 file says it holds, and what in it leads to other files."""
    total, led_out = 0, ""

    def look(name: str, link: Any) -> None:
        nonlocal total, led_out
        found = held.get(name) if isinstance(link, h5py.HardLink) else None
        if isinstance(found, h5py.Dataset):
            total += found.size * found.dtype.itemsize
        elsewhere = isinstance(found, h5py.Dataset) and (found.external or found.is_virtual)
        if elsewhere or not isinstance(link, h5py.HardLink):
            led_out = name

    held.visititems_links(look)
    return total, led_out


def _asked(config: dict[str, Any]) -> int:
    """Return how many bytes of variables a network has, none of which is made.

    Keras keeps a list, by thread, of variables it is still to make: this thread ends, and its list with it.
    """
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object(config)
    return sum(prod(each.shape) * np.dtype(each.dtype).itemsize for each in network.variables)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.2f} MiB"
