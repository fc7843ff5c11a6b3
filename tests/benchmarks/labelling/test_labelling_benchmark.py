"""The labelling benchmark measures what it says it measures, and notices other labels."""

import subprocess
import sys

import cv2
import numpy as np
import oracle
import pytest
from conftest import ROOT, patchwork, planar
from pictures import write_png, write_tif

import pipelines.engine.session
from benchmarks.labelling import __main__ as labelling
from benchmarks.labelling import engines, ours, published
from benchmarks.labelling.tables import ENGINES
from benchmarks.labelling.way import FILTERED, PROFILES, RAW, Job, load
from benchmarks.labelling.workloads import large, pictures

SCENE = patchwork(300, 530, seed=4)
EXPECTED = {RAW: oracle.label(SCENE), FILTERED: oracle.label_filtered(SCENE)}


@pytest.fixture(params=PROFILES)
def profile(request):
    return request.param


def job_of(tmp_path, profile, *, cut=True):
    scene = write_tif(tmp_path / "scene.tif", planar(SCENE), tiled=True, blockxsize=256, blockysize=256)
    return Job([scene], profile, tmp_path / "expected", tmp_path / "out", cut)


def one_map(work, items):
    return [work(item) for item in items]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("shared_memory", [False, True])
def test_engines_do_the_stages(tmp_path, profile, cut, shared_memory):
    job = job_of(tmp_path, profile, cut=cut)
    engines.label(one_map, job, 1, shared_memory=shared_memory)
    np.testing.assert_array_equal(labelling.read_labels(job.folder(job.scenes[0])), EXPECTED[profile])


def test_published_way_labels_tile_by_tile(tmp_path, profile):
    scene = write_png(tmp_path / "scene.png", SCENE)
    job = Job([scene], profile, tmp_path, tmp_path / "out", cut=False)
    for tile in published.split(job.out / "tiles", scene):
        (published.paint_plain if profile == RAW else published.paint_filtered)(tile)
    published.merge(job, scene)
    expected = np.full(SCENE.shape[:2], 99, np.uint8)
    label = oracle.label if profile == RAW else oracle.label_filtered
    for row in (0, 256):
        for column in (0, 256, 512):
            tile = slice(row, row + 256), slice(column, column + 256)
            expected[tile] = label(SCENE[tile])
    np.testing.assert_array_equal(labelling.read_labels(job.folder(scene)), expected)


def test_the_bare_filter_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "setNumThreads", lambda count: None)  # for good, in this process
    work = large(tmp_path, 300)
    job = Job(work.scenes, FILTERED, work.expected(FILTERED), tmp_path / "out", cut=False)
    with load("filter")(job, 2) as label:
        label()
    assert not job.out.exists()


def test_workloads_are_made_once_with_their_labels(tmp_path):
    made = pictures(tmp_path, 2, 64)
    assert [scene.name for scene in made.scenes] == ["picture-00.png", "picture-01.png"]
    before = [scene.stat().st_mtime_ns for scene in made.scenes]
    assert pictures(tmp_path, 2, 64) == made
    assert [scene.stat().st_mtime_ns for scene in made.scenes] == before
    one = large(tmp_path, 65)
    for work, scene in ((made, made.scenes[1]), (one, one.scenes[0])):
        rgb = published._read(scene)
        for profile, label in ((RAW, oracle.label), (FILTERED, oracle.label_filtered)):
            np.testing.assert_array_equal(np.load(work.expected(profile) / f"{scene.stem}.npy"), label(rgb))


def test_other_labels_are_an_error(tmp_path):
    work = pictures(tmp_path, 1, 64)
    file = work.expected(RAW) / "picture-00.npy"
    np.save(file, np.load(file) ^ 1)
    with pytest.raises(RuntimeError, match="other labels"):
        labelling.run(work, RAW, labelling.Case("pool", 1))


@pytest.mark.slow
def test_all_ways_agree(tmp_path):
    """Each in a process of its own, as the command says. What `ours-again` adds to `ours` is below."""
    ways = [way for way in labelling.WAYS if way != "ours-again"]
    command = [sys.executable, "-m", "benchmarks.labelling", "--quick", "--folder", str(tmp_path)]
    command += ["--workloads", "large", "--profiles", FILTERED, "--ways", *ways]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in ended.stdout.splitlines()]
    differing = {row[0]: row[-1] for row in rows if row and row[0] in labelling.WAYS}
    assert sorted(differing) == sorted(ways)
    assert differing.pop("filter") == ""
    # The published script applies the filter to tiles, and gets others.
    exact = {way for way, share in differing.items() if share == "0.00%"}
    assert set(differing) - exact == {"published", "published-shared"}


@pytest.mark.slow
def test_other_ways_agree_on_many_pictures(tmp_path):
    """One after another in one process, which imports once."""
    work = pictures(tmp_path, 3, 300)
    ways = ["published", "published-shared", *ENGINES, "floor"]
    assert {*ways, "ours", "ours-again", "filter"} == {*labelling.WAYS}
    code = (
        "import sys; from benchmarks.labelling import way\n"
        "out, given = sys.argv[1], sys.argv[2:]\n"
        f"for name in {ways}: sys.argv[1:] = [name, '--out', f'{{out}}/{{name}}', *given]; way.main()\n"
    )
    options = ["--profile", RAW, "--expected", str(work.expected(RAW)), *map(str, work.scenes)]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out"), *options], cwd=ROOT, check=True)
    for way in ways:
        assert labelling.differing(work, RAW, tmp_path / "out" / way) == 0, way


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "many", "profile"),
    [("ours", True, RAW), ("ours-again", True, RAW), ("ours-again", False, FILTERED)],
)
def test_ours_agrees(tmp_path, monkeypatch, name, many, profile):
    """In the Spark session of other tests: above it has its own."""
    monkeypatch.setattr(ours, "spark_session", pipelines.engine.session.spark_session)
    work = pictures(tmp_path, 3, 300) if many else large(tmp_path, 600)
    job = Job(work.scenes, profile, work.expected(profile), tmp_path / "out", cut=not many)
    with load(name)(job, 2) as label:
        label()
    assert labelling.differing(work, profile, job.out) == 0
