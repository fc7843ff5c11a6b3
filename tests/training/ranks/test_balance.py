import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.errors import ConfigError
from training.ranks.balancer import FEWEST, FIRST, Balancer
from training.ranks.collectives import World
from training.ranks.shares import WORTH, Balance, longest, share_out
from training.settings.config import TrainConfig

SPEED = st.floats(0.01, 100)
SPEEDS = st.lists(SPEED, min_size=1, max_size=6)


def every_way(chips, ranks):
    """Return all ways to share chips out."""
    return (way for way in itertools.product(range(chips + 1), repeat=ranks) if sum(way) == chips)


def per_chip(speeds):
    return [1 / speed for speed in speeds]


@given(SPEEDS, st.integers(0, 200), st.integers(0, 3))
def test_shares_are_whole_chips_of_the_batch_and_no_rank_gets_less_than_the_least(speeds, chips, least):
    chips += least * len(speeds)
    shares = share_out(chips, speeds, least=least)
    assert sum(shares) == chips
    assert len(shares) == len(speeds)
    assert min(shares) >= least


@given(st.lists(SPEED, min_size=1, max_size=3), st.integers(1, 9))
def test_no_other_shares_are_done_sooner(speeds, chips):
    seconds = per_chip(speeds)
    best = min(longest(way, seconds) for way in every_way(chips, len(speeds)))
    assert longest(share_out(chips, speeds), seconds) == pytest.approx(best)


@given(SPEEDS, st.integers(1, 300))
def test_a_faster_rank_gets_no_less(speeds, chips):
    by_speed = sorted(zip(speeds, share_out(chips, speeds), strict=True))
    assert all(slow[1] <= fast[1] for slow, fast in itertools.pairwise(by_speed) if slow[0] < fast[0])


@given(st.integers(1, 8), st.integers(1, 40), SPEED)
def test_equal_speeds_give_equal_shares(ranks, each, speed):
    assert share_out(ranks * each, [speed] * ranks) == (each,) * ranks


def test_shares_are_in_proportion_and_may_be_empty():
    assert share_out(16, [3, 1]) == (12, 4)
    assert share_out(16, [1, 0]) == (16, 0)
    assert share_out(8, [0, 1, 3]) == (0, 2, 6)
    assert share_out(0, [1, 2]) == (0, 0)


@pytest.mark.parametrize("speeds", [[], [0, 0], [1, -1], [float("nan"), 1], [float("inf"), 1]])
def test_speeds_that_mean_nothing_are_refused(speeds):
    with pytest.raises(ValueError, match="share out nothing"):
        share_out(4, speeds)


def test_too_few_chips_are_refused():
    with pytest.raises(ValueError, match="too few"):
        share_out(2, [1, 1, 1], least=1)


@given(st.lists(st.lists(SPEED, min_size=3, max_size=3), min_size=1, max_size=6), st.integers(3, 64))
def test_every_rank_keeps_a_chip_whatever_is_measured(measurements, chips):
    balance = Balance(share_out(chips, [1, 1, 1]))
    for seconds in measurements:
        before, balance = balance, balance.after(seconds)
        assert sum(balance.shares) == chips
        assert min(balance.shares) >= 1
        # Shares change only for a gain.
        gained = longest(balance.shares, balance.seconds) <= (1 - WORTH) * longest(
            before.shares, balance.seconds
        )
        assert balance.shares == before.shares or gained


@given(st.lists(SPEED, min_size=2, max_size=4), st.integers(4, 64))
def test_steady_speeds_are_settled_at_once(speeds, chips):
    first = Balance(share_out(chips, [1] * len(speeds))).after(per_chip(speeds))
    assert first.after(per_chip(speeds)).shares == first.shares
    best = share_out(chips, speeds, least=1)
    seconds = per_chip(speeds)
    assert longest(first.shares, seconds) <= longest(best, seconds) / (1 - WORTH)


def test_a_rank_that_slows_down_is_followed_smoothly():
    balance = Balance((16, 16)).after([1, 1])
    found = []
    for _ in range(6):
        balance = balance.after([1, 3])
        found.append(balance.shares[1])
    assert found == sorted(found, reverse=True)
    assert found[0] > found[1] > found[-1] == 8


def test_noise_changes_nothing():
    balance = Balance((16, 16))
    for noisy in ([1.0, 1.02], [1.02, 1.0], [1.0, 0.97]):
        balance = balance.after(noisy)
        assert balance.shares == (16, 16)


class TestBalancer:
    """One process; what two ranks do is in tests/parallel."""

    def made(self, ranks=2, rank=0, **changed):
        values = {"chips": "c", "out": "o", "batch_size": 4, "accumulate": 2} | changed
        return Balancer(TrainConfig.model_validate(values), World(rank, ranks, rank))

    def test_equal_by_default_and_never_reviewed(self):
        balancer = self.made(ranks=3)
        assert balancer.shares == (8, 8, 8)
        assert balancer.window is None

    def test_given_shares_are_relative(self):
        balancer = self.made(balance=(3, 1), rank=1)
        assert balancer.shares == (12, 4)
        assert balancer.share == 4
        assert balancer.shares_of(8) == (6, 2)
        assert balancer.window is None

    def test_shares_for_another_number_of_ranks_are_refused(self):
        with pytest.raises(ConfigError, match="balance has 2 shares for 3 ranks"):
            self.made(ranks=3, balance=(3, 1))

    def test_alone_there_is_nothing_to_review(self):
        assert self.made(ranks=1, balance="auto").window is None

    def test_reviews_follow_the_median_and_come_ever_more_rarely(self, monkeypatch, capsys):
        told = []

        def gathered(own, name):
            told.append(own)
            return [own, 3 * own]

        monkeypatch.setattr("training.ranks.collectives.gathered", gathered)
        monkeypatch.setattr("training.ranks.balancer.time.time", lambda: 1000.0)
        balancer = self.made(balance="auto", balance_steps=20)
        windows = []
        for _ in range(3):
            windows.append(balancer.window)
            for first in (True, *[False] * (FEWEST - 1)):
                next(balancer.timed(["batch"]))
                balancer.took(1099.0 if first else 1000.0 + balancer.share * 0.5)
            balancer.review()
        assert windows == [FIRST, 2 * FIRST, 20]
        assert told == [0.5] * 3
        assert balancer.shares == (12, 4)
        assert balancer.shares_of(8) == (6, 2)
        assert capsys.readouterr().err == "train: the ranks' shares of an update are now 12 4 chips\n"

    def test_too_few_updates_are_no_measurement(self):
        balancer = self.made(balance="auto")
        assert list(balancer.timed(["batch"])) == ["batch"]
        balancer.took(2e9)
        balancer.review()
        assert balancer.shares == (8, 8)
        assert balancer.window == FIRST
