"""The run of very many scenes that growth is measured on: its scenes are as the jobs would have them."""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.labelling import growth
from benchmarks.labelling.growth import Took, tables
from benchmarks.labelling.many_scenes import copy_catalogue, finish, label_config, make_scenes
from benchmarks.labelling.measure import Measured
from labeling.chips.card import read_card
from labeling.chips.check import check_chips
from labeling.files.layout import make_run
from labeling.scenes import seen
from pipelines.catalog import build_catalog, read_catalog, write_catalog
from pipelines.label import run as label


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    monkeypatch.setattr(seen, "FRESH_NS", 0)
    make_scenes(tmp_path / "scenes", 9)
    time.sleep(0.02)  # a tick of the clock
    return tmp_path / "scenes"


def test_a_copied_catalogue_is_the_one_that_opening_makes(scenes, tmp_path):
    run = make_run(tmp_path / "run")
    rows, failures = build_catalog([str(scenes)], run)
    write_catalog(rows, run)
    opened = run.catalog.read_bytes()
    copy_catalogue(run, scenes)
    assert failures == []
    assert run.catalog.read_bytes() == opened
    assert len({tuple(row.info.transform) for row in rows}) == 3  # four scenes of a place


@pytest.mark.slow
def test_the_job_finds_nothing_to_do_and_reads_each_mark_once(scenes, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    copy_catalogue(run, scenes)
    finish(run, scenes, tmp_path / "first")
    card = read_card(run.chips)
    check_chips(run.chips, card)
    assert sum(card.counts.values()) == 9 * 4
    times = {path: path.stat().st_mtime_ns for path in run.root.rglob("done.json")}
    assert len(times) == 2 * 9 + 1
    read, read_text = Counter(), Path.read_text

    def counting(path, *given, **named):
        read[path] += path.name == "done.json"
        return read_text(path, *given, **named)

    monkeypatch.setattr(Path, "read_text", counting)
    assert label(label_config(scenes, run.root)) == (9, ())
    labels = [run.labels(row.scene_id) for row in read_catalog(run)]
    assert +read == {folder / "done.json": 1 for folder in (*labels, run.chips)}
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("done.json")} == times
    assert [row.scene_id for row in read_catalog(run)] == [f"scene-{number:06}" for number in range(9)]


def test_what_was_measured_is_told_again(tmp_path, monkeypatch, capsys):
    measured = Measured(1.0, 3.0, 4.5, 5.0, 1 << 30, 0)
    noted = {"driver": 2.0, "note": "10 done", "waited": 0.5, "measured": measured._asdict()}
    (tmp_path / "1000").mkdir()
    (tmp_path / "1000/rerun.json").write_text(json.dumps(noted))
    monkeypatch.setattr(growth, "grow", lambda *_: pytest.fail("it measures"))
    command = ["growth", "--folder", str(tmp_path), "--tell", "--sizes", "1000"]
    monkeypatch.setattr(sys, "argv", command)
    growth.main()
    assert "3.00 (5.00; 0.50)" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command, "2000"])
    with pytest.raises(SystemExit):
        growth.main()
    assert "nothing was measured of 2000 scenes" in capsys.readouterr().err


def test_predictions_share_out_what_the_driver_does_not_do():
    took = Took(Measured(1.0, 30.0, 32.0, 50.0, 1 << 30, 0), 10.0, "", 5.0)
    [each, growth, _, predicted] = tables({1000: {"rerun": took}, 2000: {"rerun": took}})
    row = list(each.columns[0].cells).index("rerun")
    assert [list(column.cells)[row] for column in each.columns] == [
        "rerun",
        "30.00 (50.00; 5.00)",
        "15.00 (25.00; 2.50)",
    ]
    assert list(growth.columns[1].cells)[row] == "1.0"
    # 10 s of 2000 scenes on the driver, 40 s elsewhere: 5000 s and 20000 s over 256 cores of a million.
    place = list(predicted.columns[0].cells).index("rerun")
    assert list(predicted.columns[1].cells)[place] == f"{5000 + 20000 / 256:,.0f}"
