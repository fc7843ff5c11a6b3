"""The published tables: which chips count where, what a filtered picture is, and how the tables read."""

import json

import numpy as np
import pytest
from chip_factory import write_chips

from labeling.errors import ConfigError
from labeling.files.layout import Run
from labeling.ice.profile import LabelingProfile
from labeling.ice.thresholds import label
from pipelines.published.chips import HeldChip, filtered_picture, write_filtered_chips
from pipelines.published.tables import count_network, count_rules, figures, markdown
from training.data.store import ChipStore


def held(covered, truth=None, side=16):
    """A chip whose thresholds see thin ice everywhere and whose filter sees thick ice."""
    raw, filtered = np.full((side, side), 1, np.uint8), np.full((side, side), 2, np.uint8)
    pictures = {"original": np.full((side, side, 3), 150, np.uint8), "filtered": filtered_picture(filtered)}
    truth = None if truth is None else np.full((side, side), truth, np.uint8)
    return HeldChip(pictures, {"raw": raw, "filtered": filtered}, truth, covered)


def test_thresholds_on_a_filtered_picture_give_its_labels_back():
    """Which is why agreement with filtered labels says little where the input is filtered too."""
    labels = np.random.default_rng(0).integers(0, 3, (32, 32), dtype=np.uint8)
    picture = filtered_picture(labels).transpose(2, 0, 1)
    thresholds = LabelingProfile(name="p", version=1).thresholds
    np.testing.assert_array_equal(label(np.ascontiguousarray(picture), thresholds), labels)


@pytest.mark.parametrize(
    ("covered", "strata"),
    [(None, ("all",)), (0.0, ("all", "clear")), (0.099, ("all", "clear")), (0.1, ("all", "cloudy"))],
)
def test_chips_count_as_cloudy_from_a_tenth(covered, strata):
    assert held(covered).strata == strata


def test_networks_are_held_against_their_labels_and_against_truth():
    chips = [held(0.0, truth=2), held(0.5, truth=1), held(None)]
    counts = count_network(chips, "original", "raw", lambda picture: np.ones(picture.shape[:2], np.uint8))
    found = figures(counts)
    assert {stratum: value["accuracy"] for stratum, value in found["agreement"].items()} == {
        "all": 1.0, "clear": 1.0, "cloudy": 1.0,
    }  # fmt: skip
    assert {stratum: value["accuracy"] for stratum, value in found["accuracy"].items()} == {
        "all": 0.5, "clear": 0.0, "cloudy": 1.0,
    }  # fmt: skip
    assert counts["agreement"]["all"].sum() == 3 * 256
    assert counts["accuracy"]["all"].sum() == 2 * 256


def test_networks_see_the_kind_of_picture_they_were_trained_on():
    seen = []
    for kind in ("original", "filtered"):
        count_network(
            [held(0.0)], kind, "raw", lambda picture: seen.append(picture.max()) or picture[..., 0] * 0
        )
    assert seen == [150, 255]


def test_rules_are_scored_and_compared_where_there_is_truth():
    found = count_rules([held(0.0, truth=2), held(0.5, truth=2), held(None)])
    assert found["filter + thresholds"]["accuracy"]["all"] == {"accuracy": 1.0, "mean_iou": 1.0}
    assert found["thresholds alone"]["accuracy"]["cloudy"]["accuracy"] == 0.0
    assert found["filter + thresholds"]["ssim"] == {"all": 1.0, "clear": 1.0, "cloudy": 1.0}
    assert found["thresholds alone"]["ssim"]["all"] < 0.9


def test_without_truth_there_are_dashes_and_no_figures():
    rules = count_rules([held(0.0)])
    seeds = [figures(count_network([held(0.0)], "original", "raw", lambda p: p[..., 0] * 0 + 1))]
    text = markdown({"original pictures, raw labels": seeds}, rules)
    assert "| U-Net, original pictures, raw labels | 100.00 | - | 100.00 |" in text
    assert "| thresholds alone | - | - | - |" in text


def test_spread_is_from_the_worst_seed_to_the_best():
    def seed(value):
        score = {"accuracy": value, "mean_iou": 0.0}
        return {"accuracy": {"all": score}, "agreement": {"all": score}}

    text = markdown({"n": [seed(0.9), seed(0.8), seed(0.85)]}, {})
    assert "| U-Net, n | 85.00 (80.00 to 90.00) | - | - |" in text


def test_filtered_chips_show_filtered_pictures_with_either_label(tmp_path):
    raw, filtered = Run(tmp_path / "raw"), Run(tmp_path / "filtered")
    for run, seed in ((raw, 1), (filtered, 2)):
        write_chips(run.chips, train=3, val=2, test=1, size=16, seed=seed)
    for labels, source in (("raw", raw), ("filtered", filtered)):
        made = ChipStore(write_filtered_chips(raw, filtered, labels, tmp_path / f"{labels}-chips"), "train")
        pictures, expected = ChipStore(filtered.chips, "train"), ChipStore(source.chips, "train")
        for index in range(3):
            np.testing.assert_array_equal(made[index].image, filtered_picture(pictures[index].label))
            np.testing.assert_array_equal(made[index].label, expected[index].label)
        assert made.card.rendering == "rgb8-filtered"
        assert made.card.digest not in (raw_digest(raw), raw_digest(filtered))


def raw_digest(run):
    return json.loads((run.chips / "chips.json").read_text())["digest"]


def test_runs_with_other_chips_are_refused(tmp_path):
    raw, filtered = Run(tmp_path / "raw"), Run(tmp_path / "filtered")
    write_chips(raw.chips, train=3, size=16)
    write_chips(filtered.chips, train=4, size=16)
    with pytest.raises(ConfigError, match="do not hold the same chips"):
        write_filtered_chips(raw, filtered, "raw", tmp_path / "made")
