"""Light in a plane atmosphere, by adding and doubling of layers: reflection, transmission, spherical albedo.

A layer so thin that light scatters in it once at most is put upon itself until it has its depth, and layers
upon one another; light that goes to and fro between two of them is a linear system. Exact but for the
quadrature and polarisation, which is left out (that costs a few percent of the light that air scatters).
Sources: van de Hulst 1980, Multiple Light Scattering; Hansen and Travis 1974 (Space Sci. Rev. 16); de Haan,
Bosma and Hovenier 1987 (Astron. Astrophys. 183). Angles of sun and view are further nodes of weight 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import ceil, cos, log2
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NODES: Final = 12
"""Gauss nodes in a hemisphere: they hold polynomials up to degree 23 exactly."""

TERMS: Final = 2 * _NODES
"""Legendre terms of a phase function, at most."""

_MODES: Final = 8
"""Fourier modes in azimuth; a satellite within 12 degrees of the zenith sees no more."""

_THINNEST: Final = 1e-9
"""Optical depth of the layer that doubling starts from."""


class Layer(NamedTuple):
    """A homogeneous layer."""

    depth: float
    """Optical depth of extinction, vertical."""
    albedo: float
    """Share of the extinction that is scattering, 0..1."""
    phase: Array
    """Legendre coefficients of the phase function, (TERMS,); the first is 1, a mean of 1 over the sphere."""


class Passage(NamedTuple):
    """What an atmosphere does to light, in the sense of reflectance (all 0..1 and dimensionless)."""

    path: float
    """Reflectance over a black ground."""
    down: float
    """Transmittance of sunlight to the ground, direct and scattered."""
    direct: float
    """Its direct part."""
    up: float
    """Transmittance of the ground's light to the sensor, direct and scattered in."""
    sphere: float
    """Spherical albedo: share of the ground's light that the sky sends back to it."""


class _Slab(NamedTuple):
    """Fourier modes of reflection and transmission, each (modes, nodes out, nodes in)."""

    down_to_up: Array
    down_to_down: Array
    up_to_down: Array
    up_to_up: Array
    direct: Array
    """(nodes,)"""


def rayleigh_phase(depolarisation: float) -> Array:
    """Return the coefficients of air's phase function, (TERMS,), at a depolarisation factor (0: dipoles)."""
    phase = np.zeros(TERMS)
    phase[0], phase[2] = 1, 0.5 * (1 - depolarisation) / (1 + depolarisation / 2)
    return phase


def henyey_greenstein(asymmetry: float) -> Array:
    """Return the coefficients of Henyey and Greenstein's phase function, (TERMS,), at a mean cosine."""
    order = np.arange(TERMS)
    return np.asarray((2 * order + 1) * float(asymmetry) ** order)


def mixed(parts: Sequence[Layer]) -> Layer:
    """Return the layer that holds all these scatterers."""
    depth = sum(part.depth for part in parts)
    scattering = sum(part.depth * part.albedo for part in parts)
    weighted = np.sum([part.depth * part.albedo * part.phase for part in parts], axis=0)
    return Layer(depth, scattering / depth, weighted / scattering)


def solve(layers: Sequence[Layer], *, sun: float, view: float, azimuth: float) -> Passage:
    """Return what layers, the highest first, do to light.

    `sun` and `view` are cosines of zenith angles, above 0; `azimuth` is between the directions in which sun
    and sensor stand, radians: 0 where the sensor has the sun behind it.
    """
    nodes, weights = _gauss()
    mu = np.concatenate([nodes, [sun, view]])
    # Integrals of flux, 2 mu dmu over 0..1.
    flux = np.concatenate([2 * nodes * weights, [0, 0]])
    slab = reduce(lambda top, low: _add(top, low, flux), (_grow(layer, mu, flux) for layer in layers))
    at_sun, at_view = _NODES, _NODES + 1
    # Azimuths of travel: light comes from where the sun stands and goes to where the sensor stands.
    modes = [(1 if m == 0 else 2) * cos(m * (azimuth - np.pi)) for m in range(_MODES)]
    passed = flux @ slab.down_to_down[0]
    return Passage(
        path=float(slab.down_to_up[:, at_view, at_sun] @ modes),
        down=float(slab.direct[at_sun] + passed[at_sun]),
        direct=float(slab.direct[at_sun]),
        # Reciprocity: as much gets up from a uniform ground as would get down.
        up=float(slab.direct[at_view] + passed[at_view]),
        sphere=float(flux @ slab.up_to_down[0] @ flux),
    )


def _gauss() -> tuple[Array, Array]:
    """Return nodes and weights of Gauss's quadrature over 0..1, each (_NODES,).

    After Golub and Welsch 1969 (Math. Comput. 23), from the recurrence of Legendre's polynomials.
    """
    order = np.arange(1, _NODES)
    beside = order / np.sqrt(4.0 * order**2 - 1)
    nodes, vectors = np.linalg.eigh(np.diag(beside, 1) + np.diag(beside, -1))
    return (nodes + 1) / 2, vectors[0] ** 2


def _grow(layer: Layer, mu: Array, flux: Array) -> _Slab:
    doublings = max(0, ceil(log2(layer.depth / _THINNEST)))
    depth = layer.depth / 2**doublings
    same, opposite = _scattering(layer.phase, mu)
    scale = layer.albedo * depth / (4 * mu[:, None] * mu[None, :])
    reflected, passed = opposite * scale, same * scale
    slab = _Slab(reflected, passed, reflected, passed, np.exp(-depth / mu))
    for _ in range(doublings):
        down_to_up, down_to_down = _from_above(slab, slab, flux)
        slab = _Slab(down_to_up, down_to_down, down_to_up, down_to_down, slab.direct**2)
    return slab


def _scattering(phase: Array, mu: Array) -> tuple[Array, Array]:
    """Return the modes of the phase function, (modes, nodes, nodes): to the same side, and to the other."""
    same, opposite = [], []
    for mode in range(_MODES):
        legendre = _legendre(mode, mu)
        signs = (-1.0) ** (np.arange(TERMS) + mode)
        same.append(np.einsum("l,li,lj->ij", phase, legendre, legendre))
        opposite.append(np.einsum("l,li,lj->ij", phase * signs, legendre, legendre))
    return np.stack(same), np.stack(opposite)


def _legendre(mode: int, mu: Array) -> Array:
    """Return associated Legendre functions times sqrt((l - m)! / (l + m)!), (TERMS, nodes)."""
    values = np.zeros((TERMS, len(mu)))
    values[mode] = np.prod([np.sqrt((2 * k - 1) / (2 * k)) for k in range(1, mode + 1)])
    values[mode] *= (1 - mu * mu) ** (mode / 2)
    for order in range(mode + 1, TERMS):
        before = np.sqrt((order - 1) ** 2 - mode**2) * values[order - 2] if order > mode + 1 else 0
        values[order] = ((2 * order - 1) * mu * values[order - 1] - before) / np.sqrt(order**2 - mode**2)
    return values


def _add(top: _Slab, low: _Slab, flux: Array) -> _Slab:
    down_to_up, down_to_down = _from_above(top, low, flux)
    up_to_down, up_to_up = _from_above(_turned(low), _turned(top), flux)
    return _Slab(down_to_up, down_to_down, up_to_down, up_to_up, top.direct * low.direct)


def _turned(slab: _Slab) -> _Slab:
    return _Slab(slab.up_to_down, slab.up_to_up, slab.down_to_up, slab.down_to_down, slab.direct)


def _from_above(top: _Slab, low: _Slab, flux: Array) -> tuple[Array, Array]:
    """Return reflection and transmission of two slabs for light from above."""
    back = top.up_to_down * flux
    to_and_fro = back @ low.down_to_up
    lost = np.eye(len(flux)) - to_and_fro * flux
    down = np.linalg.solve(lost, top.down_to_down + to_and_fro * top.direct)
    up = low.down_to_up * top.direct + (low.down_to_up * flux) @ down
    reflected = top.down_to_up + top.direct[:, None] * up + (top.up_to_up * flux) @ up
    passed = low.direct[:, None] * down + low.down_to_down * top.direct + (low.down_to_down * flux) @ down
    return reflected, passed
