"""A network swept over a picture says what Keras says of it in one pass, and the same for any parts of it."""

import pickle
import re

import keras
import numpy as np
import pytest
from array_scene import ArrayScene
from model_factory import write_model

from labeling.errors import ConfigError, ModelError
from labeling.grid import blocks
from labeling.scenes.bands import sweep
from training.folder.card import read_model_card
from training.network.inputs import network_input
from training.network.reach import reach
from training.network.unet import build_unet
from training.predict import Predictor, band_rows, sweep_columns
from training.sweep import Sweep

ROUNDING = 1e-6
"""Of a probability. With AVX-512 there is none; without, pictures of other heights are added up otherwise."""


def network_of(depth, width, policy="float32"):
    keras.utils.set_random_seed(7)
    network = build_unet(channels=3, depth=depth, width=width, dropout=(0.1,) * depth, policy=policy)
    rng = np.random.default_rng(2)
    for layer in network.layers:
        if layer.weights:  # with a bias of zero a convolution beside the picture would say zero
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])
    return network


def picture_of(height, width=64):
    return np.random.default_rng(1).random((height, width, 3), np.float32)


def swept(network, picture, rows, wanted=None, margin=None):
    """Sweep over a picture, (height, width, channels), for some rows, of which and a margin bands come."""
    height, width, _ = picture.shape
    wanted = wanted or range(height)
    first = 0 if margin is None else max(0, wanted.start - margin) // rows * rows
    last = height if margin is None else min(height, wanted.stop + margin)
    bands = (picture[top : min(top + rows, last)] for top in range(first, last, rows))
    sweep = Sweep(network, rows=rows, width=width)
    return np.concatenate(list(sweep(bands, first=first, height=height, wanted=wanted)))


@pytest.mark.parametrize(
    ("depth", "width", "rows"), [(1, 4, 8), (2, 4, 16), (3, 4, 4), (3, 4, 20), (4, 8, 64), (6, 16, 128)]
)
def test_a_sweep_is_the_plain_pass_to_the_border(depth, width, rows):
    network, cell = network_of(depth, width), 2 ** (depth - 1)
    many = 2 * reach(network) + 3 * rows
    for height in (cell, 3 * cell, rows, rows + cell, -(-many // cell) * cell):
        picture = picture_of(height)
        plain = network.predict_on_batch(picture[np.newaxis])[0]
        found = swept(network, picture, rows)
        np.testing.assert_allclose(found, plain, rtol=0, atol=ROUNDING, err_msg=f"{height} rows")


@pytest.mark.parametrize("width", [4, 12, 60, 132])
def test_a_sweep_is_the_plain_pass_at_any_width(width):
    network, picture = network_of(3, 8), picture_of(92, width)
    plain = network.predict_on_batch(picture[np.newaxis])[0]
    np.testing.assert_allclose(swept(network, picture, 16), plain, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    ("depth", "width", "rows"), [(1, 4, 8), (2, 4, 16), (3, 4, 4), (3, 8, 64), (4, 4, 64), (6, 16, 128)]
)
def test_some_rows_of_a_picture_are_those_of_the_whole(depth, width, rows):
    network = network_of(depth, width)
    picture = picture_of(8 * rows)
    whole = swept(network, picture, rows)
    for wanted in (
        range(rows),
        range(rows, 2 * rows),
        range(3 * rows, 8 * rows),
        range(5 * rows - 3, 5 * rows),
    ):
        found = swept(network, picture, rows, wanted, reach(network))
        np.testing.assert_array_equal(found, whole[wanted.start : wanted.stop], err_msg=str(wanted))


def test_rows_that_decide_others_must_come():
    network, rows = network_of(2, 4), 16
    sweep, picture = Sweep(network, rows=rows, width=64), picture_of(10 * rows)
    bands = picture.reshape(10, rows, 64, 3)
    wanted = range(3 * rows, 4 * rows)
    with pytest.raises(ValueError, match="bands begin at row 48, and row 40 is needed"):
        list(sweep(bands[3:], first=3 * rows, height=len(picture), wanted=wanted))
    with pytest.raises(ValueError, match="bands end at row 64, and 72 rows are needed"):
        list(sweep(bands[:4], first=0, height=len(picture), wanted=wanted))


def test_half_precision_is_that_of_the_plain_pass():
    network = network_of(3, 4, "mixed_bfloat16")
    picture = picture_of(160)
    plain = np.asarray(network.predict_on_batch(picture[np.newaxis])[0])
    np.testing.assert_allclose(swept(network, picture, 32), plain, atol=0.02)


def test_bfloat16_is_another_arithmetic_of_the_same_network_and_the_same_for_any_cut(tmp_path):
    folder = write_model(tmp_path / "model", channels="rgb")
    picture = np.random.default_rng(4).integers(0, 256, (6, 128, 64, 3), np.uint8)
    plain, half = (
        Predictor.load(folder, batch=1, precision=precision) for precision in ("float32", "bfloat16")
    )
    given = {"height": 6 * 128, "width": 64}
    all_rows, lower = range(6 * 128), range(3 * 128, 6 * 128)
    exact, whole = (
        np.concatenate(list(each.sweep(picture, first=0, wanted=all_rows, **given))) for each in (plain, half)
    )
    part = np.concatenate(list(half.sweep(picture[2:], first=2 * 128, wanted=lower, **given)))
    assert 0 < np.abs(whole - exact).max() < 0.05
    np.testing.assert_array_equal(part, whole[lower.start :])
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

    def sweep(picture):
        bands = (picture[top : top + rows] for top in range(0, len(picture), rows))
        wanted = range(len(picture))
        return np.concatenate(
            list(predictor.sweep(bands, first=0, height=len(picture), width=32, wanted=wanted))
        )

    results = []
    for height in (4 * rows, 2 * rows + 3 * card.multiple):
        picture = rng.integers(0, 256, (height, 32, 3), np.uint8)
        # Values are scaled a band at a time, as the network is given them.
        values = np.concatenate(
            [
                network_input(picture[np.newaxis, top : top + rows], channels, scaling)[0]
                for top in range(0, height, rows)
            ]
        )
        network = keras.saving.load_model(folder / "model.keras", compile=False)
        results.append(sweep(picture))
        np.testing.assert_array_equal(results[-1], network.predict_on_batch(values[np.newaxis])[0])
    np.testing.assert_array_equal(sweep(picture), results[-1])


@pytest.mark.parametrize("scaling", ["255", "column-l2"])
def test_parts_of_a_scene_are_those_of_the_whole_however_colours_are_scaled(tmp_path, scaling):
    channels = "grey" if scaling == "column-l2" else "rgb"
    predictor = Predictor.load(write_model(tmp_path / "model", channels=channels, scaling=scaling), batch=1)
    height = 4 * predictor.rows + 5
    scene = ArrayScene(np.random.default_rng(4).integers(0, 256, (3, height, 40), np.uint8), None)
    cut = list(blocks(height=height, width=40, size=predictor.rows, columns=40))

    def said(parts):
        found = (sweep(scene, part, predictor, columns=40, cell=predictor.card.multiple) for part in parts)
        return np.concatenate([each for part in found for _, each in part])

    whole = said([cut])
    assert np.unique(whole).size > height
    for parts in ([cut[:1], cut[1:]], [cut[:3], cut[3:]], [[each] for each in cut]):
        np.testing.assert_array_equal(said(parts), whole)


def test_a_network_deeper_than_its_card_says_is_told(tmp_path, monkeypatch):
    predictor = Predictor.load(write_model(tmp_path / "model", channels="rgb"), batch=1)
    deep = network_of(predictor.card.depth + 1, 2)
    monkeypatch.setattr("training.predict._open_network", lambda *_: deep)
    with pytest.raises(ModelError, match=r"is broken: it has cells of \d+ pixels, and its card says \d+"):
        _ = predictor.margin


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
