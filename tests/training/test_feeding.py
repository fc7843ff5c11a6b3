"""How many processes feed a rank."""

import os
from contextlib import nullcontext

import pytest
from chip_factory import write_chips
from hypothesis import given
from hypothesis import strategies as st

from labeling.errors import ConfigError
from training.data.store import ChipStore
from training.feeding import MOST_FEEDERS, feeder_count, feeding, share_of_cores
from training.ranks import collectives
from training.ranks.collectives import World
from training.settings.config import TrainConfig


@pytest.mark.parametrize(
    ("asked", "cores", "gpu", "found"),
    [
        ({}, 2, False, 0),  # a network on processors takes the cores
        ({}, 32, True, MOST_FEEDERS),
        ({}, 4, True, 3),  # one core is for the loop
        ({}, 1, True, 0),
        ({}, 0, True, 0),
        ({"threads": 4}, 32, True, 3),
        ({"feeders": 5}, 2, False, 5),
        ({"feeders": 0}, 32, True, 0),
    ],
)
def test_a_gpu_gets_its_cores_but_one(tmp_path, asked, cores, gpu, found):
    assert feeder_count(TrainConfig(chips=tmp_path, out=tmp_path, **asked), cores, gpu=gpu) == found


@pytest.mark.parametrize(
    ("own", "ranks", "share"),
    [
        (range(16), [range(16)], 16),
        (range(16), [range(16)] * 8, 2),  # as a launcher starts them
        (range(8, 16), [range(8), range(8, 16)], 8),  # as Slurm binds tasks
        (range(3), [range(3)] * 4, 0),
        (range(4), [range(4), range(2)], 3),
    ],
)
def test_a_core_is_shared_by_all_who_may_use_it(own, ranks, share):
    assert share_of_cores(own, ranks) == share


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, unique=True), min_size=1, max_size=9))
def test_ranks_together_have_no_more_than_there_is(ranks):
    shares = [share_of_cores(own, ranks) for own in ranks]
    assert sum(shares) <= len(set().union(*ranks))
    assert all(share <= len(own) for share, own in zip(shares, ranks, strict=True))


@pytest.mark.parametrize("asked", [None, 2])
def test_where_the_system_refuses_feeders_a_thread_does_it_unless_they_were_asked_for(
    tmp_path, monkeypatch, capsys, asked
):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "memfd_create", refuse)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(collectives, "gathered", lambda value, _: [value])
    monkeypatch.setattr(collectives, "agreeing", lambda _: nullcontext())
    store = ChipStore(write_chips(tmp_path, train=2, size=16), "train")
    config = TrainConfig(chips=tmp_path, out=tmp_path, feeders=asked)
    with (
        pytest.raises(ConfigError, match="not implemented") if asked else nullcontext(),
        feeding(config, World(0, 1, 0, elastic=False), store, gpu=True) as feeders,
    ):
        assert feeders is None
    assert ("a thread makes the batches" in capsys.readouterr().err) == (asked is None)
