"""Groups of scenes: the same as by looking at all pairs, also where very many lie on one place."""

import numpy as np
from array_scene import ArrayScene
from hypothesis import given
from hypothesis import strategies as st

from labeling.chips.ground import joined, overlaps
from labeling.files.layout import Run
from pipelines.chip_groups import ground, groups_of
from pipelines.engine.scenes import CatalogRow

ANY = ArrayScene(np.zeros((3, 10, 10), np.uint8)).info


def row(number, east, north):
    transform = [10.0, 0.0, 1000.0 * east, 0.0, -10.0, 1000.0 * north]
    info = ANY._replace(uri=f"/s{number}.tif", crs="EPSG:3031", transform=transform, height=150, width=150)
    return CatalogRow(f"s{number:03}", info._replace(group=f"s{number}"))


places = st.tuples(st.integers(0, 6), st.integers(0, 6))


@given(st.lists(places, min_size=1, max_size=30))
def test_groups_are_those_of_all_pairs(tmp_path_factory, spots):
    rows = [row(number, *spot) for number, spot in enumerate(spots)]
    found = groups_of(rows, Run(tmp_path_factory.getbasetemp()))
    grounds = [ground(each.info) for each in rows]
    leaders = joined(len(rows), overlaps(grounds, grounds))
    assert found == [rows[leader].scene_id for leader in leaders]


def test_ten_thousand_scenes_of_one_place_are_one_group(tmp_path):
    rows = [row(number, 0, 0) for number in range(10_000)]
    # All pairs would be a hundred million.
    assert set(groups_of(rows, Run(tmp_path))) == {"s000"}
