"""Batches by processes: the same bits as by the rank, in memory that is never used twice at once."""

import errno
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import psutil
import pytest
from chip_factory import write_chips, write_kind_chips
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.chips.tones import CutPoints
from labeling.errors import ConfigError
from training.data import feeders as feeders_module
from training.data import unpacked
from training.data.augment import Changes
from training.data.batch import Layout, Turning, View, make_batch
from training.data.batches import Trouble, batches
from training.data.feeders import AHEAD, Feeders
from training.data.store import ChipStore
from training.data.unpacked import place

SIZE, COUNT = 64, 11
PLAIN = View("rgb", "255")
DRAWN = Changes(skies=0.7, tones=0.5, brightness=0.05, cuts=CutPoints(30, 204))


def feeders_of(count, *stores, most=8):
    return Feeders(count, stores, Layout.of(stores[0], most, View("rgb", "column-l2")).size)


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return write_chips(tmp_path_factory.mktemp("chips"), train=COUNT, val=3, size=SIZE, per_file=4)


@pytest.fixture(scope="module")
def store(chips):
    return ChipStore(chips, "train")


@pytest.fixture(scope="module")
def val(chips):
    return ChipStore(chips, "val")


@pytest.fixture(scope="module")
def feeders(store, val):
    with feeders_of(3, store, val) as found:
        yield found


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def pids(feeders):
    return [feeder._process.pid for feeder in feeders._all]


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(0, 9),
    batch=st.integers(0, 8),
    channels=st.sampled_from(["rgb", "grey"]),
    scaling=st.sampled_from(["255", "column-l2"]),
    changes=st.sampled_from([None, Changes(), DRAWN]),
    seed=st.integers(0, 1000),
)
def test_they_make_what_the_rank_would(store, feeders, steps, batch, channels, scaling, changes, seed):
    plan = np.random.default_rng(seed).integers(-1, COUNT, (steps, batch))
    turning = None if changes is None else Turning(seed, 2, changes)
    view = View(channels, scaling, turning)
    found = [*feeders.made(store, plan, view)]
    assert len(found) == steps
    for indices, made in zip(plan, found, strict=True):  # all of them held at once
        same(made, make_batch(store, indices, view))


@pytest.mark.parametrize("most", [0, 4, 6, 10**9])
def test_large_batches_are_shared_out_over_all(store, val, monkeypatch, most):
    """In as many parts as memory asks for."""
    size = Layout.of(store, 8, PLAIN).size
    monkeypatch.setattr(feeders_module, "MOST", most * size)
    plan = np.arange(80).reshape(10, 8) % COUNT
    with feeders_of(3, store, val) as feeders:
        for indices, made in zip(plan, feeders.made(store, plan, PLAIN), strict=True):
            same(made, make_batch(store, indices, PLAIN))
        assert len(feeders._pieces._mapped) <= max(AHEAD, min(most, 3 * AHEAD)) + 2


def test_memory_is_used_anew_only_when_nothing_holds_it(store, val):
    with feeders_of(2, store, val) as feeders:
        plan = np.arange(160).reshape(20, 8) % COUNT
        for _ in range(3):
            for step, made in enumerate(feeders.made(store, plan, PLAIN)):
                same(made, make_batch(store, plan[step], PLAIN))
        assert len(feeders._pieces._mapped) <= 2 * AHEAD + 2
        held = [*feeders.made(store, plan, PLAIN)]
        labels = [made.labels for made in held]
        del held, made
        for step, kept in enumerate(labels):
            np.testing.assert_array_equal(kept, make_batch(store, plan[step], PLAIN).labels)
        most = len(feeders._pieces._mapped)
        assert most >= 20 > 2 * AHEAD + 2
        del labels, kept
        for _ in feeders.made(store, plan, PLAIN):
            pass
        assert len(feeders._pieces._mapped) == most


def test_tensors_hold_the_memory_of_their_batch(store, feeders):
    plan = np.arange(3 * COUNT).reshape(COUNT, 3) % COUNT
    options = {"channels": "rgb", "scaling": "255", "trouble": Trouble()}
    found = [*batches(store, plan, **options, feeders=feeders)]
    for _ in batches(store, plan[::-1], **options, feeders=feeders):
        pass
    for indices, tensors in zip(plan, found, strict=True):
        same([tensor.numpy() for tensor in tensors], make_batch(store, indices, PLAIN))


def test_both_splits_and_plans_that_are_left(store, val, feeders):
    plan = np.arange(40).reshape(10, 4)
    left = feeders.made(store, plan % COUNT, PLAIN)
    same(next(left), make_batch(store, plan[0], PLAIN))
    left.close()
    for indices, made in zip(plan % 3, feeders.made(val, plan % 3, PLAIN), strict=True):
        same(made, make_batch(val, indices, PLAIN))


def test_two_plans_at_once_are_a_mistake_of_the_caller(store, val, feeders):
    plan = np.arange(40).reshape(10, 4) % 3
    left = feeders.made(store, plan, PLAIN)
    next(left)
    with pytest.raises(RuntimeError, match="another plan"):
        next(feeders.made(val, plan, PLAIN))
    for indices, made in zip(plan[1:], left, strict=True):
        same(made, make_batch(store, indices, PLAIN))


def test_to_classify(tmp_path):
    kinds = [4, 0, 1, 255, 3, 2, 3]
    store = ChipStore(write_kind_chips(tmp_path, train=kinds, size=16), "train", "classify")
    with feeders_of(2, store) as feeders:
        (made,) = feeders.made(store, np.array([[3, 0, 6, -1]]), PLAIN)
    np.testing.assert_array_equal(made.labels.ravel(), [255, 4, 3, 255])


def test_chips_kept_unpacked_are_shared(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(unpacked, "is_memory", lambda _: False)
    store = ChipStore(write_chips(tmp_path / "chips", train=5, size=16), "train")
    with place(5, sum(store.chip_bytes)) as file:
        store.keep(file)
    expected = make_batch(store, np.arange(3), PLAIN)  # what the rank has kept
    for parquet in (tmp_path / "chips").glob("split=train/*.parquet"):
        parquet.write_bytes(b"gone")
    with feeders_of(2, store) as feeders:
        (made,) = feeders.made(store, np.array([[0, 1, 2]]), PLAIN)
        same(made, expected)
        with pytest.raises(ConfigError):
            [*feeders.made(store, np.array([[4]]), PLAIN)]


def test_an_unreadable_chip_is_told_and_the_feeders_go_on(tmp_path):
    store = ChipStore(write_chips(tmp_path, train=8, size=16, per_file=2), "train")
    (tmp_path / "split=train" / "train-scene-001.parquet").write_bytes(b"gone")
    trouble, plan = Trouble(), np.arange(8).reshape(4, 2)
    with feeders_of(2, store) as feeders:
        options = {"channels": "rgb", "scaling": "255"}
        found = [labels for _, labels in batches(store, plan, **options, trouble=trouble, feeders=feeders)]
        np.testing.assert_array_equal(found[0], make_batch(store, plan[0], PLAIN).labels)
        assert all((labels.numpy() == 255).all() for labels in found[1:])
        assert "train-scene-001" in str(trouble.error)
        (made,) = feeders.made(store, plan[2:3], PLAIN)
        same(made, make_batch(store, plan[2], PLAIN))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1])
def test_what_asks_a_job_to_end_does_not_end_them(store, val, number):
    with feeders_of(1, store, val) as feeders:
        os.kill(*pids(feeders), number)  # at once, before it has come to itself
        (made,) = feeders.made(store, np.array([[3, 1]]), PLAIN)
        os.kill(*pids(feeders), number)
        (made,) = feeders.made(store, np.array([[3, 1]]), PLAIN)
    same(made, make_batch(store, np.array([3, 1]), PLAIN))


def test_a_killed_one_is_told_with_the_way_out(store, val):
    trouble, plan = Trouble(), np.arange(80).reshape(10, 8) % COUNT
    with feeders_of(2, store, val) as feeders:
        feed = batches(store, plan, channels="rgb", scaling="255", trouble=trouble, feeders=feeders)
        next(feed)
        os.kill(pids(feeders)[1], signal.SIGKILL)
        assert len([*feed]) == 9
        for words in ("Killed", "memory", "feeders: 0"):
            assert words in str(trouble.error)
        with pytest.raises(ConfigError):
            [*feeders.made(store, plan, PLAIN)]


def test_none_is_left_when_all_is_done(store, val):
    with feeders_of(2, store, val) as feeders:
        left = [psutil.Process(pid) for pid in pids(feeders)]
        held = next(feeders.made(store, np.array([[3, 1]]), PLAIN))
    assert not any(process.is_running() for process in left)
    gc.collect()
    same(held, make_batch(store, np.array([3, 1]), PLAIN))


def test_none_is_left_when_its_rank_is_killed(chips):
    script = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from training.data.batch import View\n"
        "from training.data.feeders import Feeders\n"
        "from training.data.store import ChipStore\n"
        "store = ChipStore(Path(sys.argv[1]), 'train')\n"
        "feeders = Feeders(2, [store], 1 << 20)\n"
        "for made in feeders.made(store, np.arange(10**5).reshape(-1, 10) % 11, View('rgb', '255')):\n"
        "    print([feeder._process.pid for feeder in feeders._all], flush=True)\n"
    )
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", script, str(chips)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root},
    ) as rank:  # fmt: skip
        left = [psutil.Process(pid) for pid in eval(rank.stdout.readline())]
        rank.kill()
    limit = time.monotonic() + 20
    while any(process.is_running() and process.status() != "zombie" for process in left):
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_wait_that_is_interrupted_never_gives_a_batch_before_it_is_made(store, val):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    plan = np.arange(24).reshape(12, 2) % COUNT
    try:
        with feeders_of(2, store, val) as feeders:
            feed = feeders.made(store, plan, PLAIN)
            next(feed)
            for pid in pids(feeders):
                os.kill(pid, signal.SIGSTOP)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with mock.patch.object(feeders_module, "WAIT_S", 0.2), pytest.raises(KeyboardInterrupt):
                list(feed)
            with pytest.raises(ConfigError, match="feeders: 0"):
                next(feeders.made(store, plan, PLAIN))
    finally:
        signal.signal(signal.SIGALRM, before)


def test_those_that_do_not_end_are_killed(store, val, monkeypatch):
    with feeders_of(2, store, val) as feeders:
        left = [psutil.Process(pid) for pid in pids(feeders)]
        monkeypatch.setattr(feeders_module, "WAIT_S", 0.1)
        for process in left:
            process.suspend()
    assert not any(process.is_running() for process in left)


def test_what_lies_in_the_working_folder_is_not_imported(store, tmp_path, monkeypatch):
    for name in ("cv2.py", "training.py"):
        (tmp_path / name).write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    with feeders_of(1, store) as feeders:
        (made,) = feeders.made(store, np.array([[3, 1]]), PLAIN)
    same(made, make_batch(store, np.array([3, 1]), PLAIN))


def refuse(*_, **__):
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.parametrize("what", ["os.memfd_create", "training.data.feeders.Pipe", "subprocess.Popen"])
def test_what_the_system_refuses_is_told(store, monkeypatch, what):
    monkeypatch.setattr(what, refuse)
    with pytest.raises(ConfigError, match=r"Function not implemented.*feeders: 0"):
        feeders_of(2, store)


def test_no_more_memory_is_told_to_the_rank(store, val, monkeypatch):
    trouble, plan = Trouble(), np.arange(80).reshape(10, 8) % COUNT
    with feeders_of(2, store, val) as feeders:
        monkeypatch.setattr(os, "ftruncate", refuse)
        found = [*batches(store, plan, channels="rgb", scaling="255", trouble=trouble, feeders=feeders)]
    assert len(found) == 10
    assert "feeders: 0" in str(trouble.error)


def test_a_program_that_cannot_start_is_told(store, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ConfigError, match="feeders: 0"):
        feeders_of(2, store)


def test_what_breaks_in_one_is_shown(tmp_path, capfd):
    """Its traceback goes where the rank's would."""
    store = ChipStore(write_chips(tmp_path, train=3, size=16), "train")
    with feeders_of(1, store) as feeders, pytest.raises(ConfigError, match="exit code 1"):
        [*feeders.made(store, np.array([[77]]), PLAIN)]
    assert "IndexError" in capfd.readouterr().err


def test_a_batch_that_is_too_large_is_a_mistake_of_the_caller(store, val):
    with feeders_of(1, store, val, most=2) as feeders, pytest.raises(ValueError, match="the most"):
        [*feeders.made(store, np.zeros((1, 40), np.int64), PLAIN)]
