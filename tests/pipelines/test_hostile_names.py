"""Items, chips and links whose names lead out of the run folder: their labels lie where all others do."""

import json

import pytest
from conftest import patchwork, planar
from pictures import write_tif
from test_strangers import write_item

from jobs import label
from labeling.files.layout import Run, make_run, read_done, read_failures
from labeling.scene_id import is_scene_id
from pipelines.catalog import build_catalog, read_catalog


def items(folder, ids):
    """Write a list of items of these ids, all of one stack; return its path."""
    item = json.loads(write_item(folder, **{"s2:product_type": "S2MSI1C"}).read_text())
    (folder / "item.json").unlink()
    features = [item | {"id": name} for name in ids]
    (folder / "items.json").write_text(
        json.dumps({"type": "FeatureCollection", "stac_version": "1.0.0", "features": features})
    )
    return folder / "items.json"


IDS = ["..", ".", ".x.part", ".labels.0123abcd.part", "../../x", "/abs", "a/b", "A/B", "x" * 300, "-rf"]


def test_ids_of_items_become_ids_of_scenes(tmp_path):
    rows, failures = build_catalog([str(items(tmp_path / "items", IDS))], make_run(tmp_path / "run"))
    assert failures == []
    ids = [row.scene_id for row in rows]
    assert len({name.casefold() for name in ids}) == len(IDS)
    assert all(map(is_scene_id, ids))


@pytest.mark.slow
def test_labels_of_items_with_hostile_ids_lie_below_labels(tmp_path):
    listed = items(tmp_path / "items", IDS)
    run = Run(tmp_path / "deep" / "in" / "run")
    arguments = ["--scenes", str(listed), "--out", str(run.root), "--profile", "iqrah-2024-l1c"]
    arguments += ["--outputs", "labels"]
    before = set(tmp_path.rglob("*"))
    for _ in range(2):  # and a second run does not take them for leftovers
        assert label.main(arguments).exit_code == 0
        rows = read_catalog(run)
        assert len(rows) == len(IDS)
        wanted = {row.scene_id for row in rows}
        assert {path.name for path in (run.root / "labels").iterdir()} == wanted
        assert all((run.labels(name) / "labels.tif").is_file() for name in wanted)
    outside = {path for path in set(tmp_path.rglob("*")) - before if run.root not in (path, *path.parents)}
    assert outside <= {tmp_path / "deep", tmp_path / "deep" / "in"}
    assert not (run.root / "done.json").exists()


@pytest.mark.slow
def test_a_scene_whose_folder_is_a_link_fails_alone(tmp_path):
    for name in "ab":
        write_tif(tmp_path / f"scenes/{name}.tif", planar(patchwork(60, 70)))
    run, elsewhere = Run(tmp_path / "run"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "done.json").write_text("precious")
    (run.root / "labels").mkdir(parents=True)
    (run.root / "labels" / "a").symlink_to(elsewhere)
    outcome = label.main(
        ["--scenes", str(tmp_path / "scenes"), "--out", str(run.root), "--outputs", "labels"]
    )
    assert outcome.exit_code == 3
    assert read_done(run.root / "labels" / "b") is not None
    [failure] = read_failures(run)
    assert failure["scene"] == "a"
    assert "is a link to" in failure["reason"]
    assert [path.name for path in elsewhere.iterdir()] == ["done.json"]
    assert (elsewhere / "done.json").read_text() == "precious"
