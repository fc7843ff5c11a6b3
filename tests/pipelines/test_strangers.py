"""One scene with facts that nothing can hold, or a name that nothing can write, fails alone."""

import json
import os
import re
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import patchwork, planar
from map_runs import no_network
from pictures import write_tif
from stack_writer import write_stack

from jobs import infer, label
from jobs.command import SCENES_HELP, main_of
from labeling.files.layout import make_run, read_failures
from labeling.scenes.open import open_scene
from labeling.text import encodable
from pipelines.catalog import build_catalog, expand, read_catalog, write_catalog
from pipelines.config import LabelConfig
from pipelines.engine.outcome import close_job
from pipelines.report.page import write_report

RGB = planar(patchwork(60, 70, seed=2))
HALF = "\ud800"
"""Half a character: JSON lets it pass, and UTF-8 cannot hold it."""


def write_item(folder, **properties):
    """Write an item with one stack as all of its bands; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_stack(folder / "B04.tif", np.full((1, 60, 60), 3500, np.uint16), (None,), nodata=0)
    asset = {"href": "./B04.tif", "raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    properties = {"platform": "sentinel-2b", "datetime": "2024-03-01T20:38:59Z", **properties}
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "item", "properties": properties,
        "assets": dict.fromkeys(("B02", "B03", "B04"), asset),
    }  # fmt: skip
    (folder / "item.json").write_text(json.dumps(item))
    return folder / "item.json"


FACTS = {
    "an orbit of 2^31": {"sat:relative_orbit": 2**31},
    "an orbit of 1e300": {"sat:relative_orbit": 1e300},
    "half a character in its datatake": {"s2:datatake_id": f"GS2B{HALF}"},
    "half a character in its platform": {"platform": f"sentinel-2b{HALF}", "sat:relative_orbit": 57},
    "a sun at 1e300": {"view:sun_elevation": 1e300},
    "a time before all times": {"datetime": "0001-01-01T00:00:00+14:00"},
    "lists for words": {"s2:datatake_id": [1], "platform": {"a": 1}, "constellation": "sentinel-2"},
}


@pytest.mark.parametrize("name", FACTS)
def test_the_catalogue_is_written_whatever_an_item_says(tmp_path, name):
    item = write_item(tmp_path / "item", **FACTS[name])
    good = write_tif(tmp_path / "good.tif", RGB)
    run = make_run(tmp_path / "run")
    rows, failures = build_catalog([str(item), str(good)], run)
    write_catalog(rows, run)
    assert read_catalog(run) == rows
    assert str(good) in {row.info.uri for row in rows}
    assert len(rows) + len(failures) == 2
    for row in rows:
        row.info.group.encode()
        assert row.info.relative_orbit in (None, 57)


@pytest.mark.parametrize("links", ["5", "[5]", '{"a": 1}', "null"])
def test_a_list_of_any_shape_fails_alone(tmp_path, links):
    said = (
        f'"type": "FeatureCollection", "stac_version": "1.0.0", "links": {links}, "features": [{{"id": 5}}]'
    )
    (tmp_path / "items.json").write_text(f"{{{said}}}")
    good = write_tif(tmp_path / "good.tif", RGB)
    assert str(good) in expand([str(tmp_path)])
    rows, failures = build_catalog([str(tmp_path)], make_run(tmp_path / "run"))
    assert [row.scene_id for row in rows] == ["good"]
    assert len(failures) == 1


def test_a_fact_that_the_catalogue_cannot_hold_is_a_failure_of_its_scene(tmp_path, monkeypatch):
    good, bad = (write_tif(tmp_path / f"{name}.tif", RGB) for name in ("good", "bad"))

    class Odd:
        def __init__(self, scene):
            self.info = scene.info._replace(relative_orbit=2**40)

    @contextmanager
    def opened(uri, rendering=None):
        with open_scene(uri, rendering) as scene:
            yield Odd(scene) if uri == str(bad) else scene

    monkeypatch.setattr("pipelines.many.opening.open_scene", opened)
    rows, failures = build_catalog([str(good), str(bad)], make_run(tmp_path / "run"))
    assert [row.scene_id for row in rows] == ["good"]
    assert [failure.scene for failure in failures] == [str(bad)]


def test_a_name_that_is_not_utf8_is_reported_escaped(tmp_path):
    name = os.fsdecode(b"caf\xe9.tif")
    bad, good = (
        write_tif(tmp_path / "bad.tif", RGB).rename(tmp_path / name),
        write_tif(tmp_path / "good.tif", RGB),
    )
    run = make_run(tmp_path / "run")
    rows, failures = build_catalog([str(bad), str(good)], run)
    write_catalog(rows, run)
    config = LabelConfig(scenes=[str(bad), str(good)], out=run.root)
    close_job(run, "label", 0.0, config, rows, failures)
    (line,) = read_failures(run)
    assert line["scene"] == encodable(str(bad))
    assert "caf\\udce9.tif" in line["reason"]
    write_report(run)
    assert "caf\\udce9.tif" in run.report.read_text(encoding="utf-8")


def test_maps_name_the_profiles_that_fit_a_scene_of_another_rendering(tmp_path, capsys):
    said = {"PRODUCT_TYPE": "L2A"}
    stack = write_stack(tmp_path / "a.tif", np.full((3, 60, 60), 0.5, np.float32), tags=said)
    model = no_network(tmp_path / "model")
    arguments = ["--model", model, "--scenes", stack, "--out", tmp_path / "run"]
    assert main_of(lambda: infer.main([str(argument) for argument in arguments]), "infer") == 2
    assert re.search("Made for such scenes: .*polynya-l2a", capsys.readouterr().err)


def test_a_level_that_is_not_said_is_asked_for(tmp_path, capsys):
    stack = write_stack(tmp_path / "a.tif", np.full((3, 60, 60), 0.5, np.float32))
    arguments = ["--scenes", stack, "--out", tmp_path / "run"]
    assert main_of(lambda: label.main([str(argument) for argument in arguments]), "label") == 3
    message = capsys.readouterr().err
    assert f"rio edit-info --tag PRODUCT_TYPE=L2A {stack}" in message
    assert "Made for such scenes: iqrah-2024-l1c" in message


@pytest.mark.parametrize("job", [label, infer])
def test_help_says_what_scenes_may_be(job):
    text = " ".join(job.parser().format_help().split())
    for word in ("SAFE", "STAC items", "named bands", "s3://", "--nodata 0"):
        assert word in text
    assert "STAC" in SCENES_HELP
