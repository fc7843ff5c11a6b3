"""In which order a scene's files get their names."""

from pathlib import Path

import numpy as np
from array_scene import ArrayScene
from conftest import patchwork, planar
from stage_runs import whole

from labeling.ice.profile import load_profile
from labeling.stages.steps import Recipe


def test_the_mark_goes_first_and_comes_last(tmp_path, monkeypatch):
    """A scene labelled anew is unfinished from the first file that is replaced to the last."""
    scene = ArrayScene(planar(patchwork(70, 90)), np.ones((70, 90), bool))
    whole(tmp_path, scene, Recipe(load_profile("iqrah-2024-raw")), quicklook=True)
    mark = tmp_path / "labels" / "done.json"
    assert mark.is_file()
    seen, rename = [], Path.replace

    def replace(unnamed, target):
        seen.append((Path(target).name, mark.exists()))
        return rename(unnamed, target)

    monkeypatch.setattr(Path, "replace", replace)
    whole(tmp_path, scene, Recipe(load_profile("iqrah-2024")), quicklook=True)
    names, marked = zip(*seen, strict=True)
    assert names[-1] == "done.json"
    assert {"labels.tif", "quicklook.png"} <= set(names)
    assert len(set(names)) == len(names)
    assert not any(marked)
