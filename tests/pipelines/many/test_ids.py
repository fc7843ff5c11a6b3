"""Scenes keep their ids when folders are away for a while, and when files move."""

import shutil

from conftest import patchwork
from pictures import write_png
from s3_server import S3Server

from labeling.files.layout import make_run, write_done
from labeling.files.object_store import ObjectStore
from labeling.files.storage import at
from pipelines.catalog import build_catalog, write_catalog


def names(run, *folders):
    """Catalogue these folders, label what there is, and return ids by place below the first's parent."""
    rows, _ = build_catalog([str(folder) for folder in folders], run)
    write_catalog(rows, run)
    for row in rows:
        write_done(run.labels(row.scene_id), row.info.identity(), [])
    top = folders[0].parent
    return {row.info.uri.removeprefix(f"{top}/"): row.scene_id for row in rows}


def scene(folder, name="a", seed=0):
    folder.mkdir(exist_ok=True)
    write_png(folder / f"{name}.png", patchwork(20, 30, seed=seed))


def test_a_folder_that_is_away_for_a_night_changes_no_id(tmp_path):
    run, x, y = make_run(tmp_path / "run"), tmp_path / "x", tmp_path / "y"
    scene(x)
    scene(y, seed=1)
    first = names(run, x, y)
    assert len(set(first.values())) == 2
    assert names(run, y) == {"y/a.png": first["y/a.png"]}
    assert names(run, x, y) == first


def test_so_it_is_in_a_bucket(tmp_path, monkeypatch):
    x, y = tmp_path / "x", tmp_path / "y"
    scene(x)
    scene(y, seed=1)
    with S3Server(tmp_path / "buckets") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        ObjectStore.clear_instance_cache()
        server.make_bucket("ids")
        run = make_run(at("s3://ids/run"))
        first = names(run, x, y)
        assert names(run, y) == {"y/a.png": first["y/a.png"]}
        assert names(run, x, y) == first
    ObjectStore.clear_instance_cache()


def test_a_name_whose_scene_is_away_is_not_given_to_another(tmp_path):
    run, x, y = make_run(tmp_path / "run"), tmp_path / "x", tmp_path / "y"
    scene(x)
    scene(x, "b")
    assert names(run, x) == {"x/a.png": "a", "x/b.png": "b"}
    (x / "a.png").rename(tmp_path / "kept")
    assert names(run, x) == {"x/b.png": "b"}
    scene(y, seed=1)
    assert names(run, x, y)["y/a.png"].startswith("a-")
    (tmp_path / "kept").rename(x / "a.png")
    assert names(run, x, y)["x/a.png"] == "a"


def test_a_file_that_moves_keeps_its_id_and_another_of_its_name_does_not_get_it(tmp_path):
    run, x = make_run(tmp_path / "run"), tmp_path / "x"
    scene(x)
    scene(x, "b")
    names(run, x)
    (x / "done").mkdir()
    (x / "a.png").rename(x / "done/a.png")
    scene(x / "other", "b", seed=1)
    (x / "b.png").unlink()
    found = names(run, x)
    assert found["x/done/a.png"] == "a"
    assert found["x/other/b.png"].startswith("b-")


def test_a_slot_of_one_name_gives_every_scene_an_id_of_its_own(tmp_path):
    run, slot, archive = make_run(tmp_path / "run"), tmp_path / "slot", tmp_path / "archive"
    archive.mkdir()
    other = tmp_path / "other"
    scene(other, "visual", seed=99)
    for day in range(4):
        scene(slot, "visual", seed=day)
        found = names(run, slot, archive, other)
        assert len(set(found.values())) == len(found) == day + 2
        (archive / str(day)).mkdir()
        (slot / "visual.png").rename(archive / str(day) / "visual.png")
        after = names(run, slot, archive, other)
        moved = {f"archive/{day}/visual.png": found.pop("slot/visual.png")}
        assert after == found | moved


def test_an_id_that_moved_before_its_labels_were_made_anew_is_nobody_elses(tmp_path):
    run, old, new = make_run(tmp_path / "run"), tmp_path / "old", tmp_path / "new"
    scene(old)
    scene(old, "b")
    first = names(run, old)
    new.mkdir()
    (old / "a.png").rename(tmp_path / "kept")
    shutil.copy2(tmp_path / "kept", new / "a.png")
    rows, _ = build_catalog([str(old), str(new)], run)
    write_catalog(rows, run)  # and the night is killed: labels/a is of old/a.png
    (tmp_path / "kept").rename(old / "a.png")
    found = names(run, old, new)
    assert found["new/a.png"] == first["old/a.png"]
    assert len(set(found.values())) == 3


def test_what_the_catalogue_says_counts_more_than_labels_that_were_left(tmp_path):
    run, x, y = make_run(tmp_path / "run"), tmp_path / "x", tmp_path / "y"
    scene(x)
    scene(y, seed=1)
    first = names(run, x, y)
    of = {"uri": str(x / "a.png"), "bytes": 1, "modified_ns": 1, "etag": None}
    write_done(run.labels("a"), of, [])
    scene(tmp_path / "z", seed=2)
    found = names(run, x, y, tmp_path / "z")
    assert {place: found[place] for place in first} == first
    assert len(set(found.values())) == 3


def test_a_file_that_moves_with_what_lies_beside_it_keeps_its_id(tmp_path):
    run, x = make_run(tmp_path / "run"), tmp_path / "x"
    scene(x)
    (x / "a.pgw").write_text("10\n0\n0\n-10\n300000\n8000000\n")
    scene(x, "b")
    names(run, x)
    (x / "done").mkdir()
    for file in ("a.png", "a.pgw"):
        (x / file).rename(x / "done" / file)
    assert names(run, x)["x/done/a.png"] == "a"
