"""Chips are checked before a training, but not again while nothing about them changes."""

import pytest
from chip_factory import write_chips

from labeling.chips import passed
from labeling.chips.check import check_chips
from labeling.chips.passed import PASSED
from labeling.errors import ConfigError
from training import prepare
from training.prepare import meet, open_splits
from training.ranks import collectives
from training.settings.config import TrainConfig


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(passed, "FRESH_NS", 0)
    chips = write_chips(tmp_path / "chips", train=6, val=3, test=3, size=32)
    return TrainConfig.model_validate({"chips": chips, "out": tmp_path / "model", "depth": 2})


@pytest.fixture
def checked(monkeypatch):
    """Return the folders that were checked, in the order in which that began."""
    found = []

    def checking(chips, *given, **named):
        found.append(chips)
        check_chips(chips, *given, **named)

    monkeypatch.setattr(prepare, "check_chips", checking)
    return found


def begin(config):
    meet(config, collectives.start(), *open_splits(config))


def test_chips_that_have_passed_are_checked_again_when_they_change(config, checked):
    begin(config)
    begin(config)
    assert checked == [config.chips]
    file = next(config.chips.glob("split=test/*.parquet"))
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"damaged" + content[107:])
    for _ in range(2):
        with pytest.raises(ConfigError, match=file.name):
            begin(config)
    file.write_bytes(content)
    begin(config)
    begin(config)
    assert len(checked) == 4


def test_ranks_with_copies_of_their_own_check_them_each_time(config, checked, monkeypatch):
    alone = collectives.gathered

    def with_another(value, name):
        own = alone(value, name)
        return [*own, [*own[0][:3], "another look", False]] if name == "meet" else own

    monkeypatch.setattr(collectives, "gathered", with_another)
    begin(config)
    begin(config)
    assert len(checked) == 2
    assert not (config.chips / PASSED).exists()
