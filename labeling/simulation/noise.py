"""Seeded random fields: the raw material of simulated scenes."""

from __future__ import annotations

from math import cos, sin
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

_LEAST_CELLS: Final = 96
"""Side of the smallest grid: a small picture is a window into a field as broad as a large one's."""


def fractal(
    rng: np.random.Generator,
    *,
    height: int,
    width: int,
    slope: float,
    longest: float,
    step: int = 1,
    stretch: float = 1.0,
    angle: float = 0.0,
) -> Field:
    """Return a Gaussian random field, f32 (height, width), of mean 0 and standard deviation 1.

    The amplitude falls as (wavenumber ** -slope) for waves shorter than `longest` pixels; 1 looks rough,
    2 like hills, 3 smooth. The field is drawn on every `step`-th pixel and interpolated. Features are
    `stretch` times longer along `angle` (radians from the x axis towards y) than across it.
    """
    rows, columns = _cells(height, step), _cells(width, step)
    white = rng.standard_normal((rows, columns), dtype=np.float32)
    spectrum = np.fft.rfft2(white) * _amplitude(rows, columns, slope, longest / step, stretch, angle)
    field = np.fft.irfft2(spectrum, s=(rows, columns), axes=(0, 1)).astype(np.float32)
    field /= max(float(field.std()), 1e-6)
    return enlarge(field, height=height, width=width, step=step)


def enlarge(field: Field, *, height: int, width: int, step: int) -> Field:
    """Interpolate a field given on every `step`-th pixel and crop it to (height, width)."""
    if step == 1:
        return np.ascontiguousarray(field[:height, :width])
    part = np.ascontiguousarray(field[: -(-height // step) + 1, : -(-width // step) + 1])
    rows, columns = part.shape
    large = cv2.resize(part, (columns * step, rows * step), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large[:height, :width], np.float32)


def _cells(pixels: int, step: int) -> int:
    """Return how many grid points a side needs; a size that the Fourier transform likes."""
    return cv2.getOptimalDFTSize(max(_LEAST_CELLS, -(-pixels // step) + 2))


def _amplitude(
    rows: int, columns: int, slope: float, longest: float, stretch: float, angle: float
) -> NDArray[np.float32]:
    """Return the filter in wavenumber space, (rows, columns // 2 + 1); 0 for the mean."""
    along_y = np.fft.fftfreq(rows).astype(np.float32)[:, None]
    along_x = np.fft.rfftfreq(columns).astype(np.float32)[None, :]
    # A feature that is long along the angle varies slowly there, so its waves count as longer than they are.
    along = (along_x * cos(angle) + along_y * sin(angle)) * stretch
    across = along_y * cos(angle) - along_x * sin(angle)
    squared = (along * along + across * across) * np.float32(longest * longest)
    amplitude = np.asarray((1.0 + squared) ** np.float32(-slope / 2), np.float32)
    amplitude[0, 0] = 0.0
    return amplitude


def sample(field: Field, x: NDArray[np.float32], y: NDArray[np.float32], *, step: int = 1) -> Field:
    """Return the field, given on every `step`-th pixel, at pixel positions x and y; edges are repeated."""
    # OpenCV remaps at most 32767 points in a row, so the points are folded into short rows.
    count = len(x)
    folded = -(-count // 1024) * 1024
    grid_x, grid_y = (np.resize(v / step, folded).astype(np.float32).reshape(-1, 1024) for v in (x, y))
    values = cv2.remap(field, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values, np.float32).reshape(-1)[:count]
