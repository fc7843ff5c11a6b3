"""A folder of damaged files and files made to do harm, with good ones between: the good ones are done."""

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import damaged_files as damaged
import numpy as np
import pyarrow.parquet as pq
import pytest
import stage_runs
from conftest import ROOT, patchwork, planar
from pictures import read_labels, write_png, write_tif

from labeling.classes import IGNORE
from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile
from labeling.scenes.open import open_scene
from labeling.stages.steps import Recipe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and drops root's capabilities"),
]

RGB = planar(patchwork(200, 220, seed=4))
GOOD = {
    "good.tif": RGB,
    "new\nline and é 冰.tif": planar(patchwork(90, 80, seed=5)),
    "what?#1 %20&'\".tif": planar(patchwork(70, 90, seed=6)),
    "zzz.png": planar(patchwork(64, 64, seed=7)),
}
NOT_UTF8 = os.fsdecode(b"caf\xe9.tif")


def tiled(path):
    return write_tif(path, RGB, **damaged.TILED)


def unreadable(path):
    tiled(path).chmod(0)


def in_circles(path):
    path.symlink_to(path.name)


def not_utf8(path):
    shutil.copy(tiled(path.with_name("cafe.tif")), path)
    path.with_name("cafe.tif").unlink()


BAD = {
    "nothing.tif": (Path.touch, "open", "is empty", "again"),
    "cut-in-header.tif": (lambda path: damaged.shorten(tiled(path), 4), "open", "cannot be opened", "again"),
    "cut-in-tags.tif": (lambda path: damaged.shorten(tiled(path), 60), "open", "cannot be opened", "again"),
    "cut-in-pixels.tif": (lambda path: damaged.shorten(tiled(path), 0.6), "label", "is damaged", "again"),
    "cut-at-end.tif": (lambda path: damaged.shorten(tiled(path), 0.99), "label", "is damaged", "again"),
    "cut.png": (
        lambda path: damaged.shorten(write_png(path, RGB.transpose(1, 2, 0)), 0.7),
        "label", "is damaged", "again",
    ),
    "short.png": (lambda path: damaged.short_png(path, RGB, 150), "label", "is damaged", "again"),
    "magic.tif": (
        lambda path: damaged.overwrite(tiled(path), 0, b"XX"), "open", "begins like no GeoTIFF", "again",
    ),
    "huge.tif": (
        lambda path: damaged.huge_tif(path, RGB, 1_000_000),
        "label", "1000000 x 1000000 pixels", "leave the scene out",
    ),
    "large.tif": (lambda path: damaged.huge_tif(path, RGB, 20_000), "label", "is damaged", "again"),
    "huge.png": (
        lambda path: damaged.huge_png(path, RGB, 100_000),
        "label", "100000 x 100000 pixels", "leave the scene out",
    ),
    "absurd-tiles.tif": (
        lambda path: damaged.absurd_tiles(path, RGB, 1 << 20), "open", "1048576 x 1048576", "leave it out",
    ),
    "large-tiles.tif": (
        lambda path: damaged.absurd_tiles(path, RGB, 30_000), "open", "30000 x 30000", "leave it out",
    ),
    "lost-tile.tif": (
        lambda path: damaged.lost_tile(path, RGB, 1 << 30), "label", "is damaged", "again",
    ),
    "unwritten-tile.tif": (
        lambda path: damaged.unwritten_tile(path, RGB), "label", "never written", "rio edit-info --nodata 0",
    ),
    "not-finite.tif": (lambda path: damaged.not_finite(path, RGB), "open", "float32", "rio edit-info"),
    "two-bands.tif": (lambda path: write_tif(path, RGB[:2]), "open", "2 colour band(s)", "colour is missing"),
    "virtual.tif": (
        lambda path: damaged.disguised_vrt(path, path.with_name("good.tif")),
        "open", "begins like no GeoTIFF", "leave it out",
    ),
    "unreadable.tif": (unreadable, "open", "Permission denied", "Let the user read it"),
    "circle.tif": (in_circles, "open", "in a circle", "Mend the link"),
    "folder.tif": (Path.mkdir, "open", "is a folder", "Give its pictures"),
    "pipe.tif": (os.mkfifo, "open", "a pipe or a device", "Give a file"),
    NOT_UTF8: (not_utf8, "open", "not UTF-8", "Rename it"),
    "bad\nline é.tif": (lambda path: damaged.shorten(tiled(path), 60), "open", "cannot be opened", "again"),
    "S2A_MSIL1C_20191103T203901_N0500_R057_T58CDU_20191103T233010.zip": (
        damaged.cut_zip, "open", "", "again",
    ),
}  # fmt: skip
"""How each file is made, the step that fails, and what is said of why and of the way out."""


class Peak(threading.Thread):
    """The largest resident memory of any Python process that a process starts, in bytes."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.bytes, self._pid, self._end = 0, pid, threading.Event()

    def run(self):
        while not self._end.wait(0.05):
            parents, memory = {}, {}
            for status in Path("/proc").glob("[0-9]*/status"):
                with suppress(OSError):
                    facts = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
                    parents[int(facts["Pid"])] = int(facts["PPid"])
                    if facts["Name"].startswith("python") and "VmHWM" in facts:
                        memory[int(facts["Pid"])] = int(facts["VmHWM"].split()[0]) << 10
            ours = [size for pid, size in memory.items() if self._pid in _ancestors(pid, parents)]
            self.bytes = max([self.bytes, *ours])

    def stop(self):
        self._end.set()
        self.join()
        return self.bytes


def _ancestors(pid, parents):
    while pid:
        yield pid
        pid = parents.get(pid)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """One run over all files: (exit code, run folder, failures, what it printed, peak memory)."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, rgb in GOOD.items():
        path = folder / "scenes" / name
        write_tif(path, rgb) if path.suffix == ".tif" else write_png(path, rgb.transpose(1, 2, 0))
    for name, (make, *_) in BAD.items():
        make(folder / "scenes" / name)
    command = [
        sys.executable, "-m", "jobs.label", "--scenes", "scenes", "--out", "run", "--master", "local[2]",
        "--outputs", "labels",
    ]  # fmt: skip
    if os.geteuid() == 0:  # whom no permission stops
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    job = subprocess.Popen(command, cwd=folder, env=environment, text=True, stderr=subprocess.PIPE)
    peak = Peak(job.pid)
    peak.start()
    _, printed = job.communicate(timeout=300)
    lines = (folder / "run/failures.jsonl").read_text().splitlines()
    return job.returncode, folder / "run", [json.loads(line) for line in lines], printed, peak.stop()


def test_the_exit_code_says_that_some_failed(labelled):
    code, _, failures, printed, _ = labelled
    assert code == 3
    assert len(failures) == len(BAD)
    assert f"{len(GOOD)} scene(s) done, {len(BAD)} failed" in printed


@pytest.mark.parametrize("name", GOOD)
def test_good_scenes_have_the_right_pixels(labelled, name):
    run = labelled[1]
    rows = pq.read_table(run / "catalog.parquet").to_pylist()
    [scene] = [row["scene_id"] for row in rows if Path(row["uri"]).name == name]
    np.testing.assert_array_equal(
        read_labels(run, scene), label_scene(GOOD[name], None, load_profile("polynya"))
    )


@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_each_bad_file_is_listed_with_its_reason(labelled, name):
    _, step, reason, way_out = BAD[name]
    shown = repr(name)[1:-1] if name == NOT_UTF8 else name
    [failure] = [line for line in labelled[2] if f"/{shown}" in line["reason"]]
    assert failure["step"] == step
    assert reason in failure["reason"]
    assert way_out in failure["reason"]


def test_names_cannot_forge_lines_of_the_output(labelled):
    printed = labelled[3].splitlines()
    assert len([line for line in printed if line.startswith("label: ")]) == len(BAD) + 1
    assert not any(line.startswith("line") for line in printed)


def test_no_file_makes_a_process_grow(labelled):
    *_, peak = labelled
    assert 100 << 20 < peak < 1 << 30


def test_nothing_half_written_stays_behind(labelled):
    run = labelled[1]
    assert not [*run.rglob("*.part*"), *run.glob(".scratch/*")]
    assert len(list((run / "labels").iterdir())) == len(GOOD)


def test_numbers_that_are_none_are_no_data_in_a_stack(tmp_path):
    """As a picture such a file is refused, see above; with named bands it is reflectance."""
    recipe = Recipe(load_profile("polynya").model_copy(update={"rendering": "linear-0.3"}))
    names = ("B04", "B03", "B02")
    stacks = [
        damaged.not_finite(tmp_path / "stack.tif", RGB, names),
        damaged.not_finite(tmp_path / "declared.tif", RGB, names, numbers=(-9, -9, -9), nodata=-9),
    ]
    labels = []
    for stack in stacks:
        with open_scene(str(stack), recipe.profile.rendering) as scene:
            labels.append(stage_runs.whole(tmp_path / stack.stem, scene, recipe))
    np.testing.assert_array_equal(*labels)
    squares = np.zeros(labels[0].shape, bool)
    for start in (10, 30, 50):
        squares[start : start + 10, start : start + 10] = True
    np.testing.assert_array_equal(labels[0] == IGNORE, squares)
