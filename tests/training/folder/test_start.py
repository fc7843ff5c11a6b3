"""A training that begins with the weights of a finished model."""

import shutil

import numpy as np
import pytest
from chip_factory import write_chips

from labeling.errors import ConfigError
from training.fit import run
from training.folder.card import read_model_card, write_model_card
from training.folder.checkpoints import latest
from training.folder.start import start_digest
from training.settings.config import TrainConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return write_chips(tmp_path_factory.mktemp("chips"), train=6, val=3, size=32)


def config(chips, out, **changed):
    small = {"depth": 2, "width": 4, "batch_size": 2, "epochs": 1, "learning_rate": 0.01}
    return TrainConfig.model_validate({"chips": chips, "out": out} | small | changed)


@pytest.fixture(scope="module")
def model(chips, tmp_path_factory):
    out = tmp_path_factory.mktemp("first") / "model"
    run(config(chips, out, epochs=8, keep="last"))
    return out


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_first_weights_are_those_of_the_model(chips, model, tmp_path, precision):
    still = {"learning_rate": 1e-12, "optimizer": "sgd", "keep": "last", "precision": precision}
    started = run(config(chips, tmp_path / "started", start=model, seed=5, **still))
    for one, other in zip(latest(tmp_path / "started").weights, latest(model).weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    drawn = run(config(chips, tmp_path / "drawn", seed=5, **still))
    assert started.metrics["mean_iou"] > drawn.metrics["mean_iou"] + 0.2
    assert started.settings["start"] == start_digest(config(chips, tmp_path, start=model))
    assert drawn.settings["start"] is None


def test_a_run_that_goes_on_needs_the_same_start_and_ends_as_an_unbroken_one(chips, model, tmp_path):
    out = tmp_path / "model"
    run(config(chips, out, start=model))
    with pytest.raises(ConfigError, match=r"start was '[0-9a-f]{64}', now None"):
        run(config(chips, out, epochs=2), resume=True)
    assert run(config(chips, out, start=model, epochs=2), resume=True).epochs_run == 2
    unbroken = run(config(chips, tmp_path / "unbroken", start=model, epochs=2))
    for one, other in zip(latest(out).weights, latest(tmp_path / "unbroken").weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-7)
    assert unbroken.settings == read_model_card(out).settings


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"width": 8}, "width 4, not 8"),
        ({"depth": 3}, "depth 2, not 3"),
        ({"scaling": "column-l2"}, "scaling 255, not column-l2"),
        ({"task": "classify", "depth": 5, "width": 16}, "task segment, not classify"),
    ],
)
def test_another_network_is_refused(chips, model, tmp_path, changed, words):
    with pytest.raises(ConfigError, match=f"another network .*{words}"):
        start_digest(config(chips, tmp_path / "out", start=model, **changed))


def test_a_folder_without_a_model_is_refused_and_nothing_is_left(chips, tmp_path):
    with pytest.raises(ConfigError, match=r"cannot start from .*nowhere: no model folder"):
        run(config(chips, tmp_path / "out", start=tmp_path / "nowhere"))
    assert not (tmp_path / "out").exists()


def test_a_model_does_not_start_from_itself(chips, model):
    with pytest.raises(ConfigError, match="start and out are both"):
        run(config(chips, model, start=model), overwrite=True)
    assert read_model_card(model).epochs_run == 8


def test_a_broken_model_is_told_in_a_sentence(chips, model, tmp_path):
    import keras

    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    card = read_model_card(broken)
    network = keras.saving.load_model(broken / "model.keras", compile=False)
    network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
    network.save(broken / "model.keras")
    with pytest.raises(ConfigError, match=r"cannot start from .*its digest is another"):
        run(config(chips, tmp_path / "out", start=broken))
    write_model_card(broken, card)
    with pytest.raises(ConfigError, match=r"cannot start from .*weights that are no numbers"):
        run(config(chips, tmp_path / "out", start=broken))
    (broken / "model.keras").write_bytes(b"no network")
    write_model_card(broken, card)
    with pytest.raises(ConfigError, match=r"cannot start from .*cannot read .*model\.keras"):
        run(config(chips, tmp_path / "out", start=broken))
