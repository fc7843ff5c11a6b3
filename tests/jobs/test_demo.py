"""The demonstration's scenes and commands; `make demo` itself is the test of the whole."""

import pytest

from jobs.demo import DemoConfig, make_scenes, steps
from labeling.errors import ConfigError
from labeling.scenes.open import open_scene
from labeling.settings import load_settings
from pipelines.catalog import expand


def config(tmp_path, **changes):
    return DemoConfig(**{"out": tmp_path / "run", "count": 2, "side": 64} | changes)


@pytest.mark.parametrize(
    ("product", "side", "kinds"), [(None, 64, {None}), ("l1c", 66, {"L1C"}), ("l2a", 66, {"L2A"})]
)
def test_scenes_are_pictures_or_products_of_the_size_asked_for(tmp_path, product, side, kinds):
    asked = config(tmp_path, product=product)
    scenes = expand(make_scenes(asked))
    infos = []
    for uri in scenes:
        with open_scene(uri) as scene:
            infos.append(scene.info)
    assert {(info.height, info.width) for info in infos} == {(side, side)}
    assert {info.product_type for info in infos} == kinds
    assert len({info.group for info in infos}) == len(scenes) == 2


@pytest.mark.parametrize("product", [None, "l1c", "l2a"])
def test_scenes_that_are_there_are_not_made_again(tmp_path, monkeypatch, product):
    asked = config(tmp_path, product=product)
    made = make_scenes(asked)
    for writer in ("write_scene", "write_product_scene"):
        monkeypatch.setattr(f"jobs.demo.{writer}", None)
    assert make_scenes(asked) == made


@pytest.mark.parametrize("product", [None, "l1c", "l2a"])
def test_labelling_is_left_to_the_default_profile(tmp_path, product):
    asked = config(tmp_path, product=product)
    command = next(steps(asked, make_scenes(asked)))
    assert "jobs.label" in command
    assert command[command.index("--chip-size") + 2 :] == []


def test_another_product_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="product"):
        load_settings(DemoConfig, None, {"out": tmp_path, "product": "l3a"})
