"""What is done to a chip follows from seed, epoch and index alone, and never touches its label."""

import json

import numpy as np
import pytest
from chip_factory import write_chips

from labeling.chips.card import read_card
from labeling.chips.tones import CutPoints
from labeling.errors import ConfigError
from training.data.augment import Changes, augmented
from training.data.batch import Turning
from training.data.store import Chip
from training.prepare import open_splits
from training.settings.config import TrainConfig

SKIES = Changes(poses=False, skies=1.0)


@pytest.fixture
def chip():
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, (96, 96, 3), dtype=np.uint8)
    return Chip(image, rng.integers(0, 3, (96, 96), dtype=np.uint8))


def at(chip, changes, *, seed=1, epoch=1, index=0):
    return augmented(chip, seed=seed, epoch=epoch, index=index, changes=changes)


def test_a_sky_changes_the_picture_and_not_the_label(chip):
    drawn = [at(chip, SKIES, index=index) for index in range(10)]
    # A small chip may lie under a gap.
    assert sum((shown.image != chip.image).any() for shown in drawn) > 5
    assert all((shown.label == chip.label).all() for shown in drawn)


def test_the_same_place_gives_the_same_chip_and_another_place_another(chip):
    changes = Changes(poses=False, skies=1.0, tones=1.0, cuts=CutPoints(30, 204))
    first = at(chip, changes).image
    np.testing.assert_array_equal(first, at(chip, changes).image)
    for other in ({"seed": 2}, {"epoch": 2}, {"index": 1}):
        assert (first != at(chip, changes, **other).image).any()


def test_about_the_share_that_was_asked_for_gets_a_sky(chip):
    changes = Changes(poses=False, skies=0.3)
    drawn = sum((at(chip, changes, index=index).image != chip.image).any() for index in range(200))
    assert 30 < drawn < 85


def test_a_chip_lies_the_same_way_with_and_without_a_sky(chip):
    """So that turning skies on leaves everything else of a training as it was."""
    for index in range(20):
        plain = augmented(chip, seed=3, epoch=1, index=index)
        sky = at(chip, Changes(skies=1.0, brightness=0.1), seed=3, index=index)
        np.testing.assert_array_equal(plain.label, sky.label)


def test_brightness_stays_within_its_limit(chip):
    changes = Changes(poses=False, brightness=0.05)
    before = chip.image.astype(int)
    gains = []
    for index in range(100):
        after = at(chip, changes, index=index).image.astype(int)
        assert (abs(after - before) <= before * 0.05 + 0.5).all()
        gains.append(after.sum() / before.sum())
    assert min(gains) < 0.97
    assert max(gains) > 1.01


def test_nothing_is_done_unless_asked_for(chip):
    same = at(chip, Changes(poses=False))
    np.testing.assert_array_equal(same.image, chip.image)


def test_tones_change_brightness_within_the_classes_and_need_cut_points(chip):
    cuts = CutPoints(30, 204)
    toned = at(chip, Changes(poses=False, tones=1.0, cuts=cuts)).image
    assert (toned != chip.image).any()
    found, expected = (np.digitize(image.max(axis=-1), (31, 205)) for image in (toned, chip.image))
    np.testing.assert_array_equal(found, expected)


def test_the_configuration_says_what_is_done(tmp_path):
    card = read_card(write_chips(tmp_path))
    values = {"augment": False, "skies": 0.7, "tones": 0.5, "brightness": 0.02, "seed": 5}
    config = TrainConfig(chips="chips", out="model", **values)
    assert Turning.of(config, 4, card) == Turning(5, 4, Changes(False, 0.7, 0.5, 0.02, CutPoints(30, 204)))
    plain = Turning.of(TrainConfig(chips="chips", out="model"), 1, card).changes
    assert plain._replace(cuts=None) == Changes()


def test_chips_of_an_older_version_have_no_cut_points_and_tones_say_so(tmp_path):
    chips = write_chips(tmp_path / "chips")
    card = json.loads((chips / "chips.json").read_text())
    del card["cut_points"]
    (chips / "chips.json").write_text(json.dumps(card))
    values = {"chips": chips, "out": tmp_path / "model", "depth": 3}
    open_splits(TrainConfig(**values))
    with pytest.raises(ConfigError, match="Make the chips again"):
        open_splits(TrainConfig(**values, tones=0.5))
