"""A disk that is full or read-only: the message says so and where, nothing is half-written, a rerun works."""

import json
from pathlib import Path

import numpy as np
import pytest
from pictures import write_png

from jobs import label
from jobs.command import main_of
from labeling.errors import OutputError
from labeling.files.cogs.legend import class_legend
from labeling.files.cogs.write import write_codes
from labeling.grid import blocks

pytestmark = pytest.mark.slow

PAGE = 4096
SIDE = 400
NAMES = "abc"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Pictures whose labels are nearly as large as they can be."""
    folder = tmp_path_factory.mktemp("scenes")
    for seed, name in enumerate(NAMES):
        noise = np.random.default_rng(seed).integers(1, 256, (SIDE, SIDE, 1)).astype(np.uint8)
        write_png(folder / f"{name}.png", np.repeat(noise, 3, axis=2))
    return folder


@pytest.fixture(scope="module")
def undisturbed_run(scenes, tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed")
    assert job(scenes, run) == 0
    return run


@pytest.fixture(scope="module")
def undisturbed(undisturbed_run):
    return labels(undisturbed_run)


def job(scenes, run, cut="never"):
    arguments = ["--scenes", scenes, "--out", run, "--master", "local[2]", "--cut", cut, "--block-size", 200]
    arguments += ["--profile", "iqrah-2024-raw", "--outputs", "labels"]
    return main_of(lambda: label.main([str(argument) for argument in arguments]), "label")


def labels(run):
    return {file.parent.name: file.read_bytes() for file in run.glob("labels/*/labels.tif")}


def pages(folder):
    """How much of a disk the files in a folder take, bytes."""
    return sum(-(-file.stat().st_size // PAGE) * PAGE for file in folder.iterdir())


def half_written(run):
    return [*run.rglob("*.part*"), *run.glob(".scratch/*")]


@pytest.mark.parametrize("cut", ["never", "always"])
def test_scenes_that_find_the_disk_full_fail_and_a_rerun_does_them(
    disk, scenes, undisturbed, undisturbed_run, capsys, cut
):
    run = disk.root / "run"
    sizes = [pages(folder) for folder in (undisturbed_run / "labels").iterdir()]
    assert min(sizes) > 12 * PAGE
    # Room for the two scenes that are written at once and for what the job notes, not for the third; where
    # scenes are cut, not for their layers. With less, it would be a matter of luck whether any is finished.
    disk.do(f"remount,size={2 * max(sizes) + 12 * PAGE if cut == 'never' else SIDE * SIDE}")
    assert job(scenes, run, cut) == 3
    told = capsys.readouterr().err
    failures = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    assert failures
    for failure in failures:
        assert failure["reason"].startswith(f"the disk is full: {run}/")
        assert f"label: label failed: {failure['reason']}" in told
    done = labels(run)
    assert {failure["scene"] for failure in failures} == set(NAMES) - set(done)
    assert not half_written(run)
    finished = {file: time for file, time in disk.files().items() if file.parent.name in done}

    disk.do("remount,size=64m")
    assert job(scenes, run, cut) == 0
    assert labels(run) == undisturbed
    assert finished.items() <= disk.files().items()
    assert not (run / "failures.jsonl").exists()


@pytest.mark.parametrize("threads", [1, 2])
def test_no_thread_of_the_compression_hides_a_full_disk(disk, threads):
    """GDAL does: it takes what it could not write for written."""
    codes = np.random.default_rng(0).integers(0, 3, (1024, 1024)).astype(np.uint8)
    parts = [(block.window, codes[block.slices]) for block in blocks(height=1024, width=1024, size=512)]
    shape = {"height": 1024, "width": 1024, "crs": None, "transform": None}
    for leave in (2, 20, 60):
        disk.fill(leave * PAGE)
        with pytest.raises(OutputError, match=r"the disk is full: .*/labels\.tif cannot be written"):
            write_codes(disk.root / "labels.tif", iter(parts), class_legend(), **shape, threads=threads)
        assert set(disk.files()) == {Path("filler")}
        (disk.root / "filler").unlink()


def test_a_disk_without_room_for_the_catalogue(disk, scenes, capsys):
    disk.fill(leave=2 * PAGE)
    assert job(scenes, disk.root / "run") == 1
    said = capsys.readouterr().err
    assert f"the disk is full: {disk.root / 'run/catalog.parquet'} cannot be written" in said
    assert set(disk.files()) == {Path("filler")}


def test_a_disk_without_any_room(disk, scenes, capsys):
    disk.fill(leave=0)
    assert job(scenes, disk.root) == 2
    said = capsys.readouterr().err
    assert f"cannot write to the run folder {disk.root}: No space left on device" in said
    assert set(disk.files()) == {Path("filler")}


def test_a_disk_that_can_only_be_read(disk, scenes, capsys):
    disk.do("remount,ro")
    assert job(scenes, disk.root / "run") == 2
    said = capsys.readouterr().err
    assert f"cannot write to the run folder {disk.root / 'run'}: Read-only file system" in said
    assert not disk.files()


def test_a_disk_that_takes_nothing_any_more(disk, scenes, monkeypatch, capsys):
    """As the system makes it after an error, here between two steps."""
    real = label.run.__globals__["write_catalog"]

    def then_read_only(rows, run):
        disk.do("remount,ro")
        real(rows, run)

    monkeypatch.setitem(label.run.__globals__, "write_catalog", then_read_only)
    assert job(scenes, disk.root / "run") == 1
    assert f"the disk can only be read: {disk.root / 'run/catalog.parquet'}" in capsys.readouterr().err
