"""What a written product says about where sun and satellite stood."""

from dataclasses import replace
from math import cos, radians, sin
from xml.etree import ElementTree

import pytest
from safe_writer import ProductSpec

from labeling.bands import Band
from labeling.simulation.safe.spec import Direction, viewing
from labeling.simulation.safe.xml import granule_xml


def direction(element):
    return Direction(float(element.findtext("ZENITH_ANGLE")), float(element.findtext("AZIMUTH_ANGLE")))


def test_the_granule_states_the_sun_and_one_viewing_direction_for_each_band():
    view = tuple(Direction(3 + index / 10, 90.0 + index) for index in range(13))
    spec = replace(ProductSpec(), sun_zenith=71.5, sun_azimuth=48.25, view=view)
    root = ElementTree.fromstring(granule_xml(spec, height=60, width=60).encode())
    assert direction(root.find(".//Mean_Sun_Angle")) == (71.5, 48.25)
    [listed] = root.iter("Mean_Viewing_Incidence_Angle_List")
    assert {int(one.get("bandId")): direction(one) for one in listed} == dict(enumerate(view))


@pytest.mark.parametrize(("across", "side"), [(5.0, 105.0), (-9.0, 285.0), (0.5, 105.0)])
def test_bands_look_along_the_track_one_after_another(across, side):
    found = dict(zip(Band, viewing(across), strict=True))
    # B02 looks first and B09 last: in between the satellite flies 2.6 s, 1.3 degrees, towards 195 degrees.
    along = {
        band: one.zenith * cos(radians(one.azimuth - 195)) for band, one in found.items()
    }  # degrees; the angles are small
    assert along[Band.B09] - along[Band.B02] == pytest.approx(1.26, abs=0.05)
    assert sorted(along, key=along.get)[:3] == [Band.B02, Band.B08, Band.B03]
    for one in found.values():
        assert one.zenith * cos(radians(one.azimuth - side)) == pytest.approx(abs(across), abs=0.1)
        assert abs(one.zenith * sin(radians(one.azimuth - side))) < 0.8


def test_angles_for_too_few_bands_are_refused():
    with pytest.raises(ValueError, match="13 bands, not 2"):
        replace(ProductSpec(), view=viewing(5.0)[:2])
