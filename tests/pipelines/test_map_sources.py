"""Which maps come from labels: the decision, without Spark."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from array_scene import ArrayScene
from hypothesis import given
from hypothesis import strategies as st

from labeling.errors import ConfigError
from labeling.files.layout import Run, write_done
from labeling.ice.profile import load_profile
from pipelines.engine.scenes import CatalogRow
from pipelines.infer_worker import InferJob
from pipelines.map_sources import MapRow, choose_sources


def row_of(scene_id):
    return CatalogRow(scene_id, ArrayScene(np.zeros((3, 4, 5), np.uint8), uri=f"/scenes/{scene_id}.tif").info)


ROWS = [row_of("one"), row_of("two")]


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


FILES = ("labels.tif", "shadow.tif", "status.tif")


def label(run, row, shadow=False, *, profile="polynya", cloud=0, raster=True, thick=50, files=FILES, **state):
    """Write what tells of a scene's finished labels; `shadow` None leaves out what the guard saw."""
    folder = run.labels(row.scene_id)
    folder.mkdir(parents=True, exist_ok=True)
    if raster:
        (folder / "labels.tif").touch()
    inputs = row.info.identity() | {"profile": load_profile(profile).model_dump()} | state
    facts = {} if shadow is None else {"filter_soft_edges": 0.1 * shadow, "filter_soft_area": 0.3 * shadow}
    facts["pixels"] = {"open_water": 20, "thin_ice": 80 - thick, "thick_ice": thick, "ignore": 99}
    facts |= {"excluded": {"nodata": 0, "cloud": cloud, "land": 0}, "status": {"cloud": cloud}}
    write_done(folder, inputs, list(files), **facts)


def sources(run, rows=ROWS, checked=True):
    """Return where each scene's map comes from and by which labels, and why others were refused."""
    chosen, refused = choose_sources(rows, run, "rgb8", checked=checked)
    found = {row.scene_id: (row.source, row.labels) for row in chosen}
    return found, {one.scene: one.reason for one in refused}


NETWORK = ("network", None)


def test_labels_are_the_map_where_the_guard_saw_nothing(run):
    label(run, ROWS[0], shadow=False)
    label(run, ROWS[1], shadow=True)
    chosen, refused = sources(run)
    assert [chosen[name][0] for name in ("one", "two")] == ["labels", "moved-cuts"]
    assert len({chosen["one"][1], chosen["two"][1]}) == 2
    assert len(chosen["one"][1]) == 64
    assert refused == {}


def test_the_network_draws_all_maps_when_asked_to(run):
    label(run, ROWS[0], shadow=False)
    assert sources(run, checked=False) == ({"one": NETWORK, "two": NETWORK}, {})


def test_a_map_that_the_network_draws_takes_only_clouds_from_labels(tmp_path):
    states = []
    for name, cloud, content in (("a", 0, b""), ("b", 9, b""), ("c", 9, b""), ("d", 9, b"other")):
        run = Run(tmp_path / name)
        folder = run.labels(ROWS[0].scene_id)
        folder.mkdir(parents=True)
        (folder / "status.tif").write_bytes(content)
        label(run, ROWS[0], cloud=cloud, thick=50 + len(name))
        states.append(sources(run, ROWS[:1], checked=False)[0]["one"])
    assert states[0] == NETWORK
    assert {source for source, _ in states} == {"network"}
    assert states[1] == states[2]
    assert len({labels for _, labels in states}) == 3


@pytest.mark.parametrize("state", [{"uri": "/elsewhere/one.tif"}, {"modified_ns": 2}])
def test_clouds_of_another_file_are_none(run, state):
    label(run, ROWS[0], cloud=9, **state)
    assert sources(run, ROWS[:1], checked=False)[0]["one"] == NETWORK


def test_clouds_that_cannot_be_taken_over_are_told(run, caplog):
    for row in ROWS:
        label(run, row, cloud=9)
    (run.labels("one") / "status.tif").touch()
    label(run, ROWS[0], cloud=9)
    assert sources(run, checked=False)[0]["two"] == NETWORK
    told = rf"^1 map.*{run.labels('two')} has no status.tif, which earlier versions.*jobs.label.*{run.root}$"
    assert re.search(told, caplog.messages[0])
    label(run, ROWS[1], cloud=9, modified_ns=2)
    label(run, ROWS[0], cloud=0)
    sources(run, checked=False)
    assert re.search(r"^1 map.*/labels/two is of another file than /scenes/two.tif", caplog.messages[1])
    label(run, ROWS[1], cloud=0, modified_ns=2)
    sources(run, checked=False)
    assert len(caplog.messages) == 2


@pytest.mark.parametrize(
    ("fact", "change"),
    [
        ("filter_soft_area", lambda done: done.pop("filter_soft_area")),
        ("thick_ice", lambda done: done.pop("pixels")),
        ("thick_ice", lambda done: done["pixels"].pop("thick_ice")),
        ("cloud", lambda done: done.pop("excluded")),
        ("cloud", lambda done: done.update(excluded={})),
    ],
)
def test_labels_with_a_shadow_that_say_too_little_are_told_what_they_lack(run, fact, change):
    label(run, ROWS[0], shadow=True)
    mark = run.labels("one") / "done.json"
    done = json.loads(mark.read_text())
    change(done)
    mark.write_text(json.dumps(done))
    with pytest.raises(ConfigError, match=f"does not say {fact}, which earlier versions") as told:
        sources(run, ROWS[:1])
    assert "shadow.tif" not in str(told.value)


def test_a_sky_with_masked_clouds_is_not_clear(run):
    label(run, ROWS[0], shadow=False, cloud=1)
    assert sources(run, ROWS[:1])[0]["one"][0] == "moved-cuts"


def test_a_scene_without_thick_ice_may_lie_under_one_cloud(run):
    label(run, ROWS[0], shadow=False, thick=1)
    label(run, ROWS[1], shadow=False, thick=3)
    chosen, _ = sources(run)
    assert [chosen[name][0] for name in ("one", "two")] == ["moved-cuts", "labels"]


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
    "no evidence": ({"files": ("labels.tif",)}, "has no shadow.tif, which earlier versions did not write"),
    "no status": ({"files": FILES[:2]}, "has no status.tif, which earlier versions did not write"),
    "other rendering": ({"profile": "polynya-l1c"}, "the rendering rayleigh-v1-1.3, and the model for rgb8"),
}


@pytest.mark.parametrize(("given", "reason"), PROBLEMS.values(), ids=PROBLEMS)
def test_labels_that_cannot_tell_are_refused(run, given, reason):
    if given is not None:
        label(run, ROWS[0], **given)
    with pytest.raises(ConfigError, match=rf"{reason}.*jobs\.label --profile polynya .*{run.root}; or let"):
        sources(run, ROWS[:1])
    label(run, ROWS[1], shadow=True)
    chosen, refused = sources(run)
    assert chosen["two"][0] == "moved-cuts"
    assert list(refused) == ["one"]


def test_no_scene_is_no_error(run):
    assert sources(run, []) == ({}, {})


@given(
    width=st.integers(1, 3000), columns=st.integers(32, 1500), cell=st.sampled_from([1, 4, 32, 64]),
)  # fmt: skip
def test_strips_are_of_whole_cells_and_no_wider_than_was_asked(width, columns, cell):
    info = ArrayScene(np.zeros((3, 1, width), np.uint8)).info
    here = Path()
    job = InferJob(here, "m", "rgb8", 128, columns, cell, here, here, here, "polynya")
    strips = [strip[0] for strip in job.strips(info)]
    assert sum(strip.width for strip in strips) == width
    assert all(strip.column % cell == 0 for strip in strips)
    assert {strip.width for strip in strips[:-1]} <= {job.columns_of(info)}
    assert job.columns_of(info) <= max(cell, columns)


def test_what_decides_a_map_is_what_it_comes_from(tmp_path):
    places = {"model": tmp_path, "folder": tmp_path, "labels": tmp_path, "scratch": tmp_path}
    job = InferJob(
        **places, model_digest="m", rendering="rgb8", rows=128, columns=64, cell=4, palette="polynya"
    )
    other = job._replace(model_digest="n")
    network = MapRow(ROWS[0].scene_id, ROWS[0].info, "network", None)
    a, b = (MapRow(ROWS[0].scene_id, ROWS[0].info, "labels", state) for state in "ab")
    cuts_a, cuts_b = (MapRow(ROWS[0].scene_id, ROWS[0].info, "moved-cuts", state) for state in "ab")
    assert job.inputs(a) == other.inputs(a)
    assert job.inputs(cuts_a) == job._replace(columns=96).inputs(cuts_a)
    for row in (network, cuts_a):
        assert job.inputs(row) != other.inputs(row)
        assert job.inputs(row) != job._replace(precision="bfloat16").inputs(row)
    assert len({str(job.inputs(row)) for row in (network, a, b, cuts_a, cuts_b)}) == 5
    names = {"uri", "bytes", "modified_ns", "etag", "model", "swept", "palette", "land", "limits"}
    assert job.inputs(network).keys() == names
