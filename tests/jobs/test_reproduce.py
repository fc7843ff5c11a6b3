"""The published tables from simulated scenes with truth, all four kinds of chips, one small network each."""

import json

import pytest
from steps_here import steps_here

from jobs.reproduce import CONF, ReproduceConfig, main
from labeling.settings import load_settings
from labeling.simulation.scene import variety, write_scene

KINDS = {
    f"{kind} pictures, {labels} labels" for kind in ("original", "filtered") for labels in ("raw", "filtered")
}


def test_the_shipped_file_writes_out_the_defaults():
    given = {"scenes": ["scenes"], "out": "out"}
    assert load_settings(ReproduceConfig, CONF / "reproduce.yaml", given) == ReproduceConfig(**given)


def test_a_run_without_scenes_is_refused(capsys, tmp_path):
    assert main(["--out", str(tmp_path)]) == 2
    assert "'scenes'" in capsys.readouterr().err


def test_the_exit_code_is_that_of_the_step_that_failed(capsys, monkeypatch, tmp_path):
    steps_here(monkeypatch)
    assert main(["--scenes", str(tmp_path / "none.png"), "--out", str(tmp_path / "out")]) == 2
    assert "none.png" in capsys.readouterr().err


@pytest.mark.slow
def test_the_tables_of_simulated_scenes(tmp_path, capsys, monkeypatch, unlimited_threads):
    steps_here(monkeypatch, apart=["train"])
    scenes = tmp_path / "scenes"
    for spec in variety(5, height=128, width=128, seed=3):
        write_scene(scenes, spec)
    train = tmp_path / "train.yaml"
    train.write_text("epochs: 2\nbatch_size: 4\ndepth: 2\nwidth: 4\nabsent_classes: allow\nthreads: 1\n")
    config = tmp_path / "reproduce.yaml"
    config.write_text(f"chip_size: 32\ntrain: {train}\nseeds: 1\n")
    arguments = ["--scenes", str(scenes), "--out", str(tmp_path / "out"), "--config", str(config)]
    assert main(arguments) == 0
    found = json.loads((tmp_path / "out" / "reproduce.json").read_text())
    assert set(found["networks"]) == KINDS
    for seeds in found["networks"].values():
        assert [0 < seed["accuracy"]["all"]["accuracy"] <= 1 for seed in seeds] == [True]
    assert 0.5 < found["rules"]["thresholds alone"]["ssim"]["all"] < 1
    text = (tmp_path / "out" / "reproduce.md").read_text()
    assert text in capsys.readouterr().out
    models = sorted((tmp_path / "out").glob("model-*/model.keras"))
    assert len(models) == 4
    before = [file.stat().st_mtime_ns for file in models]
    assert main(arguments) == 0  # what is there is not done again
    assert [file.stat().st_mtime_ns for file in models] == before
    assert json.loads((tmp_path / "out" / "reproduce.json").read_text())["networks"] == found["networks"]
