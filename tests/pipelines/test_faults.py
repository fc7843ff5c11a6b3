"""What a labelling job survives on one machine; tests/cluster has what takes a cluster."""

import os
import signal
from types import SimpleNamespace

import pytest
from array_scene import ArrayScene
from conftest import patchwork, planar
from pictures import write_png, write_tif
from pyspark.errors import PySparkException

import pipelines.label as label_job
import pipelines.many.opening
from labeling.errors import SceneError
from labeling.files.atomic import remove
from labeling.files.layout import Run
from pipelines import label_worker
from pipelines.catalog import build_catalog
from pipelines.config import LabelConfig
from pipelines.engine.isolate import isolating
from pipelines.engine.plan import Cut, PlannedScene
from pipelines.engine.scenes import CatalogRow
from pipelines.engine.size import check_size

STAGES = {"never": "label_whole_scenes", "always": "decode_tasks"}


def label(folder, run, **options):
    options = {"outputs": ["labels"], "spark": {"master": "local[2]"}} | options
    return label_job.run(LabelConfig(scenes=[str(folder)], out=run, **options))


@pytest.fixture
def scenes(tmp_path):
    for seed, name in enumerate("abcd"):
        write_tif(tmp_path / f"scenes/{name}.tif", planar(patchwork(90, 80, seed=seed)))
    return tmp_path / "scenes"


def killed(work, marker, scene="c", *, always):
    """Return a map function that kills its worker at a scene: each time, or the first time."""

    def deadly(frames, job):
        frames = list(frames)
        if any((frame["scene_id"] == scene).any() for frame in frames) and (always or not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return list(work(iter(frames), job))

    return deadly


@pytest.mark.slow
@pytest.mark.parametrize("cut", STAGES)
def test_a_scene_that_kills_its_worker_each_time_fails_alone(tmp_path, scenes, monkeypatch, cut):
    stage = STAGES[cut]
    work = killed(getattr(label_worker, stage), tmp_path / "killed", always=True)
    monkeypatch.setattr(label_job, stage, work)
    outcome = label(scenes, tmp_path / "run", cut=cut)
    assert outcome.done == 3
    [failure] = outcome.failures
    assert failure.scene == "c"
    assert f"{scenes / 'c.tif'} could not be labelled" in failure.reason
    assert "Python worker exited unexpectedly" in failure.reason
    assert "--block-size" in failure.reason
    assert sorted(mark.parent.name for mark in tmp_path.glob("run/labels/*/done.json")) == ["a", "b", "d"]


@pytest.mark.slow
def test_without_a_master_a_task_has_four_attempts(tmp_path, scenes, monkeypatch):
    marker = tmp_path / "killed"
    work = killed(label_worker.label_whole_scenes, marker, always=False)
    monkeypatch.setattr(label_job, "label_whole_scenes", work)
    monkeypatch.setattr(label_job, "isolating", lambda label, *rest: label(*rest))
    assert label(scenes, tmp_path / "run", cut="never", spark={}) == (4, ())
    assert marker.exists()


def test_where_spark_itself_has_ended_no_scene_is_blamed():
    java = SimpleNamespace(sc=lambda: SimpleNamespace(isStopped=lambda: True))
    spark = SimpleNamespace(sparkContext=SimpleNamespace(_jsc=java))

    def fail(*_):
        raise PySparkException("the master is gone")

    scene = PlannedScene(CatalogRow("a", ArrayScene(planar(patchwork(20, 20))).info), Cut(20, 20))
    with pytest.raises(PySparkException, match="the master is gone"):
        isolating(fail, spark, [scene], None)


@pytest.mark.slow
def test_what_killed_jobs_left_goes_and_what_others_write_stays(tmp_path, monkeypatch):
    write_png(tmp_path / "scenes/a.png", patchwork(90, 80))
    run = Run(tmp_path / "run")
    label(tmp_path / "scenes", run.root)
    left = [
        ".catalog.0123abcd.part.parquet", ".failures.0123abcd.part.jsonl", "jobs/.label.0123abcd.part.json",
        ".chips.0123abcd.part/split=train/x", "labels/a/.labels.0123abcd.part.tif",
        "labels/b/.done.0123abcd.part.json", ".scratch/label/a/value-0-0.u8",
    ]  # fmt: skip
    others = ["model/.model.0123abcd.part.keras", "maps/a/.classes.0123abcd.part.tif", ".scratch/infer/a/x"]
    for name in left + others:
        (run.root / name).parent.mkdir(parents=True, exist_ok=True)
        (run.root / name).touch()
    # There is nothing to label, so this starts no Spark either.
    monkeypatch.setattr(
        "pipelines.engine.session.spark_session", lambda *_: pytest.fail("a session was made")
    )
    assert label(tmp_path / "scenes", run.root) == (1, ())
    assert [name for name in left + others if (run.root / name).exists()] == others
    assert not [*run.root.glob(".chips*"), *run.root.glob(".scratch/label")]


def test_a_folder_that_a_late_task_still_writes_to_stops_nobody(tmp_path, monkeypatch):
    def not_empty(*_, **__):
        raise OSError(39, "Directory not empty")

    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(os, "rmdir", not_empty)
    remove(tmp_path / "scratch")


def test_an_unforeseen_error_in_one_file_does_not_stop_the_catalogue(tmp_path, monkeypatch):
    real = pipelines.many.opening.open_scene

    def surprised(uri, *rest):
        if uri.endswith("b.png"):
            raise ValueError("no such projection")
        return real(uri, *rest)

    monkeypatch.setattr(pipelines.many.opening, "open_scene", surprised)
    paths = [write_png(tmp_path / f"{name}.png", patchwork(20, 20)) for name in "abc"]
    rows, failures = build_catalog([str(path) for path in paths], Run(tmp_path / "run"))
    assert [row.scene_id for row in rows] == ["a", "c"]
    assert [(failure.scene, failure.reason) for failure in failures] == [
        (str(paths[1]), "ValueError: no such projection")
    ]


class TestSize:
    """A scene is refused before anything is reserved for it."""

    MEMORY, SCRATCH = 2 << 30, 4 << 30

    def info(self, side, block):
        size = {"height": side, "width": side, "block": block or [side, side]}
        return ArrayScene(planar(patchwork(20, 20)), **size).info

    @pytest.mark.parametrize(("side", "block"), [(10_980, None), (32_767, [512, 512]), (14_000, [512, 512])])
    def test_what_fits(self, side, block):
        check_size(self.info(side, block), memory=self.MEMORY, scratch=self.SCRATCH)

    @pytest.mark.parametrize(
        ("side", "block", "words"),
        [
            (
                15_000,
                None,
                "decoded as a whole, which takes 2.2 GiB of memory.*allows .2.0 GiB",
            ),
            (32_769, [512, 512], "takes 4.0 GiB of disk, more than spark.scratch allows .4.0 GiB"),
            (1_000_000, [64, 64], "1000000 x 1000000 pixels"),
        ],
    )
    def test_what_does_not(self, side, block, words):
        with pytest.raises(SceneError, match=words):
            check_size(self.info(side, block), memory=self.MEMORY, scratch=self.SCRATCH)
