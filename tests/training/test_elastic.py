import os
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from horovod.common.exceptions import HorovodInternalError, HostsUpdatedInterrupt

from training import elastic
from training.elastic import Commits, Start
from training.folder.checkpoints import State, checkpoint_files
from training.network.unet import build_unet
from training.ranks import collectives
from training.ranks.collectives import World
from training.step import make_optimizer


def state(steps):
    return State(epoch=0, history=[], best_epoch=0, best_scores=None, steps=steps)


def training(out, rank=0):
    model = build_unet(channels=1, depth=1, width=2, dropout=(0.0,))
    return SimpleNamespace(
        world=World(rank, 2, 0, elastic=True),
        config=SimpleNamespace(out=out),
        model=model,
        optimizer=make_optimizer("sgd", 0.1, model),
    )


@pytest.fixture
def exchange(monkeypatch):
    """Stand in for the other ranks: they have no news, until `told` says otherwise."""
    told = SimpleNamespace(others=False, fails=False, before=lambda: None)

    def any_rank(asked, name):
        told.before()
        if told.fails:
            raise HorovodInternalError
        return asked or told.others

    monkeypatch.setattr(collectives, "any_rank", any_rank)
    return told


@pytest.fixture
def without_horovodrun(monkeypatch):
    """Let elastic.run find one rank and none of Horovod's services."""
    collectives.start()
    for name in ("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("horovod.tensorflow.elastic._reset", lambda: None)


def test_a_commit_keeps_what_later_updates_change(tmp_path, exchange):
    work, commits = training(tmp_path), Commits()
    before = work.model.get_weights()
    commits.add(work, state(3))
    for variable in work.model.trainable_variables:
        variable.assign_add(np.ones(variable.shape, np.float32))
    assert commits.last.state.steps == 3
    for one, other in zip(before, commits.last.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("rank", "expected"), [(0, 5), (1, None)])
def test_rank_0_commits_before_the_others(tmp_path, exchange, rank, expected):
    commits = Commits()
    exchange.fails = True
    with pytest.raises(HorovodInternalError):
        commits.add(training(tmp_path, rank), state(5))
    assert (commits.last and commits.last.state.steps) == expected


@pytest.mark.parametrize(("rank", "files"), [(0, 1), (1, 0)])
def test_news_of_any_rank_interrupts_all_after_the_commit(tmp_path, exchange, rank, files):
    commits = Commits()
    exchange.others = True
    with pytest.raises(HostsUpdatedInterrupt) as interrupt:
        commits.add(training(tmp_path, rank), state(5))
    assert not interrupt.value.skip_sync
    assert commits.last.state.steps == 5
    assert len(checkpoint_files(tmp_path)) == files


def test_news_count_once_and_those_that_come_during_a_meeting_are_kept(tmp_path, exchange):
    work, commits = training(tmp_path), Commits()
    commits.on_hosts_updated(1, 2)
    with pytest.raises(HostsUpdatedInterrupt):
        commits.add(work, state(1))
    commits.on_hosts_updated(2, 2)
    commits.on_reset()
    with pytest.raises(HostsUpdatedInterrupt):
        commits.add(work, state(2))
    commits.on_hosts_updated(3, 2)
    commits.restore()
    commits.add(work, state(3))


def test_a_failed_exchange_begins_again_from_the_commit(tmp_path, without_horovodrun):
    starts = []

    def train(start, commit):
        starts.append(start)
        if len(starts) == 1:
            commit(training(tmp_path), state(4))
            raise tf.errors.UnknownError(None, None, "HorovodGroupedAllreduce: connection closed by peer")
        return "done"

    assert elastic.run(train, resume=False, overwrite=True) == "done"
    assert starts[0] == Start(resume=False, overwrite=True, committed=None)
    assert starts[1][:2] == (True, False)  # what the first attempt wrote is kept
    assert starts[1].committed.state.steps == 4


def test_a_failure_before_the_first_commit_begins_as_the_user_said(without_horovodrun):
    starts = []

    def train(start, commit):
        starts.append(start)
        if len(starts) == 1:
            raise HorovodInternalError

    elastic.run(train, resume=False, overwrite=True)
    assert starts == [Start(resume=False, overwrite=True)] * 2


def test_other_errors_end_the_training(without_horovodrun):
    def train(start, commit):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    with pytest.raises(tf.errors.ResourceExhaustedError):
        elastic.run(train, resume=False, overwrite=False)


def test_a_rank_that_has_come_to_lead_may_speak(without_horovodrun, monkeypatch):
    monkeypatch.setenv("HOROVOD_RANK", "1")
    found = elastic.run(lambda *_: os.environ["HOROVOD_RANK"], resume=False, overwrite=False)
    assert found == "0"
