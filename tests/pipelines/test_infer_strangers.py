"""Maps of strangers' files: refused and doubted as labels are, whatever the windows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import patchwork
from pictures import write_png
from stack_writer import write_stack

from labeling.masks.limits import LimitSettings
from labeling.scenes.open import open_scene
from pipelines import infer_worker
from pipelines.infer import plan_work
from pipelines.infer_worker import InferJob, predict_tasks, write_scene
from pipelines.map_sources import NETWORK, MapRow

L1C = {"PRODUCT_TYPE": "L1C"}


class AllThick:
    """A network that sees thick ice everywhere."""

    margin, rows = 16, 64

    def sweep(self, bands, *, first, height, width, wanted):
        list(bands)
        yield np.broadcast_to(np.float32([0, 0, 1]), (len(wanted), width, 3))


def mapped(path, folder, monkeypatch, rendering="rgb8", columns=64, limits=None):
    """Map a scene as tasks do; return why it failed, or its completion mark."""
    monkeypatch.setattr(infer_worker, "predictor", lambda *_: AllThick())
    job = InferJob(
        Path("model"), "digest", rendering, 64, columns, 4, folder / "maps", folder / "labels",
        folder / f"scratch-{columns}", "polynya", limits=limits or LimitSettings(),
    )  # fmt: skip
    with open_scene(str(path), rendering) as scene:
        row = MapRow("scene", scene.info, NETWORK, None)
    frames = (pd.DataFrame([task]) for task in plan_work([row], job, 2))
    (outcome,) = write_scene(pd.concat(predict_tasks(frames, job)), job).to_dict("records")
    return outcome["error"] or json.loads((folder / "maps/scene/done.json").read_text())


def test_dn_for_reflectance_are_refused_with_the_same_words_for_any_window(tmp_path, monkeypatch):
    values = np.full((3, 150, 150), 0.5, np.float32)
    values[:, 40:43, 30:] = 7000  # in the margins of windows, too: each pixel counts once
    path = write_stack(tmp_path / "a.tif", values, tags=L1C)
    said = {mapped(path, tmp_path, monkeypatch, "linear-1.0", columns) for columns in (64, 80, 512)}
    assert len(said) == 1
    assert "looks like DN that are taken for reflectance: 1.6%" in said.pop()
    values[:, 41:43] = 0.5
    path = write_stack(tmp_path / "b.tif", values, tags=L1C)
    assert mapped(path, tmp_path, monkeypatch, "linear-1.0")["pixels"]["ignore"] == 120


@pytest.mark.parametrize("columns", [64, 512])
def test_black_inside_and_a_lost_place_are_told(tmp_path, monkeypatch, columns):
    rgb = patchwork(200, 200)
    rgb[50:120, 50:120] = 0
    path = write_png(tmp_path / "a.png", rgb)
    path.with_suffix(".pgw").write_text("10\n0\n0\n-10\n500005\n1699995\n")
    done = mapped(path, tmp_path, monkeypatch, columns=columns)
    assert {doubt["code"] for doubt in done["doubts"]} == {"inner-black", "place-lost"}
    assert done["areas_m2"] is None
    done = mapped(path, tmp_path, monkeypatch, limits=LimitSettings(black="nodata"))
    assert [doubt["code"] for doubt in done["doubts"]] == ["place-lost"]
    assert done["pixels"]["ignore"] == 70 * 70
