import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import patchwork
from pictures import write_png

import pipelines.many.opening
from labeling.errors import ConfigError
from labeling.files.layout import make_run
from labeling.scenes import seen
from labeling.settings import load_settings
from pipelines.catalog import build_catalog, expand, read_catalog, write_catalog
from pipelines.config import LabelConfig


def test_expand_takes_files_folders_and_globs_without_doubles(tmp_path):
    for name in ("b.PNG", "a.tif", "c.jpeg", "notes.txt", "a.truth.tif", ".hidden.tif"):
        (tmp_path / name).touch()
    found = [
        Path(path).name for path in expand([str(tmp_path), str(tmp_path / "*.tif"), str(tmp_path / "b.PNG")])
    ]
    assert found == ["a.tif", "b.PNG", "c.jpeg"]


def test_a_name_with_glob_characters_is_a_file_when_it_exists(tmp_path):
    (tmp_path / "a[1].tif").touch()
    assert expand([str(tmp_path / "a[1].tif")]) == [str(tmp_path / "a[1].tif")]


def test_expand_says_where_it_looked(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.tif"):
        expand([str(tmp_path / "nothing.tif")])


def test_protocols_that_nobody_speaks():
    with pytest.raises(ConfigError, match=r"at gs://…; files, http, https and s3 .* Fetch it"):
        expand(["gs://bucket/a.tif"])
    with pytest.raises(ConfigError, match="gs://bucket/run can be no folder of a run"):
        load_settings(LabelConfig, None, {"scenes": ["a.tif"], "out": "gs://bucket/run"})


def test_catalogue_is_read_as_it_was_written(tmp_path):
    write_png(tmp_path / "a.png", patchwork(20, 30))
    run = make_run(tmp_path / "run")
    rows, failures = build_catalog([str(tmp_path / "a.png")], run)
    write_catalog(rows, run)
    assert failures == []
    assert read_catalog(run) == rows
    assert (rows[0].info.height, rows[0].info.width, rows[0].info.windowed) == (20, 30, False)


def test_a_catalogue_of_another_version_says_so(tmp_path):
    run = make_run(tmp_path)
    pq.write_table(pa.table({"scene_id": ["a"], "uri": ["/a.tif"]}), run.catalog)
    with pytest.raises(ConfigError, match="another version"):
        read_catalog(run)


def test_a_folder_that_is_no_run_says_so(tmp_path):
    with pytest.raises(ConfigError, match="not a run folder"):
        read_catalog(make_run(tmp_path))


def test_what_names_no_scene_is_a_failure_beside_what_does(tmp_path):
    write_png(tmp_path / "a.png", patchwork(20, 30))
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.json").write_text('{"type": "FeatureCollection", "features": []}')
    named = [str(tmp_path / name) for name in ("a.png", "empty", "*.tiff", "none.json")]
    rows, failures = build_catalog(named, make_run(tmp_path / "run"))
    assert [row.scene_id for row in rows] == ["a"]
    assert [failure.scene for failure in failures] == named[1:]
    assert "no file fits" in failures[1].reason
    assert "holds no scene" in failures[0].reason
    assert "lists no items" in failures[2].reason


@pytest.mark.parametrize("damage", ["cut off", "another file", "an id that leads elsewhere", "two of one id"])
def test_a_damaged_catalogue_is_taken_for_absent_and_told(tmp_path, damage, caplog):
    for name in "ab":
        write_png(tmp_path / f"{name}.png", patchwork(20, 30))
    run = make_run(tmp_path / "run")
    scenes = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    rows, _ = build_catalog(scenes, run)
    if damage == "an id that leads elsewhere":
        rows = [row._replace(scene_id=f"../{row.scene_id}") for row in rows]
    if damage == "two of one id":
        rows = [row._replace(scene_id="a") for row in rows]
    write_catalog(rows, run)
    if damage == "cut off":
        run.catalog.write_bytes(run.catalog.read_bytes()[:-20])
    if damage == "another file":
        run.catalog.write_bytes(b"scene_id,uri\n")
    with pytest.raises(ConfigError, match=r"Delete it, and run jobs\.label again"):
        read_catalog(run)
    assert [row.scene_id for row in build_catalog(scenes, run)[0]] == ["a", "b"]
    assert "taking the catalogue for absent" in caplog.text


@pytest.fixture
def opened(monkeypatch):
    """Which scenes are opened, by name; files that were just written count as settled."""
    names, describe = [], pipelines.many.opening.describe_scene
    monkeypatch.setattr(seen, "FRESH_NS", 0)
    monkeypatch.setattr(
        pipelines.many.opening,
        "describe_scene",
        lambda uri, limits: names.append(Path(uri).name) or describe(uri, limits),
    )
    return names


def catalogue(scenes, run):
    """Make the catalogue; return rows, failures and the file's bytes."""
    time.sleep(0.02)  # a tick of the clock
    rows, failures = build_catalog([str(scenes)], run)
    write_catalog(rows, run)
    return rows, failures, run.catalog.read_bytes()


def test_only_what_changed_is_opened_again(tmp_path, opened):
    scenes, run = tmp_path / "scenes", make_run(tmp_path / "run")
    for seed, name in enumerate("abc"):
        write_png(scenes / f"{name}.png", patchwork(20, 30, seed=seed))
    (scenes / "bad.png").write_bytes(b"no picture")
    first = catalogue(scenes, run)
    assert opened == ["a.png", "b.png", "bad.png", "c.png"]
    opened.clear()
    assert catalogue(scenes, run) == first
    assert opened == ["bad.png"]  # why it fails has to be told again
    opened.clear()
    write_png(scenes / "b.png", patchwork(25, 30))
    rows, failures, _ = catalogue(scenes, run)
    assert opened == ["b.png", "bad.png"]
    assert [row.info.height for row in rows] == [20, 25, 20]
    assert failures == first[1]


def test_a_catalogue_of_known_scenes_has_the_bytes_of_one_made_anew(tmp_path, opened):
    scenes, run = tmp_path / "scenes", make_run(tmp_path / "run")
    for seed, name in enumerate("abc"):
        write_png(scenes / f"{name}.png", patchwork(20, 30, seed=seed))
    catalogue(scenes, run)
    known = catalogue(scenes, run)
    run.catalog.unlink()
    opened.clear()
    assert catalogue(scenes, run) == known
    assert len(opened) == 3


def test_what_was_written_a_moment_ago_is_opened_again(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(seen, "FRESH_NS", 3_600 * 10**9)
    scenes, run = tmp_path / "scenes", make_run(tmp_path / "run")
    write_png(scenes / "a.png", patchwork(20, 30))
    assert catalogue(scenes, run)[:2] == catalogue(scenes, run)[:2]
    assert opened == ["a.png", "a.png"]
