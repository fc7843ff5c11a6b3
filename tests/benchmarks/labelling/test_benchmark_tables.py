"""The benchmark's watching, goals and predictions, on figures that are known."""

import sys

import pytest

from benchmarks.labelling.breakdown import Cost, stage_costs
from benchmarks.labelling.measure import Measured, measure
from benchmarks.labelling.scaling import Model, model_of
from benchmarks.labelling.tables import ENGINES, Case, Row, goals
from benchmarks.labelling.way import FILTERED, RAW
from benchmarks.labelling.workloads import Workload, large, pictures

MIB = 1 << 20


def python(code):
    return measure([sys.executable, "-c", code])


def test_moments_and_memory_of_a_command_and_its_children():
    took = python(
        "import json, subprocess, sys, time\n"
        "ready = time.monotonic()\n"
        "work = 'import time; held = bytearray(300 << 20); time.sleep(1.2)'\n"
        "subprocess.run([sys.executable, '-c', work])\n"
        "print('anything'); print(json.dumps({'ready': ready, 'done': time.monotonic()}))"
    )
    assert took.start > 0
    assert took.work > 1.2
    assert took.total >= took.start + took.work
    assert 300 * MIB < took.python < 400 * MIB
    assert took.java == 0


def test_processor_time_is_that_of_the_work_alone():
    took = python(
        "import json, time\n"
        "def burn(seconds):\n"
        "    while time.process_time() < seconds: pass\n"
        "burn(1.5); ready = time.monotonic(); burn(2.5)\n"
        "print(json.dumps({'ready': ready, 'done': time.monotonic()}))"
    )
    assert took.cpu == pytest.approx(1.0, abs=0.35)


def test_a_command_that_fails_is_an_error_with_its_output():
    with pytest.raises(RuntimeError, match="no such scene"):
        python("raise SystemExit('no such scene')")


def rows_of(name, *, ours, alone, published, other, floor, bare):
    def row(start, work):
        return Row(Measured(start, work, start + work, work, 1024 * MIB, 0), 0.0)

    rows = {Case("ours", 2): row(4, ours), Case("ours", 1): row(4, alone), Case("floor", 2): row(1, floor)}
    rows |= {Case("published", 2): row(0, published), Case("filter", 2): row(0, bare)}
    return Workload(name, None, [], 1), rows | {Case(way, 2): row(1, other) for way in ENGINES}


def test_goals_compare_what_they_say():
    times = {"ours": 10, "alone": 19.4, "published": 60, "other": 10, "floor": 9, "bare": 2}
    workload, rows = rows_of("large", **times)
    found = {goal.what: goal for goal in goals(workload, FILTERED, rows)}
    assert [goal.met for goal in found.values()] == [True] * 7
    assert found["published / ours, without start"].got == 6
    assert found["published / ours, with start"].got == pytest.approx(60 / 14)
    assert found["ours without start / Dask or pool with theirs"].got == pytest.approx(10 / 11)
    assert found["ours / Dask or pool, both without start"].got == 1
    assert found["efficiency from 1 to 2 cores, without start"].got == pytest.approx(0.97)
    assert found["largest Python process / 2 GiB"].got == 0.5
    assert found["ours / (floor + bare filter), without start"].got == pytest.approx(10 / 11)


def test_goals_can_be_missed():
    workload, rows = rows_of("large", ours=20, alone=30, published=50, other=10, floor=9, bare=2)
    assert not any(goal.met for goal in goals(workload, RAW, rows) if not goal.what.startswith("largest"))
    workload, rows = rows_of("pictures", ours=20, alone=30, published=60, other=10, floor=9, bare=2)
    assert not [goal for goal in goals(workload, RAW, rows) if "floor" in goal.what]


class TestModel:
    def test_rounds_of_tasks(self):
        model = Model(alone=1, shared=66, tasks=66)
        assert model.seconds(1) == 67
        assert model.seconds(2) == 34
        assert model.seconds(64) == 3  # two rounds: 64 tasks, then 2
        assert model.seconds(1000) == 2

    def test_threads_share_what_one_process_does(self):
        assert Model(alone=1, shared=0, tasks=1, threads=8).seconds(4) == 3

    def test_scenes_done_whole(self):
        costs = {"read": Cost(1, 1), "decode": Cost(2, 2), "write": Cost(3, 2)}
        assert model_of(costs, scenes=10, blocks=1, cpu=55) == Model(alone=5, shared=50, tasks=10)

    def test_a_scene_cut_into_blocks(self):
        costs = {"read": Cost(1, 1), "decode": Cost(4, 4), "exclude": Cost(1, 1), "compare": Cost(2, 2)}
        costs["write"] = Cost(3, 2)
        found = model_of(costs, scenes=1, blocks=36, cpu=12)
        assert found == Model(alone=5, shared=6, tasks=36, threads=1)
        assert found.seconds(1) == 12

    def test_stages_that_took_longer_than_the_job_leave_nothing_for_the_engine(self):
        assert model_of({"decode": Cost(2, 2)}, scenes=1, blocks=1, cpu=1).alone == 0


@pytest.mark.parametrize("made", [lambda folder: large(folder, 400), lambda folder: pictures(folder, 3, 300)])
def test_stages_are_timed(tmp_path, made):
    costs = stage_costs(made(tmp_path), FILTERED)
    assert list(costs) == ["read", "decode", "exclude", "compare", "write"]
    assert costs["decode"].cpu >= costs["read"].cpu > 0
    assert costs["compare"].cpu > 0
    assert costs["write"].cpu > 0
    assert all(cost.serial <= cost.cpu + 1e-3 for cost in costs.values())
