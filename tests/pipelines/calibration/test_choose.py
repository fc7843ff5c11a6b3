"""From counts and hints to a choice, without Spark."""

import json

import numpy as np
import pytest
import shapely
from array_scene import ArrayScene

from labeling.ice.profile import load_profile
from labeling.ice.thresholds import brightness
from labeling.simulation.scene import simulate, variety
from pipelines.calibration.choose import CountedScene, choose, hint_problems
from pipelines.calibration.hints_file import Hint, HintFile
from pipelines.calibration.page import histogram_chart, scene_chart
from pipelines.calibration.worker import HintRead
from pipelines.engine.scenes import CatalogRow

POLYNYA = load_profile("polynya")
POINT = shapely.to_wkb(shapely.Point(0, 0))


@pytest.fixture(scope="module")
def values():
    """V of darkened simulated scenes, and their truth."""
    scenes = [simulate(spec) for spec in variety(3, height=256, width=256, seed=3)]
    return [((brightness(scene.rgb) * 0.6 + 20).astype(np.uint8), scene.truth) for scene in scenes]


def counted(values, hints=()):
    rows = [CatalogRow(f"s{n}", ArrayScene(np.zeros((3, 1, 1), np.uint8)).info) for n in range(len(values))]
    counts = [np.bincount(value[truth < 255], minlength=256) for value, truth in values]
    return [
        CountedScene(row, each, [hint for scene, hint in hints if scene == n])
        for n, (row, each) in enumerate(zip(rows, counts, strict=True))
    ]


def some_hints(values, each=6):
    rng = np.random.default_rng(0)
    hints, reads = [], []
    for n, (value, truth) in enumerate(values):
        for ice in range(3):
            places = np.argwhere(truth == ice)
            for row, column in places[rng.choice(len(places), each)].tolist():
                number = len(hints) + 1
                hints.append(Hint(number, ice, POINT))
                reads.append((n, HintRead(number, int(value[row, column]), "", row, column, 1)))
    return HintFile("EPSG:3031", tuple(hints)), reads


def accuracy(values, cuts):
    table = np.digitize(np.arange(256), np.array(cuts) + 0.5)
    right = [(table[value] == truth)[truth < 255] for value, truth in values]
    return np.concatenate(right).mean()


def test_without_hints_the_histogram_decides(values):
    profile, record = choose(counted(values), POLYNYA, None)
    assert record.chosen == "stepwise"
    assert [each.method for each in record.candidates] == ["stepwise", "otsu", "valleys"]
    cuts = profile.thresholds.water_max, profile.thresholds.thin_ice_max
    assert cuts == (record.best.water_max, record.best.thin_ice_max)
    assert accuracy(values, cuts) > accuracy(values, (30, 204)) + 0.2
    assert profile.rendering == "rgb8"
    assert record.filter_kept
    assert sum(record.counts) == sum(scene.counted for scene in record.scenes)
    assert record.hints == record.hint_problems == []


def test_one_scene_is_said_to_be_one(values):
    assert any("one scene" in each for each in choose(counted(values[:1]), POLYNYA, None).record.warnings)
    assert not any("one scene" in each for each in choose(counted(values), POLYNYA, None).record.warnings)


def test_with_hints_they_decide_and_tell_their_error(values):
    file, reads = some_hints(values)
    profile, record = choose(counted(values, reads), POLYNYA, file)
    assert record.chosen == "weighed hints"
    assert len(record.hints) == 54
    assert record.best.hint_error == sum(not hint.right for hint in record.hints) / 54
    assert 0 <= record.best.left_out_error < 0.3
    assert record.candidates[1].hint_error <= min(each.hint_error for each in record.candidates)
    assert "54 hints" in profile.description
    json.dumps(record.model_dump(mode="json"))


def test_calibrations_have_names_of_their_own(values):
    one, two = (choose(counted(values[:n]), POLYNYA, None).profile.name for n in (2, 3))
    assert one != two
    assert choose(counted(values[:2]), POLYNYA, None).profile.name == one
    assert one.startswith("calibrated-")


def test_hints_that_cannot_be_used_are_named(values):
    hints = [Hint(number, number % 3, POINT) for number in range(1, 8)]
    reads = [
        (0, HintRead(2, None, "no-data", 0, 0, 0)), (0, HintRead(3, None, "cloud", 0, 0, 0)),
        (1, HintRead(4, 50, "", 5, 6, 1)), (1, HintRead(5, 50, "", 5, 6, 1)),
        (0, HintRead(6, None, "no-data", 0, 0, 0)), (2, HintRead(6, 70, "", 0, 0, 1)),
    ]  # fmt: skip
    told = hint_problems(counted(values, reads), HintFile("EPSG:3031", tuple(hints)))
    assert told[0].startswith("Hints 1, 7 lie outside every scene")
    assert "Hint 2 lies on no-data" in told[1]  # 6 was read elsewhere
    assert "Hint 3 lies on cloud" in told[2]
    assert "Hints 4, 5 lie on one pixel of s1 (row 5, column 6) and contradict each other" in " ".join(told)
    assert "thick ice and thin ice" in " ".join(told)


def test_hints_that_no_scene_holds_leave_the_choice_to_the_histogram(values):
    file = HintFile("EPSG:3031", (Hint(1, 0, POINT),))
    record = choose(counted(values), POLYNYA, file).record
    assert record.chosen == "stepwise"
    assert record.hint_problems


def test_charts_are_drawn_with_and_without_hints(values):
    file, reads = some_hints(values, each=2)
    for record in (
        choose(counted(values), POLYNYA, None).record,
        choose(counted(values, reads), POLYNYA, file).record,
    ):
        assert histogram_chart(record).light.startswith("data:image/png")
        assert scene_chart(record) is not None
    assert scene_chart(choose(counted(values[:1]), POLYNYA, None).record) is None
