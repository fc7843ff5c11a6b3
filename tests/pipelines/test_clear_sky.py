"""Which maps come from labels: the decision, without Spark."""

import numpy as np
import pytest
from array_scene import ArrayScene

from labeling.errors import ConfigError
from labeling.layout import Run, write_done
from labeling.profile import load_profile
from pipelines.catalog import CatalogRow
from pipelines.clear_sky import choose_sources
from pipelines.infer_worker import InferJob


def row_of(scene_id):
    return CatalogRow(scene_id, ArrayScene(np.zeros((3, 4, 5), np.uint8), uri=f"/scenes/{scene_id}.tif").info)


ROWS = [row_of("one"), row_of("two")]


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def label(run, row, shadow=False, *, profile="polynya", cloud=0, raster=True, files=("labels.tif",), **state):
    """Write what tells of a scene's finished labels; `shadow` None leaves out what the guard saw."""
    folder = run.labels(row.scene_id)
    folder.mkdir(parents=True)
    if raster:
        (folder / "labels.tif").touch()
    inputs = row.info.identity() | {"profile": load_profile(profile).model_dump()} | state
    facts = {} if shadow is None else {"filter_shadow": shadow}
    write_done(folder, inputs, list(files), excluded={"nodata": 0, "cloud": cloud, "land": 0}, **facts)


def sources(run, rows=ROWS, clear_sky="labels"):
    """Return the labels that are a scene's map, by scene id, and why others were refused."""
    chosen, refused = choose_sources(rows, run, "rgb8", clear_sky)
    return {row.scene_id: row.labels for row in chosen}, {one.scene: one.reason for one in refused}


def test_labels_are_the_map_where_the_guard_saw_nothing(run):
    label(run, ROWS[0], shadow=False)
    label(run, ROWS[1], shadow=True)
    chosen, refused = sources(run)
    assert len(chosen["one"]) == 64
    assert chosen["two"] is None
    assert refused == {}


def test_the_network_draws_all_maps_unless_asked_otherwise(run):
    label(run, ROWS[0], shadow=False)
    assert sources(run, clear_sky="network") == ({"one": None, "two": None}, {})


def test_a_sky_with_masked_clouds_is_not_clear(run):
    label(run, ROWS[0], shadow=False, cloud=1)
    assert sources(run, ROWS[:1]) == ({"one": None}, {})


def test_labels_made_in_another_way_are_another_state(tmp_path):
    states = []
    for name, changes in (("a", {}), ("b", {}), ("c", {"palette": "iqrah-2024"})):
        run = Run(tmp_path / name)
        label(run, ROWS[0], **changes)
        states.append(sources(run, ROWS[:1])[0]["one"])
    assert states[0] == states[1] != states[2]


PROBLEMS = {
    "absent": (None, "no finished labels of /scenes/one.tif in .*/labels/one"),
    "no raster": ({"raster": False}, "no finished labels"),
    "other file": ({"uri": "/elsewhere/one.tif"}, "another file than /scenes/one.tif, or of another state"),
    "other state": ({"modified_ns": 2}, "another file than /scenes/one.tif, or of another state"),
    "no guard": ({"profile": "polynya-clear", "shadow": None}, "profile polynya-clear.* not look for cloud"),
    "other rendering": ({"profile": "polynya-l1c"}, "the rendering tci-l1c, and the model for rgb8"),
}


@pytest.mark.parametrize(("given", "reason"), PROBLEMS.values(), ids=PROBLEMS)
def test_labels_that_cannot_tell_are_refused(run, given, reason):
    if given is not None:
        label(run, ROWS[0], **given)
    with pytest.raises(
        ConfigError, match=rf"{reason}.*jobs\.label --profile polynya .*{run.root}; or choose"
    ):
        sources(run, ROWS[:1])
    label(run, ROWS[1], shadow=True)
    chosen, refused = sources(run)
    assert chosen == {"two": None}
    assert list(refused) == ["one"]


def test_no_scene_is_no_error(run):
    assert sources(run, []) == ({}, {})


def test_what_decides_a_map_is_what_it_comes_from(tmp_path):
    places = {"model": tmp_path, "folder": tmp_path, "labels": tmp_path, "scratch": tmp_path}
    job = InferJob(**places, model_digest="m", rendering="rgb8", window=64, margin=8, palette="polynya")
    other = job._replace(model_digest="n", window=96, margin=16)
    info = ROWS[0].info
    assert job.inputs(info, None) != other.inputs(info, None)
    assert job.inputs(info, "a") == other.inputs(info, "a")
    assert len({str(job.inputs(info, labels)) for labels in (None, "a", "b")}) == 3
    # Maps from before there was a choice stay as they are.
    names = {"uri", "bytes", "modified_ns", "etag", "model", "window", "margin", "palette", "land", "limits"}
    assert job.inputs(info, None).keys() == names
