"""The air of simulated scenes: depths, gases, and what they do to light."""

import numpy as np
import pytest

from labeling.bands import BLUE, GREEN, RED, Band
from labeling.simulation.air import Air, draw_air, rayleigh_depth, through_air
from labeling.simulation.safe.spec import Direction

NADIR = Direction(0.0, 0.0)


def seen(air, band, zenith=60.0, view=NADIR):
    return through_air(air, band, Direction(zenith, 40.0), view)


@pytest.mark.parametrize(
    # Bodhaine et al. 1999 at the bands' centres.
    ("band", "depth"), [("B01", 0.2366), ("B02", 0.1526), ("B03", 0.0903), ("B04", 0.0449), ("B08", 0.0180)]
)  # fmt: skip
def test_molecules_have_the_published_depths(band, depth):
    assert rayleigh_depth(Band(band)) == pytest.approx(depth, abs=1e-4)


def test_without_aerosol_and_gases_nothing_is_lost():
    for band in (BLUE, RED, Band.B11):
        _, gas, passage = seen(Air(), band)
        # Oxygen, carbon dioxide and methane are always there.
        assert gas == pytest.approx(1, abs=0.04)
        # Over white ground with nothing absorbed: what comes down and goes up again is all.
        white = passage.path + passage.down * passage.up / (1 - passage.sphere)
        assert white == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("zenith", [40, 55, 70, 80])
def test_the_path_is_blue_and_aerosol_adds_to_it(zenith):
    clean, hazy = Air(), Air(aerosol=0.1)
    paths = [seen(clean, band, zenith).passage.path for band in (BLUE, GREEN, RED)]
    assert paths == sorted(paths, reverse=True)
    for band in (BLUE, GREEN, RED, Band.B11):
        assert seen(hazy, band, zenith).passage.path > seen(clean, band, zenith).passage.path
        assert seen(hazy, band, zenith).passage.down < seen(clean, band, zenith).passage.down


def test_low_pressure_scatters_less():
    low = seen(Air(pressure=970), BLUE).passage.path
    assert low / seen(Air(), BLUE).passage.path == pytest.approx(970 / 1013.25, abs=0.01)


def test_ozone_takes_from_green_and_vapour_from_the_bands_made_for_it():
    air = Air(ozone=300, vapour=0.4)
    gas = {band: seen(air, band).gas for band in Band}
    assert gas[GREEN] == pytest.approx(np.exp(-0.104 * 0.3 * 3), abs=0.005)
    assert gas[GREEN] < gas[RED] < gas[BLUE]
    assert 0.4 < gas["B09"] < 0.65
    assert gas["B10"] < 0.01
    assert min(value for band, value in gas.items() if band not in ("B09", "B10")) > 0.9
    # A longer way takes more.
    assert seen(air, GREEN, 78).gas < gas[GREEN] - 0.05


def test_aerosol_sends_light_forth_rather_than_back():
    def excess(air):
        behind, before = (
            seen(air, RED, 70, Direction(10.0, azimuth)).passage.path for azimuth in (40.0, 220.0)
        )
        return before - behind

    # Air alone sends more light back than aside, and the sun before the sensor is nearer to aside.
    assert excess(Air()) < 0 < excess(Air(aerosol=0.12))


def test_days_differ_within_what_polar_air_holds():
    days = [draw_air(np.random.default_rng(seed)) for seed in range(100)]
    for name, least, most in (("aerosol", 0.03, 0.12), ("ozone", 180, 420), ("pressure", 970, 1015)):
        values = [getattr(day, name) for day in days]
        assert least <= min(values) < max(values) <= most
        assert max(values) - min(values) > 0.8 * (most - least)
