"""How many processes feed a rank."""

import os

import pytest

from training.feeding import MOST_FEEDERS, feeder_count
from training.ranks import collectives
from training.settings.config import TrainConfig


@pytest.mark.parametrize(
    ("asked", "cores", "ranks", "gpu", "found"),
    [
        ({}, 2, 1, False, 0),  # a network on processors takes the cores
        ({}, 256, 8, True, MOST_FEEDERS),
        ({}, 32, 8, True, 3),  # one core is for the loop
        ({}, 8, 8, True, 0),
        ({"threads": 4}, 256, 8, True, 3),
        ({"feeders": 5}, 2, 1, False, 5),
        ({"feeders": 0}, 256, 8, True, 0),
    ],
)
def test_a_gpu_gets_its_share_of_the_cores_but_one(monkeypatch, tmp_path, asked, cores, ranks, gpu, found):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(collectives, "ranks_here", lambda: ranks)
    assert feeder_count(TrainConfig(chips=tmp_path, out=tmp_path, **asked), gpu=gpu) == found
