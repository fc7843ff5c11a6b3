import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from model_factory import KINDS, write_model

from labeling.errors import ConfigError, ModelError
from training.network.inputs import network_input
from training.predict import Predictor

RGB = np.random.default_rng(5).integers(0, 256, (5, 16, 24, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("predict") / "model", channels="grey", scaling="column-l2")


def test_prediction_prepares_pictures_as_the_card_says(folder):
    found = Predictor.load(folder).predict(RGB)
    network = keras.saving.load_model(folder / "model.keras", compile=False)
    expected = np.asarray(network(network_input(RGB, "grey", "column-l2")))
    assert found.dtype == np.float32
    assert found.shape == (5, 16, 24, 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_grouping_and_order_of_pictures_change_no_bit(folder):
    predictor = Predictor.load(folder, batch=3)
    together = predictor.predict(RGB)
    for index in range(5):
        np.testing.assert_array_equal(predictor.predict(RGB[index : index + 1])[0], together[index])
    np.testing.assert_array_equal(predictor.predict(RGB[::-1])[::-1], together)
    assert predictor.predict(RGB[:0]).shape == (0, 16, 24, 3)


def test_a_predictor_crosses_to_a_worker_before_and_after_its_first_use(folder):
    predictor = Predictor.load(folder, batch=2)
    fresh = pickle.loads(pickle.dumps(predictor))
    expected = predictor.predict(RGB)
    used = pickle.loads(pickle.dumps(predictor))
    assert len(pickle.dumps(predictor)) < 5000
    np.testing.assert_array_equal(fresh.predict(RGB), expected)
    np.testing.assert_array_equal(used.predict(RGB), expected)


def test_loading_and_pickling_need_no_tensorflow(folder):
    code = (
        "import sys, pickle; from pathlib import Path; from training.predict import Predictor; "
        "pickle.dumps(Predictor.load(Path(sys.argv[1]))); "
        "print([name for name in ('tensorflow', 'keras', 'horovod') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sizes_the_network_cannot_halve_are_refused(folder):
    with pytest.raises(ModelError, match="multiples of 4 pixels, not 15 rows x 24 columns"):
        Predictor.load(folder).predict(RGB[:, :15])
    with pytest.raises(ValueError, match="batch"):
        Predictor.load(folder, batch=0)


def test_a_model_of_whole_chips_gives_one_row_of_probabilities_a_chip(tmp_path):
    predictor = Predictor.load(write_model(tmp_path / "model", **KINDS), task="classify")
    found = predictor.predict(RGB)
    assert found.shape == (5, 1, 1, 5)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)
    assert predictor.predict(RGB[:0]).shape == (0, 1, 1, 5)


def test_a_model_of_the_other_task_is_refused_with_the_way_out(folder, tmp_path):
    with pytest.raises(ModelError, match=r"names pixels .*train-kinds\.yaml"):
        Predictor.load(folder, task="classify")
    write_model(tmp_path / "kinds", **KINDS)
    with pytest.raises(ModelError, match=r"names whole chips .*jobs\.sieve"):
        Predictor.load(tmp_path / "kinds", task="segment")


def test_a_damaged_network_is_named(tmp_path):
    folder = write_model(tmp_path / "model")
    content = (folder / "model.keras").read_bytes()
    (folder / "model.keras").write_bytes(content[:1000])
    with pytest.raises(ModelError, match=r"cannot read .*model\.keras"):
        Predictor.load(folder).predict(RGB)


def spoiled(folder, spoil):
    """Return the folder of a model whose network was replaced by what `spoil` makes of it, card and all."""
    from training.folder.card import MODEL_FILE, read_model_card, write_model_card

    card = read_model_card(folder)
    spoil(keras.saving.load_model(folder / MODEL_FILE, compile=False)).save(folder / MODEL_FILE)
    write_model_card(folder, card)
    return folder


def without_numbers(network):
    network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
    return network


def of_classes(count, activation="softmax", size=None):
    picture = keras.Input((size, size, 3))
    return keras.Model(picture, keras.layers.Conv2D(count, 1, activation=activation)(picture))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_numbers, "has weights that are no numbers"),
        (lambda _: of_classes(5), "not one probability for each of 3 classes"),
        (lambda _: of_classes(3, size=32), r"not pictures of 3 channel\(s\) of any size"),
        (lambda _: of_classes(3, activation=None), "do not add up to 1"),
    ],
)
def test_a_network_that_is_none_for_its_card_is_refused(tmp_path, spoil, words):
    folder = spoiled(write_model(tmp_path / "model"), spoil)
    with pytest.raises(ModelError, match=rf"the model in .* is broken: it .*{words}"):
        Predictor.load(folder).predict(RGB)


def test_a_network_of_another_card_is_refused_by_its_digest(tmp_path):
    folder = write_model(tmp_path / "model")
    write_model(tmp_path / "other", seed=1)
    (folder / "model.keras").write_bytes((tmp_path / "other/model.keras").read_bytes() + b" ")
    with pytest.raises(ModelError, match="its digest is another"):
        Predictor.load(folder)


@pytest.mark.parametrize(
    "asked", [{"KERAS_BACKEND": "torch"}, {"KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "1"}]
)
def test_what_other_projects_ask_of_keras_is_overruled(asked):
    told = "print(keras.backend.backend(), tf.keras.__version__[0])"
    code = f"import training.prepare, keras, tensorflow as tf; {told}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | asked
    )
    assert done.stdout.split() == ["tensorflow", "3"]


def test_what_keras_json_says_is_overruled():
    from training.network.precision import settle_keras

    keras.config.set_floatx("float16")
    settle_keras()
    assert keras.config.floatx() == "float32"


def test_keras_on_another_backend_is_told_in_a_sentence(monkeypatch):
    from training.network.precision import settle_keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match="KERAS_BACKEND=tensorflow"):
        settle_keras()
