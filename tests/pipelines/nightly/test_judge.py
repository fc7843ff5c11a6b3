"""Two models on the same chips: mean IoU as sets of pixels give it, from the network called by itself."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from chip_factory import write_chips
from map_runs import no_network

from labeling.errors import ConfigError, ModelError
from pipelines.nightly.judge import judge

pytestmark = pytest.mark.slow


def plain_mean_iou(chips, model):
    import keras

    network = keras.saving.load_model(model / "model.keras", compile=False)
    pairs = []
    for file in sorted((chips / "split=test").glob("*.parquet")):
        for chip in pq.read_table(file).to_pylist():
            image = np.frombuffer(chip["image"], np.uint8).reshape(1, 32, 32, 3)
            drawn = np.asarray(network(image.astype(np.float32) / 255)).argmax(-1).ravel()
            pairs += zip(np.frombuffer(chip["label"], np.uint8).tolist(), drawn.tolist(), strict=True)
    kept = [(place, *pair) for place, pair in enumerate(pairs) if pair[0] != 255]
    found = []
    for code in range(3):
        true = {place for place, label, _ in kept if label == code}
        drawn = {place for place, _, made in kept if made == code}
        if true | drawn:
            found.append(len(true & drawn) / len(true | drawn))
    return sum(found) / len(found)


def test_mean_iou_is_that_of_sets_of_pixels(tmp_path, model):
    chips = write_chips(tmp_path / "chips", test=11, uneven=True)
    scores = judge(chips, model)
    assert scores.mean_iou == pytest.approx(plain_mean_iou(chips, model), abs=2e-3)
    assert 0 < scores.mean_iou < 1


def test_chips_without_a_test_split_judge_nothing(tmp_path, model):
    chips = write_chips(tmp_path / "chips")
    with pytest.raises(ConfigError, match=r"no pixel of a class.*held_out"):
        judge(chips, model)


def test_chips_of_foreign_content_are_refused_before_anything_is_made_of_them(tmp_path):
    chips = write_chips(tmp_path / "chips", test=2)
    foreign = write_chips(tmp_path / "foreign", test=2, seed=9)
    shutil.copytree(foreign / "split=test", chips / "split=test", dirs_exist_ok=True)
    with pytest.raises(ConfigError, match=r"chips\.json"):
        judge(chips, tmp_path / "no-model")


def test_chips_of_another_rendering_judge_nothing(tmp_path):
    chips = write_chips(tmp_path / "chips", test=1)
    with pytest.raises(ModelError, match="rendering rgb8, and the model"):
        judge(chips, no_network(tmp_path / "other", rendering="linear-1.3"))


def test_a_network_that_cannot_be_read_judges_nothing(tmp_path):
    chips = write_chips(tmp_path / "chips", test=1)
    with pytest.raises(ModelError):
        judge(chips, no_network(tmp_path / "damaged"))
