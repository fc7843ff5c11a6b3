"""The atmosphere of simulated products against published values, conservation and analytic limits."""

from math import cos, exp, pi, radians, sin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.simulation.scattering import Layer, henyey_greenstein, mixed, rayleigh_phase, solve

DIPOLES = rayleigh_phase(0)
ISOTROPIC = henyey_greenstein(0)
NADIR = {"view": 1.0, "azimuth": 0.0}

MU = (0.018014, 0.538263, 0.981986)
SWEIGART = [
    # Optical depth, single scattering albedo, diffuse flux down, flux up (a beam of pi), radiances at MU.
    (0.2, 0.5, 4.41791e-2, 5.35063e-2, (1.61796e-1, 2.11501e-2, 7.86713e-3)),
    (0.2, 1.0, 1.06123e-1, 1.25561e-1, (3.47678e-1, 4.87120e-2, 1.89387e-2)),
    (5.0, 0.5, 2.51683e-4, 6.24730e-2, (1.62566e-1, 2.45786e-2, 1.01498e-2)),
]


@pytest.mark.parametrize(("depth", "albedo", "down", "up", "radiances"), SWEIGART)
def test_rayleigh_layers_are_those_of_the_published_tables(depth, albedo, down, up, radiances):
    # Sweigart 1970 (Astrophys. J. Suppl. 22, table 1), as DISORT's test problem 2 lists it: the cosine of the
    # sun is 0.080442, and the sensor faces the sun.
    sun = 0.080442
    for view, expected in zip(MU, radiances, strict=True):
        found = solve([Layer(depth, albedo, DIPOLES)], sun=sun, view=view, azimuth=pi)
        assert sun * found.path == pytest.approx(expected, rel=6e-4)
        assert pi * sun * (found.down - found.direct) == pytest.approx(down, rel=3e-4)
        if albedo == 1:
            # What is neither passed nor scattered down is reflected.
            assert pi * sun * (1 - found.down) == pytest.approx(up, rel=2e-4)


@given(depth=st.floats(0.001, 3), sun=st.floats(0.1, 1), asymmetry=st.floats(0, 0.7))
@settings(max_examples=10, deadline=None)
def test_nothing_is_lost_without_absorption(depth, sun, asymmetry):
    layers = [Layer(depth / 3, 1, DIPOLES), Layer(depth, 1, henyey_greenstein(asymmetry))]
    nodes, weights = np.polynomial.legendre.leggauss(8)
    # Eight azimuths: the mean of the eight modes is the first one.
    seen = [
        [solve(layers, sun=sun, view=(node + 1) / 2, azimuth=turn * pi / 4) for turn in range(8)]
        for node in nodes
    ]
    reflected = sum(
        weight * (node + 1) / 2 * np.mean([one.path for one in views])
        for node, weight, views in zip(nodes, weights, seen, strict=True)
    )
    assert reflected + seen[0][0].down == pytest.approx(1, abs=1e-3)
    # The ground's light goes up, or comes back to it.
    passed = sum(
        weight * (node + 1) / 2 * views[0].up
        for node, weight, views in zip(nodes, weights, seen, strict=True)
    )
    assert passed + seen[0][0].sphere == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("zenith", [40, 60, 75])
@pytest.mark.parametrize("azimuth", [0.0, 1.2, pi])
def test_a_thin_layer_scatters_once(zenith, azimuth):
    sun, view, depth = cos(radians(zenith)), cos(radians(8)), 1e-4
    found = solve([Layer(depth, 1, DIPOLES)], sun=sun, view=view, azimuth=azimuth)
    # The phase function at the angle between the two directions of travel.
    angle = -sun * view - sin(radians(zenith)) * sin(radians(8)) * cos(azimuth)
    assert found.path == pytest.approx(depth * 0.75 * (1 + angle**2) / (4 * sun * view), rel=1e-3)
    assert 1 - found.down == pytest.approx(depth / 2 / sun, rel=1e-3)
    # Half of it is turned back, and diffuse light goes twice as far as straight light.
    assert found.sphere == pytest.approx(depth, rel=5e-3)


@pytest.mark.parametrize("depth", [0.02, 0.05, 0.1, 0.15, 0.24])
def test_the_spherical_albedo_is_that_of_the_two_stream_formula(depth):
    # Vermote and Tanre 1992 (JQSRT 47), through the exponential integrals.
    grid = np.linspace(1, 400, 2_000_001)
    third = np.trapezoid(np.exp(-depth * grid) / grid**3, grid)
    expected = (3 * depth - third * (4 + 2 * depth) + 2 * exp(-depth)) / (4 + 3 * depth)
    assert solve([Layer(depth, 1, DIPOLES)], sun=0.5, **NADIR).sphere == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("asymmetry", [0.0, 0.65])
def test_layers_can_be_cut_anywhere(asymmetry):
    phase = henyey_greenstein(asymmetry)
    whole = solve([Layer(0.4, 0.9, phase)], sun=0.4, view=0.98, azimuth=0.7)
    cut = solve([Layer(0.1, 0.9, phase), Layer(0.3, 0.9, phase)], sun=0.4, view=0.98, azimuth=0.7)
    assert cut == pytest.approx(whole, rel=1e-6)


def test_light_takes_the_same_way_back():
    layers = [Layer(0.1, 1, DIPOLES), Layer(0.2, 0.9, henyey_greenstein(0.6))]
    one = solve(layers, sun=0.3, view=0.9, azimuth=0.5)
    other = solve(layers, sun=0.9, view=0.3, azimuth=0.5)
    assert one.path == pytest.approx(other.path, rel=1e-9)
    assert (one.down, one.up) == pytest.approx((other.up, other.down), rel=1e-9)


def test_the_ground_sees_the_lowest_layer():
    clear, hazy = Layer(0.05, 1, ISOTROPIC), Layer(0.05, 0.2, ISOTROPIC)
    above = solve([hazy, clear], sun=0.5, **NADIR).sphere
    below = solve([clear, hazy], sun=0.5, **NADIR).sphere
    assert above > below * 1.1


def test_a_mixture_scatters_as_its_parts_do():
    parts = [Layer(0.1, 1, DIPOLES), Layer(0.3, 0.5, henyey_greenstein(0.6))]
    found = mixed(parts)
    assert found.depth == pytest.approx(0.4)
    assert found.albedo == pytest.approx(0.25 / 0.4)
    # By scattering, 0.1 and 0.15: the first moment is 3 g of the second part.
    assert found.phase[:3] == pytest.approx([1, 1.8 * 0.6, 0.5 * 0.4 + 5 * 0.36 * 0.6])
