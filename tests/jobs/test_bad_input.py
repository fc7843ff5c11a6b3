"""What goes wrong for users: each bad scene fails alone with its reason, each bad option ends with code 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, patchwork, planar
from map_runs import no_network
from pictures import read_labels, write_png, write_tif

from jobs import infer, label
from jobs.command import main_of
from pipelines.engine.outcome import ExitCode

RGB = planar(patchwork(200, 220, seed=4))


def exit_code(job, *arguments):
    return main_of(lambda: job.main([str(argument) for argument in arguments]), job.__name__)


def truncated(path: Path, keep=0.6) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """One run over good and bad scenes: (exit code, run folder, reasons by file name)."""
    folder = tmp_path_factory.mktemp("bad")
    rgb = RGB.transpose(1, 2, 0)
    scenes = [
        write_tif(folder / "good.tif", RGB),
        write_tif(folder / "two.tif", RGB[:, :2, :2]),
        write_tif(folder / "sixteen.tif", RGB.astype(np.uint16) * 40),
        write_tif(folder / "grey.tif", RGB[:1]),
        write_tif(folder / "four.tif", np.concatenate([RGB, RGB[:1]]), photometric="MINISBLACK"),
        write_tif(folder / "black.tif", np.zeros_like(RGB)),
        write_tif(folder / "nodata.tif", np.full_like(RGB, 9), nodata=9),
        truncated(write_tif(folder / "cut.tif", RGB, compress="deflate")),
        truncated(write_png(folder / "cut.png", rgb)),
        folder / "cut.jpg",
        folder / "empty.tif",
        folder / "text.tif",
        folder / "missing.tif",
    ]
    cv2.imwrite(str(folder / "cut.jpg"), rgb)
    truncated(folder / "cut.jpg")
    (folder / "empty.tif").touch()
    (folder / "text.tif").write_text("these are not pixels\n")
    code = exit_code(
        label, "--scenes", *scenes, "--out", folder / "run", "--master", "local[2]", "--block-size", 64
    )
    lines = (folder / "run/failures.jsonl").read_text().splitlines()
    failures = [json.loads(line) for line in lines]
    return code, folder / "run", failures


@pytest.mark.slow
def test_the_good_scenes_are_done_and_the_exit_code_says_some_failed(labelled):
    code, run, _ = labelled
    assert code == ExitCode.SOME_FAILED == 3
    assert sorted(folder.name for folder in (run / "labels").iterdir()) == ["good", "two"]
    assert read_labels(run, "two").shape == (2, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "step", "reason", "way_out"),
    [
        ("sixteen.tif", "open", "uint16", "rio edit-info -b 1 --description B04"),
        ("grey.tif", "open", "1 colour band", "rio stack --rgb red.tif green.tif blue.tif"),
        ("four.tif", "open", "4 colour band", "rio stack --rgb"),
        ("black.tif", "label", "holds no data", "Leave the scene out"),
        ("nodata.tif", "label", "holds no data", "Leave the scene out"),
        ("cut.tif", "label", "is damaged", "Fetch the file again"),
        ("cut.png", "label", "is damaged", "Fetch the file again"),
        ("cut.jpg", "label", "is damaged", "Fetch the file again"),
        ("empty.tif", "open", "is empty", "again"),
        ("text.tif", "open", "cannot be opened", "GeoTIFF, PNG or JPEG"),
        ("missing.tif", "open", "does not exist", "Check the path"),
    ],
)
def test_each_bad_scene_says_what_is_wrong_and_what_to_do(labelled, scene, step, reason, way_out):
    _, _, failures = labelled
    found = [line for line in failures if f"/{scene}" in line["reason"]]
    assert [line["step"] for line in found] == [step]
    assert reason in found[0]["reason"]
    assert way_out in found[0]["reason"]
    assert found[0]["job"] == "label"


@pytest.mark.slow
def test_nothing_half_written_stays_behind(labelled):
    _, run, failures = labelled
    assert len(failures) == 13
    assert not list(run.rglob("*.part*"))
    assert not list(run.glob(".scratch/*"))


@pytest.mark.slow
def test_a_scene_smaller_than_a_chip_is_labelled_and_gives_no_chips(labelled):
    _, run, failures = labelled
    card = json.loads((run / "chips/chips.json").read_text())
    assert sum(card["counts"].values()) == 0
    told = [line["reason"] for line in failures if line["step"] == "chips"]
    assert len(told) == 2
    assert all("hold no chip" in reason for reason in told)
    assert any("--chip-size 128" in reason for reason in told)
    assert any("too small for any" in reason for reason in told)


@pytest.mark.slow
def test_a_later_good_run_clears_the_failures(tmp_path):
    scene = write_tif(tmp_path / "a.tif", RGB[:1])
    other = write_tif(tmp_path / "b.tif", RGB)
    arguments = ["--scenes", scene, other, "--out", tmp_path / "run", "--outputs", "labels"]
    arguments += ["--master", "local[2]"]
    assert exit_code(label, *arguments) == 3
    write_tif(scene, RGB)
    assert exit_code(label, *arguments) == 0
    assert not (tmp_path / "run/failures.jsonl").exists()


class TestUsage:
    """Nothing is started and nothing written: exit code 2 and one sentence."""

    def test_folder_without_scenes(self, tmp_path, capsys):
        (tmp_path / "notes.txt").touch()
        assert exit_code(label, "--scenes", tmp_path, "--out", tmp_path / "run") == 2
        assert "no scenes in" in capsys.readouterr().err

    def test_only_missing_files(self, tmp_path, capsys):
        assert (
            exit_code(label, "--scenes", tmp_path / "no.tif", tmp_path / "*.png", "--out", tmp_path / "run")
            == 2
        )
        assert "no.tif" in capsys.readouterr().err

    def test_unknown_configuration_key(self, tmp_path, capsys):
        (tmp_path / "label.yaml").write_text("blok_size: 5\nchips:\n  sise: 3\n")
        arguments = ["--scenes", tmp_path, "--out", tmp_path / "run", "--config", tmp_path / "label.yaml"]
        assert exit_code(label, *arguments) == 2
        message = capsys.readouterr().err
        assert "unknown key 'blok_size'" in message
        assert "block_size" in message
        assert "chips.sise" in message

    @pytest.mark.parametrize("text", ["a: [1", "- a list", "\xff\xfe"])
    def test_configuration_that_is_no_mapping(self, tmp_path, text, capsys):
        (tmp_path / "label.yaml").write_bytes(text.encode("latin-1"))
        assert exit_code(label, "--config", tmp_path / "label.yaml") == 2
        assert "label.yaml" in capsys.readouterr().err

    def test_missing_options_are_named(self, capsys):
        assert exit_code(label) == 2
        message = capsys.readouterr().err
        assert "'scenes'" in message
        assert "'out'" in message

    @pytest.mark.parametrize(
        ("option", "value"), [("--block-size", 3), ("--profile", "nope"), ("--outputs", "labels,maps")]
    )
    def test_impossible_values(self, tmp_path, option, value, capsys):
        scene = write_tif(tmp_path / "a.tif", RGB)
        assert exit_code(label, "--scenes", scene, "--out", tmp_path / "run", option, value) == 2
        assert not (tmp_path / "run").exists()

    def test_run_folder_is_a_file(self, tmp_path, capsys):
        scene = write_tif(tmp_path / "a.tif", RGB)
        (tmp_path / "run").touch()
        assert exit_code(label, "--scenes", scene, "--out", tmp_path / "run") == 2
        assert "cannot write to the run folder" in capsys.readouterr().err

    def test_no_write_permission(self, tmp_path):
        # As another user where the tests run as root, whom no permission stops.
        code = (
            "import os, sys; from pathlib import Path; from labeling.errors import ConfigError\n"
            "from labeling.files.layout import make_run\n"
            "if os.geteuid() == 0: os.setuid(65534)\n"
            "try: make_run(Path(sys.argv[1]))\n"
            "except ConfigError as error: sys.exit(str(error))\n"
        )
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o555)
        done = subprocess.run(
            [sys.executable, "-c", code, str(locked / "run")],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 1
        assert "cannot write to the run folder" in done.stderr
        assert "Permission denied" in done.stderr


class TestModel:
    def test_no_model_folder(self, tmp_path, capsys):
        scene = write_tif(tmp_path / "a.tif", RGB)
        assert exit_code(infer, "--model", tmp_path / "no", "--scenes", scene, "--out", tmp_path / "run") == 2
        assert "no model folder" in capsys.readouterr().err

    def test_model_of_another_rendering(self, tmp_path, capsys):
        """It is refused by its card: nobody waits for TensorFlow first."""
        scene = write_tif(tmp_path / "a.tif", RGB)
        model = no_network(tmp_path / "model", rendering="tci-l1c")
        assert exit_code(infer, "--model", model, "--scenes", scene, "--out", tmp_path / "run") == 2
        message = capsys.readouterr().err
        assert "tci-l1c" in message
        assert "rgb8" in message


def test_exit_code_reaches_the_shell(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "jobs.label", "--scenes", str(tmp_path), "--out", str(tmp_path / "run")]
    assert subprocess.run(command, check=False, env=environment, capture_output=True).returncode == 2
