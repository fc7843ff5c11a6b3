"""What the benchmarks of training make of figures that are known: timeline, prediction, tables."""

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import keras
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.training import balance, exchange, exchanged_half, pace
from benchmarks.training import scaling as training_scaling
from benchmarks.training.cores import Cores, Look, Rank, rank_of
from benchmarks.training.precision import needed
from benchmarks.training.ring import PUBLISHED, Job, Link, rate_for, reduction, times_faster
from benchmarks.training.runs import Epoch, Tuning, curve_distance, spread
from benchmarks.training.timeline import Shares, Step, read_steps, shares_of, steps_of
from training.network.unet import build_unet


def tensor(pid, name, *spans):
    """Return a tensor's events: for each span (name, begin, end, inner spans or moments), microseconds."""

    def events(name, begin, end, *inner):
        yield {"ph": "B", "name": name, "ts": begin, "pid": pid}
        for span in inner:
            if len(span) == 2:
                yield {"ph": "X", "name": span[0], "ts": span[1], "pid": pid, "dur": 0}
            else:
                yield from events(*span)
        yield {"ph": "E", "ts": end, "pid": pid}

    yield {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}
    yield {"ph": "M", "name": "process_sort_index", "pid": pid, "args": {"sort_index": pid}}
    for span in spans:
        yield from events(*span)


def timeline():
    """Return two steps of two tensors, the second of which is reduced after the first, and another tensor.

    Both are ready at about one time, as the tensors of the last group are.
    """

    def wait(begin, end, first, last):
        return ("NEGOTIATE_ALLREDUCE", begin, end, (first, begin), (last, end))

    inner = ("GLOO_ALLREDUCE", 1_410_000, 1_450_000)
    return [
        *tensor(1, "step_1of2", wait(300_000, 398_000, "1", "0"), ("ALLREDUCE", 400_000, 450_000),
                wait(1_300_000, 1_399_000, "0", "1"), ("ALLREDUCE", 1_400_000, 1_470_000, inner)),
        *tensor(2, "step_2of2", wait(310_000, 399_000, "1", "0"), ("ALLREDUCE", 450_000, 500_000),
                wait(1_310_000, 1_398_000, "1", "0"), ("ALLREDUCE", 1_470_000, 1_500_000)),
        *tensor(3, "matrix", wait(0, 1, "0", "1"), ("ALLREDUCE", 2, 9_000_000)),
    ]  # fmt: skip


def test_steps_of_a_timeline(tmp_path):
    file = tmp_path / "timeline.json"
    file.write_text(json.dumps(timeline()))
    steps = read_steps(file)
    assert steps == [Step(0.31, 0.399, 0.5, "0"), Step(1.31, 1.399, 1.5, "1")]
    wait = pytest.approx(0.089)
    assert shares_of(steps) == Shares(wait, pytest.approx(0.101), waits=[wait, wait], late={"0": 1, "1": 1})


def test_a_timeline_without_the_ranks_moments_is_refused():
    with pytest.raises(ValueError, match="HOROVOD_CACHE_CAPACITY=0"):
        steps_of(event for event in timeline() if event["ph"] != "X")


def test_one_step_has_no_length():
    with pytest.raises(ValueError, match="too few"):
        shares_of([Step(0, 1, 2, "0")])


def test_two_busy_processes_on_one_core_wait_for_it_half_of_the_time():
    """Of two that never rest each runs while the other is ready and has none: the kernel's own count."""
    core = min(os.sched_getaffinity(0))
    busy = (
        f"import os, time; os.sched_setaffinity(0, {{{core}}})\n"
        "end = time.time() + 4\nwhile time.time() < end: pass"
    )
    with Cores() as cores:
        for process in [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(2)]:
            process.wait()
    both = cores.ranks()
    assert len(both) == 2
    for rank in both:
        assert rank.running + rank.waiting == pytest.approx(1, abs=0.2)
        assert rank.waiting > 0.2
        assert rank.others == 0


def test_the_busiest_thread_counts_apart_from_others_and_the_ends_do_not():
    looks = {
        "1": [Look(at, 0.9 * at if 5 <= at <= 9 else 0, 0.05 * at) for at in range(11)],
        "2": [Look(at, 0.02 * at, 0.0) for at in range(11)],
        "3": [Look(10, 7.0, 7.0)],
    }
    assert rank_of(looks) == Rank(*map(pytest.approx, (0.9, 0.05, 0.02)))
    assert rank_of({"3": looks["3"]}) is None


JOB = Job(step=0.1, bytes=8_000_000)


def test_a_ring_by_hand():
    # Eight ranks: 14 messages of 1 MB at 1 GB/s, each 0.1 ms late.
    assert reduction(JOB, Link(1e9, 1e-4), 8) == pytest.approx(14 * (1e-3 + 1e-4))
    assert times_faster(JOB, Link(1e9, 1e-4), 8) == pytest.approx(0.8 / 0.1154)
    assert reduction(JOB, Link(1e9, 1e-4), 1) == 0
    assert times_faster(JOB, Link(1e9, 1e-4), 1) == 1


@given(st.floats(1e-3, 10), st.integers(1, 10**9), st.floats(1e6, 1e12), st.integers(2, 64))
def test_prediction_is_bounded_and_a_faster_link_never_hurts(step, size, link, ranks):
    job = Job(step, size)
    slow, fast = times_faster(job, Link(link), ranks), times_faster(job, Link(2 * link), ranks)
    assert 0 < slow <= fast <= ranks
    assert reduction(job, Link(link), ranks) < 2 * size / link * (1 + 1e-9)


@given(st.integers(2, 64), st.floats(0.01, 0.99))
def test_the_link_that_a_speed_up_means(ranks, share):
    faster = share * ranks
    assert times_faster(JOB, Link(rate_for(JOB, ranks, faster)), ranks) == pytest.approx(faster)


@pytest.mark.parametrize("faster", [0, 8, 9])
def test_more_than_the_ranks_is_over_no_link(faster):
    with pytest.raises(ValueError, match="8 ranks cannot be"):
        rate_for(JOB, 8, faster)


def epochs(rate, *losses):
    return [Epoch(9.0, 99.0, 1.0), *(Epoch(loss, 80 / rate, rate) for loss in losses)]


def rows_of(table):
    return list(zip(*(column.cells for column in table.columns), strict=True))


def test_efficiency_is_that_of_each_round():
    tuning = Tuning(5.0)
    runs = {
        None: [epochs(10.0, 1.0, 0.5), epochs(5.0, 1.0, 0.5)],
        tuning: [epochs(19.0, 1.0, 0.5), epochs(10.0, 1.0, 0.5005)],
    }
    assert training_scaling.efficiencies(runs, tuning) == pytest.approx([0.95, 1.0])
    pairs = [[epochs(9.0, 1.0), epochs(10.0, 1.0)], [epochs(4.0, 1.0), epochs(5.0, 1.0)]]
    given = Namespace(config=Path("train.yaml"), batch_size=8, side=256, rounds=2)
    one, two, apart = rows_of(training_scaling.scaling_table(runs, pairs, given))
    assert one[3:] == ("7.50 (5.00 to 10.00)", "", "0.500000", "")
    assert two[3:] == ("14.50 (10.00 to 19.00)", "0.975 (0.950 to 1.000)", "0.500000", "1.0e-03")
    assert apart[3:] == ("14.00 (9.00 to 19.00)", "0.925 (0.900 to 0.950)", "", "")


def test_prediction_stands_beside_the_published_figure():
    table = training_scaling.prediction_table(JOB, [1.0, 1e9])
    assert str(PUBLISHED) in table.title
    [eight] = [row for row in rows_of(table) if row[0] == "8"]
    assert eight[1:] == (f"{times_faster(JOB, Link(1e9), 8):.2f} x", "8.00 x")


def test_gradients_are_as_large_as_the_published_network_says():
    assert training_scaling.gradient_bytes(ROOT / "jobs/conf/train-iqrah-2024.yaml") == 4 * 7_775_347


def test_what_hides_of_an_exchange():
    # Of an exchange of 0.2 s, two groups' step is 0.15 s shorter than one group's.
    times = {exchange.ALONE: [1.0, 1.1], exchange.BARE: [0.2, 0.2], "1": [1.2, 1.3], "2": [1.05, 1.15]}
    assert exchange.hidden(times, "1") == 0.0
    assert exchange.hidden(times, "2") == pytest.approx(0.75)
    options = Namespace(config=Path("train.yaml"), batch_size=8, side=128, rounds=2, rate="1gbit", threads=1)
    rows = rows_of(exchange.page(times, options))
    assert [row[0] for row in rows] == [*times]
    assert rows[-1][2:] == ("0.88 (0.88 to 0.88)", "0.75")


def test_one_gpu_has_no_second_rank(tmp_path):
    given = Namespace(only=("exchange", "efficiency"))
    rows = list(pace.rows(given, tmp_path, [], gpus=1))
    assert [name for name, *_ in rows] == ["exchange", "efficiency"]
    assert all("two GPUs" in text for _, text, _ in rows)


def test_what_a_step_cannot_do_without():
    model = build_unet(channels=3, depth=1, width=2, dropout=(0.0,), policy="float32")
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    # A pixel: input 3, two convolutions and a dropout between them 2 each, 3 classes. Weights by hand, and
    # as many gradients; SGD keeps the number of its updates and its rate.
    weights = (27 + 1) * 2 + (18 + 1) * 2 + (2 + 1) * 3
    assert needed(model, optimizer, chips=5, side=4) == 4 * (2 * weights + 2 + 5 * 16 * (3 + 3 * 2 + 3))


def test_balance_compares_epochs_that_have_settled():
    def run(*seconds):
        return [Epoch(1.0, each, 1.0) for each in seconds]

    runs = {"equal": [run(99, 50, 20, 20)], "auto": [run(99, 50, 10, 12)]}
    equal, auto = rows_of(balance.compared(runs, Namespace(
        ratio=3.0, config=Path("train.yaml"), batch_size=8, side=128, rounds=1)))  # fmt: skip
    assert equal[1] == "20.00 (20.00 to 20.00)"
    assert auto[1:3] == ("11.00 (11.00 to 11.00)", "1.82 (1.82 to 1.82)")


def test_curves_and_spreads():
    assert curve_distance(epochs(1.0, 2.0), epochs(1.0, 2.5)) == 0.25
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00)"


def test_the_brake_sleeps_in_proportion_to_work(monkeypatch):
    from benchmarks.training.slowed import Brake

    slept, used = [], iter([10.0, 12.0, 12.5, 12.6, 12.7])
    monkeypatch.setattr(time, "process_time", lambda: next(used))
    monkeypatch.setattr(time, "sleep", slept.append)
    brake = Brake(3.0)
    brake()
    brake()
    assert slept == pytest.approx([4.0, 0.2])


def test_exchanged_half_sets_each_seed_beside_itself(tmp_path, monkeypatch):
    scores, tried = iter([0.9, 0.8, 0.7, 0.9]), []

    def trained(folder, ranks, values, *, tuning):
        tried.append((ranks, values["seed"], values["exchange_precision"]))
        return epochs(1.0, 2.0 if values["exchange_precision"] is None else 2.2)

    monkeypatch.setattr(exchanged_half, "train", trained)
    monkeypatch.setattr(
        exchanged_half, "read_model_card", lambda _: Namespace(metrics={"mean_iou": next(scores)})
    )
    given = Namespace(chips=None, config=Path("jobs/conf/train.yaml"), epochs=None, seeds=2)
    first, second, means, _ = rows_of(exchanged_half.compared(given, tmp_path))
    assert tried == [(2, 0, None), (2, 0, "float16"), (2, 1, None), (2, 1, "float16")]
    assert first == ("0", "0.9000", "0.8000", "-0.1000", "10.00 %")
    assert second == ("1", "0.7000", "0.9000", "+0.2000", "10.00 %")
    assert means == ("mean", "0.8000", "0.8500", "", "")
