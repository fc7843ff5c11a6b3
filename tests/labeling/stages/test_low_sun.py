"""A scene under a sun so low that its air cannot be taken out well is labelled in doubt."""

import json

import numpy as np
import pytest
from safe_writer import ProductSpec, native_dn, write_product
from stage_runs import whole

from labeling.ice.profile import load_profile
from labeling.scenes.open import open_scene
from labeling.stages.steps import Recipe


@pytest.mark.parametrize(
    ("zenith", "profile", "doubted"),
    [
        (75.9, "polynya-l1c", False),
        (76.1, "polynya-l1c", True),
        (78.0, "iqrah-2024-l1c", False),
    ],
)
def test_low_sun(tmp_path, zenith, profile, doubted):
    spec = ProductSpec(sun_zenith=zenith)
    product = write_product(tmp_path / "scenes", native_dn(np.full((13, 60, 60), 0.5), spec), spec)
    recipe = Recipe(load_profile(profile))
    with open_scene(str(product), recipe.profile.rendering) as scene:
        whole(tmp_path / "out", scene, recipe)
    doubts = json.loads((tmp_path / "out/labels/done.json").read_text())["doubts"]
    assert [doubt["code"] for doubt in doubts if doubt["code"] == "low-sun"] == ["low-sun"] * doubted
    if doubted:
        assert "76.1 degrees" in doubts[0]["text"]
        assert "limits.sun_zenith: 76" in doubts[0]["text"]
