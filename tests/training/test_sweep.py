"""A network swept over a picture says, bit by bit, what it says of the picture in one pass."""

import pickle
import re

import keras
import numpy as np
import pytest
from model_factory import write_model

from labeling.errors import ConfigError, ModelError
from training.folder.card import read_model_card
from training.network.inputs import network_input
from training.network.reach import reach
from training.network.unet import build_unet
from training.predict import Predictor, band_rows, sweep_columns
from training.sweep import Sweep


def network_of(depth, width, policy="float32"):
    keras.utils.set_random_seed(7)
    return build_unet(channels=3, depth=depth, width=width, dropout=(0.1,) * depth, policy=policy)


def swept(network, picture, rows):
    """Sweep over a picture (height, width, channels) and as much below as it takes."""
    height, width, channels = picture.shape
    sweep = Sweep(network, rows=rows, width=width)
    steps = -(-(height + sweep.lag) // rows)
    padded = np.zeros((steps * rows, width, channels), np.float32)
    padded[:height] = picture
    found = np.concatenate([sweep(padded[i * rows : (i + 1) * rows]) for i in range(steps)])
    return found[sweep.lag : sweep.lag + height]


@pytest.mark.parametrize(
    ("depth", "width", "rows"), [(1, 4, 8), (2, 4, 16), (3, 4, 4), (3, 4, 20), (4, 8, 64), (6, 16, 128)]
)
def test_a_sweep_is_the_plain_pass(depth, width, rows):
    network = network_of(depth, width)
    far, cell = reach(network), 2 ** (depth - 1)
    height, side = -(-(2 * far + 3 * rows) // cell) * cell, 64
    picture = np.random.default_rng(1).random((height, side, 3), np.float32)
    plain = network.predict_on_batch(picture[np.newaxis])[0]
    inner = slice(far, height - far)
    np.testing.assert_array_equal(swept(network, picture, rows)[inner], plain[inner])


def test_half_precision_is_that_of_the_plain_pass():
    network = network_of(3, 4, "mixed_bfloat16")
    picture = np.random.default_rng(1).random((160, 64, 3), np.float32)
    plain = np.asarray(network.predict_on_batch(picture[np.newaxis])[0])
    inner = slice(40, 120)
    np.testing.assert_allclose(swept(network, picture, 32)[inner], plain[inner], atol=0.02)


def test_bfloat16_is_another_arithmetic_of_the_same_network_and_the_same_for_any_cut(tmp_path):
    folder = write_model(tmp_path / "model", channels="rgb")
    picture = np.random.default_rng(4).integers(0, 256, (6, 128, 64, 3), np.uint8)
    plain, half = (
        Predictor.load(folder, batch=1, precision=precision) for precision in ("float32", "bfloat16")
    )
    exact, whole = (np.concatenate(list(each.sweep(picture))) for each in (plain, half))
    inner = slice(half.margin, -half.margin)
    part = np.concatenate(list(half.sweep(picture[2:])))
    assert 0 < np.abs(whole - exact)[inner].max() < 0.05
    np.testing.assert_array_equal(part[half.margin :], whole[2 * 128 + half.margin :])
    again = half.predict(picture[:1])
    np.testing.assert_allclose(again, plain.predict(picture[:1]), atol=0.05)
    assert pickle.loads(pickle.dumps(half)).precision == "bfloat16"


@pytest.mark.parametrize(("channels", "scaling"), [("rgb", "255"), ("grey", "255"), ("grey", "column-l2")])
def test_a_predictor_gives_rows_in_their_order_and_forgets_a_picture_before(tmp_path, channels, scaling):
    folder = write_model(tmp_path / "model", channels=channels, scaling=scaling)
    predictor = Predictor.load(folder, batch=1)
    card, rng = read_model_card(folder), np.random.default_rng(3)
    rows, margin = predictor.rows, predictor.margin
    assert (rows, margin % card.multiple) == (band_rows(card), 0)
    results = []
    for height in (4 * rows, 3 * rows):
        picture = rng.integers(0, 256, (height, 32, 3), np.uint8)
        bands = picture.reshape(-1, rows, 32, 3)
        found = np.concatenate(list(predictor.sweep(bands)))
        assert height - margin <= len(found) <= height
        # Values are scaled a band at a time, as the network is given them.
        values = np.concatenate([network_input(band[np.newaxis], channels, scaling)[0] for band in bands])
        network = keras.saving.load_model(folder / "model.keras", compile=False)
        plain = network.predict_on_batch(values[np.newaxis])[0]
        inner = slice(margin, height - margin)
        np.testing.assert_array_equal(found[inner], plain[inner])
        results.append(found)
    again = np.concatenate(list(predictor.sweep(bands)))
    np.testing.assert_array_equal(again, results[-1])


def test_networks_that_cannot_be_swept_are_refused(tmp_path, monkeypatch):
    predictor = Predictor.load(write_model(tmp_path / "model", channels="rgb"), batch=1)
    picture = keras.Input((None, None, 3))
    other = keras.Model(picture, keras.layers.Conv2D(3, 3, dilation_rate=2, padding="same")(picture))
    monkeypatch.setattr("training.predict._open_network", lambda *_: other)
    with pytest.raises(ModelError, match=r"the model in .* is broken: it cannot be swept.*conv2d"):
        _ = predictor.margin


def test_more_memory_means_more_columns_in_whole_cells(tmp_path):
    card = read_model_card(write_model(tmp_path / "model", channels="rgb"))
    found = [sweep_columns(card, memory=memory << 30) for memory in (1, 2, 4)]
    assert found == sorted(found)
    assert all(columns % card.multiple == 0 for columns in found)


def test_too_little_memory_for_any_column_is_told_with_how_much_it_takes(tmp_path):
    card = read_model_card(write_model(tmp_path / "model", channels="rgb")).model_copy(update={"width": 64})
    with pytest.raises(ConfigError, match=r"a worker with 0\.5 GiB .* takes (\d+) MiB at least") as told:
        sweep_columns(card, memory=1 << 29)
    least = int(re.search(r"takes (\d+) MiB", str(told.value))[1]) << 20
    assert sweep_columns(card, memory=least) == card.multiple
    with pytest.raises(ConfigError):
        sweep_columns(card, memory=least - (2 << 20))
