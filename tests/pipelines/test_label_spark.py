"""The Spark job against the whole-scene oracle: exact for any block size, core count and retry."""

import json
import os
import pickle
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import oracle
import pandas as pd
import pyarrow.parquet as pq
import pytest
import rasterio
from conftest import DATA, patchwork, planar, real_picture
from pictures import ROSS_SEA, picture_with_alpha, read_labels, write_png, write_tif

import pipelines.label as label_job
from labeling.classes import PALETTES
from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile
from labeling.scenes.open import open_scene
from labeling.scenes.picture import PictureScene
from labeling.scenes.sidecars import truth_path
from labeling.simulation.scene import SceneSpec, simulate, write_scene
from labeling.stages.steps import Recipe
from pipelines import label_worker
from pipelines.config import LabelConfig
from pipelines.engine.logs import configure
from pipelines.engine.plan import Cut, PlannedScene, tasks_of
from pipelines.engine.rows import records
from pipelines.engine.scenes import CatalogRow
from pipelines.engine.session import lazy_session, one_task_each
from pipelines.engine.settings import SparkSettings
from pipelines.label_worker import LabelJob

pytestmark = pytest.mark.slow

SCENE = patchwork(620, 700, seed=1)
EXPECTED = oracle.label_filtered(SCENE)
GUARDED = label_scene(planar(SCENE), None, load_profile("polynya"))
SIMULATED = SceneSpec(scene_id="sim", height=500, width=430, seed=3, cloud=0.6)
REAL = ("sceneA_rgb", "sceneC_cloudy_rgb")
TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "lzw"}


def label(scenes, out, *, master="local[2]", **options):
    options = {"outputs": ["labels"], "spark": {"master": master}} | options
    return label_job.run(LabelConfig(scenes=[str(scene) for scene in scenes], out=out, **options))


@pytest.fixture(
    scope="module",
    params=[
        # Those of one master together, and last the one that all other tests use: another is another session.
        ("always", 300, "local[1]"), ("auto", None, "local[1]"),
        ("always", 128, "local[2]"), ("always", 512, "local[2]"), ("always", 100_000, "local[2]"),
        ("always", None, "local[2]"), ("never", 300, "local[2]"), ("threads", 128, "local[2]"),
    ],
    ids=lambda param: "-".join(map(str, param)),
)  # fmt: skip
def run(request, tmp_path_factory):
    """A run over all kinds of pictures for one cut, block size and core count: (folder, outcome)."""
    cut, block_size, master = request.param
    folder = tmp_path_factory.mktemp("run")
    scenes = [
        write_tif(folder / "tiled.tif", planar(SCENE), **TILED),
        write_tif(folder / "strips.tif", planar(SCENE)),
        write_png(folder / "picture.png", SCENE),
        write_scene(folder, SIMULATED),
        *(path for name in REAL if (path := DATA / "ross-sea" / f"{name}.png").exists()),
    ]
    options = {"block_size": block_size, "master": master, "profile": "iqrah-2024"}
    if cut == "threads":
        with patch("pipelines.engine.plan._SMALL", 0):  # all that decode in pieces are large then
            return folder / "run", label(scenes, folder / "run", **options)
    return folder / "run", label(scenes, folder / "run", cut=cut, **options)


def test_labels_equal_the_oracle(run):
    folder, outcome = run
    assert outcome.failures == ()
    for scene in ("tiled", "strips", "picture"):
        np.testing.assert_array_equal(read_labels(folder, scene), EXPECTED)


@cache
def expected(name):
    """Return the oracle's labels of the simulated scene or of a real picture."""
    if name == SIMULATED.scene_id:
        return oracle.label_filtered(np.ascontiguousarray(simulate(SIMULATED).rgb.transpose(1, 2, 0)))
    return oracle.label_filtered(real_picture(f"{name}.png"))


def test_labels_of_a_simulated_scene_equal_the_oracle(run):
    np.testing.assert_array_equal(read_labels(run[0], "sim"), expected("sim"))


@pytest.mark.parametrize("name", REAL)
def test_labels_of_a_real_picture_equal_the_oracle(run, name):
    wanted = expected(name)  # skips where there is no such picture
    np.testing.assert_array_equal(read_labels(run[0], name), wanted)


@pytest.mark.parametrize("profile", ["iqrah-2024-raw", "polynya"])
def test_other_profiles_equal_the_whole_scene(tmp_path, profile):
    scene = write_tif(tmp_path / "scene.tif", planar(SCENE))
    assert label([scene], tmp_path / "run", cut="always", block_size=128, profile=profile).failures == ()
    expected = oracle.label(SCENE) if profile.endswith("raw") else GUARDED
    np.testing.assert_array_equal(read_labels(tmp_path / "run", "scene"), expected)


def test_real_nodata_wedge_is_ignored_not_water(tmp_path):
    rgb = real_picture("sceneA_rgb.png")
    label([DATA / "ross-sea/sceneA_rgb.png"], tmp_path / "run")
    labels = read_labels(tmp_path / "run", "sceneA_rgb")
    black = (rgb == 0).all(axis=2)
    assert (labels == 255).mean() == pytest.approx(0.084, abs=0.002)
    assert black[labels == 255].all()
    assert (labels[900:, 1000:] == 255).all()


def test_labels_carry_the_scenes_grid_colours_and_overviews(tmp_path):
    scene = write_tif(tmp_path / "grid.tif", planar(SCENE))
    label([scene], tmp_path / "run")
    with rasterio.open(tmp_path / "run/labels/grid/labels.tif") as labels:
        assert labels.crs == ROSS_SEA["crs"]
        assert labels.transform == ROSS_SEA["transform"]
        assert (labels.height, labels.width, labels.nodata) == (620, 700, 255)
        assert labels.dtypes == ("uint8",)
        assert labels.block_shapes == [(256, 256)]
        assert labels.overviews(1) == [2, 4]
        assert labels.colormap(1)[2][:3] == PALETTES["polynya"][2]
    done = json.loads((tmp_path / "run/labels/grid/done.json").read_text())
    assert done["pixels"]["thick_ice"] == (GUARDED == 2).sum()
    # EPSG:3031 is true at 71 S; 5 degrees further south it draws lengths 1.3 % too short.
    assert done["areas_m2"]["thick_ice"] == pytest.approx(102.6 * done["pixels"]["thick_ice"], rel=2e-3)


@pytest.mark.parametrize("cut", ["always", "never"])
def test_a_picture_of_another_rendering_is_labelled_in_doubt(tmp_path, capsys, cut):
    surface = simulate(SceneSpec(scene_id="air", height=400, width=400, seed=5, ice_cover=0.8)).rgb
    scene = write_tif(tmp_path / "air.tif", (surface * 0.7 + 40).astype(np.uint8))
    configure()  # as a job does: warnings are told without --log
    assert label([scene], tmp_path / "run", cut=cut, block_size=128).failures == ()
    [doubt] = json.loads((tmp_path / "run/labels/air/done.json").read_text())["doubts"]
    assert doubt["code"] == "dark-peak"
    told = [line for line in capsys.readouterr().err.splitlines() if "labelled in doubt" in line]
    assert len(told) == 1
    assert doubt["text"] in told[0]
    assert "scene=air" in told[0]
    label([scene], tmp_path / "run", cut=cut, block_size=128)
    assert doubt["text"] in capsys.readouterr().err  # a rerun tells it again


def test_alpha_and_declared_nodata_are_ignored(tmp_path):
    rgb = planar(SCENE[:90, :80]).copy()
    rgb[:, 50:, :] = 7
    scenes = [picture_with_alpha(tmp_path / "alpha.tif"), write_tif(tmp_path / "seven.tif", rgb, nodata=7)]
    assert label(scenes, tmp_path / "run", cut="always", block_size=32).failures == ()
    alpha = read_labels(tmp_path / "run", "alpha")
    assert (alpha[:, :32] == 255).all()
    assert not (alpha[:, 32:] == 255).any()
    seven = read_labels(tmp_path / "run", "seven")
    assert (seven[50:] == 255).all()
    assert not (seven[:50] == 255).any()


def test_nodata_crossing_blocks_equals_one_block(tmp_path):
    rgb = SCENE[:400, :400].copy()
    rows, columns = np.mgrid[:400, :400]
    rgb[rows + columns > 600] = 0
    scene = write_png(tmp_path / "wedge.png", rgb)
    label([scene], tmp_path / "small", cut="always", block_size=64)
    label([scene], tmp_path / "large", cut="never")
    small, large = (read_labels(tmp_path / run, "wedge") for run in ("small", "large"))
    np.testing.assert_array_equal(small, large)
    assert (small[rows + columns > 600] == 255).all()


@pytest.mark.parametrize("stage", ["decode_tasks", "exclude_scene", "compare_tasks", "write_scene"])
def test_a_worker_killed_in_any_stage_changes_nothing(tmp_path, monkeypatch, stage):
    scene = write_tif(tmp_path / "scene.tif", planar(SCENE))
    marker = tmp_path / "killed"
    real = getattr(label_worker, stage)

    def killed_once_after(first, job):
        results = real(first, job)
        results = results if stage.endswith("scene") else list(results)
        if not marker.exists():
            marker.touch()
            os._exit(1)
        return results

    monkeypatch.setattr(label_job, stage, killed_once_after)
    outcome = label([scene], tmp_path / "run", cut="always", block_size=128)
    assert marker.exists()
    assert outcome.failures == ()
    np.testing.assert_array_equal(read_labels(tmp_path / "run", "scene"), GUARDED)


def make_job(folder):
    recipe = Recipe(load_profile("polynya"))
    return LabelJob(recipe, folder / "labels", folder / "scratch", quicklook=True, palette="polynya")


def stages_of(job, scene, cut):
    """Run every task of a cut scene in this process, each twice, as Spark may."""
    with open_scene(str(scene)) as opened:
        planned = PlannedScene(CatalogRow("scene", opened.info), cut)
    tasks = [label_job.task_of(planned, block) for block in cut.blocks(planned.row.info)]

    def twice(work, rows):
        frames = [pd.concat(work(iter([pd.DataFrame([row])]), job)) for row in rows for _ in range(2)]
        return pd.concat(frames[::2], ignore_index=True)

    reading = tasks if planned.row.info.windowed else [label_job.task_of(planned)]
    decoded = twice(label_worker.decode_tasks, reading)
    for _ in range(2):
        [excluded] = records(label_worker.exclude_scene(decoded, job))
    assert excluded["error"] is None
    tasks = [task | {"excluded": excluded["excluded"]} for task in tasks]
    compared = twice(label_worker.compare_tasks, tasks)
    for _ in range(2):
        [outcome] = records(label_worker.write_scene(compared, job))
    assert outcome["error"] is None
    return tasks, compared


def test_every_stage_may_run_twice(tmp_path):
    scene = write_tif(tmp_path / "scene.tif", planar(SCENE))
    job = pickle.loads(pickle.dumps(make_job(tmp_path)))  # as it crosses to a worker
    stages_of(job, scene, Cut(300, 200))
    with rasterio.open(tmp_path / "labels/scene/labels.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), GUARDED)


class TestRerun:
    def test_only_what_is_missing_or_changed_is_done(self, tmp_path):
        run = tmp_path / "run"
        scenes = [
            write_png(tmp_path / f"{name}.png", patchwork(90, 90, seed=i)) for i, name in enumerate("abc")
        ]
        label(scenes, run)
        before = self.marks(run)
        label(scenes, run)
        assert self.marks(run) == before
        write_png(scenes[0], patchwork(90, 91, seed=8))
        (run / "labels/b/labels.tif").unlink()
        label(scenes, run)
        after = self.marks(run)
        assert after["a"] != before["a"]
        assert after["b"] != before["b"]
        assert after["c"] == before["c"]
        assert read_labels(run, "a").shape == (90, 91)

    def test_another_profile_redoes_and_a_wanted_quicklook_is_added(self, tmp_path):
        scene, run = write_png(tmp_path / "a.png", patchwork(90, 90)), tmp_path / "run"
        label([scene], run)
        first = self.marks(run)["a"]
        label([scene], run, outputs=["labels", "quicklook"])
        second = self.marks(run)["a"]
        assert second != first
        assert (run / "labels/a/quicklook.png").is_file()
        label([scene], run, profile="iqrah-2024-raw", outputs=["labels", "quicklook"])
        assert self.marks(run)["a"] != second

    @staticmethod
    def marks(run: Path):
        return {mark.parent.name: mark.stat().st_mtime_ns for mark in run.glob("labels/*/done.json")}


def test_nothing_to_do_starts_no_spark(tmp_path, monkeypatch):
    scene, run = write_png(tmp_path / "a.png", patchwork(90, 90)), tmp_path / "run"
    label([scene], run)
    monkeypatch.setattr(
        "pipelines.engine.session.spark_session", lambda *_: pytest.fail("a session was made")
    )
    assert label([scene], run) == (1, ())


def test_nothing_is_left_behind(tmp_path):
    scene, run = write_png(tmp_path / "a.png", patchwork(90, 90)), tmp_path / "run"
    label([scene], run)
    assert not list(run.rglob("*.part*"))
    label([write_tif(tmp_path / "b.tif", planar(SCENE))], run, cut="always", block_size=128)
    assert not list(run.glob(".scratch/*"))


def test_truth_beside_a_scene_is_not_a_scene(tmp_path):
    scene = write_scene(tmp_path / "scenes", SceneSpec(scene_id="sim", height=64, width=64, seed=1))
    assert truth_path(scene).is_file()
    label([tmp_path / "scenes"], tmp_path / "run")
    assert pq.read_table(tmp_path / "run/catalog.parquet")["scene_id"].to_pylist() == ["sim"]


@pytest.mark.parametrize("name", ["tiled.tif", "picture.png"])
@pytest.mark.parametrize("cut", [Cut(256, 256), Cut(620, 700)])
def test_pixels_are_decoded_once(tmp_path, monkeypatch, name, cut):
    write = write_png if name.endswith("png") else partial(write_tif, **TILED)
    scene = write(tmp_path / name, SCENE if name.endswith("png") else planar(SCENE))
    decode, seen = PictureScene._decode, np.zeros(SCENE.shape[:2], int)

    def counting(self, block):
        seen[block.slices] += 1
        return decode(self, block)

    monkeypatch.setattr(PictureScene, "_decode", counting)
    stages_of(make_job(tmp_path), scene, cut)
    np.testing.assert_array_equal(seen, 2)  # `stages_of` runs each task twice


def test_rows_carry_no_pixels(tmp_path):
    scene = write_tif(tmp_path / "scene.tif", planar(SCENE))
    tasks, compared = stages_of(make_job(tmp_path), scene, Cut(128, 128))
    assert max(len(pickle.dumps(task)) for task in tasks) < 4_000
    assert max(len(pickle.dumps(row)) for row in records(compared)) < 8_000


def test_none_and_lists_survive_the_way_to_a_worker():
    from pyspark.sql import types as T

    schema = T.StructType(
        [T.StructField("name", T.StringType()), T.StructField("counts", T.ArrayType(T.LongType()))]
    )

    def check(frames, _unused):
        for frame in frames:
            for row in records(frame):
                assert row["name"] is None
                assert list(row["counts"]) == [1, 2]
            yield frame

    with lazy_session("test", SparkSettings(master="local[2]")) as spark:
        rows = spark().createDataFrame([{"name": None, "counts": [1, 2]}], schema)
        assert rows.mapInPandas(partial(check, _unused=None), schema).count() == 1


@pytest.mark.parametrize("count", [1, 7, 64])
def test_every_row_is_a_task_of_its_own(count):
    from pyspark.sql import types as T

    schema = T.StructType([T.StructField("number", T.IntegerType())])
    with lazy_session("test", SparkSettings(master="local[2]")) as spark:
        rows = one_task_each(spark(), [{"number": number} for number in range(count)], schema)
        assert [len(part) for part in rows.rdd.glom().collect()] == [1] * count
        sizes = [len(part) for part in rows.coalesce(tasks_of(count, 2)).rdd.glom().collect()]
        assert max(sizes) - min(sizes) <= 1
