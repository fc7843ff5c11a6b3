import keras
import numpy as np
import pytest

from training.network.squeezenet import build_squeezenet


def build(**changed):
    return build_squeezenet(**({"channels": 3, "classes": 5, "width": 8, "dropout": 0.5} | changed))


def test_published_network_has_the_published_number_of_parameters():
    model = build(classes=1000, width=16)
    assert model.count_params() == 1_235_496
    assert model.output_shape == (None, 1, 1, 1000)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (16, 16), (33, 64)])
def test_pictures_of_any_size_get_probabilities_that_sum_to_one(height, width):
    model = build(channels=1)
    found = np.asarray(model(np.random.default_rng(0).random((2, height, width, 1), np.float32)))
    assert found.shape == (2, 1, 1, 5)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)
    assert not np.allclose(found[0], found[1], atol=1e-9)


def test_no_picture_looks_at_another():
    # What makes several ranks one process: nothing is normalised over the batch.
    model, pictures = build(), np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    together = np.asarray(model(pictures, training=False))
    alone = np.concatenate([np.asarray(model(picture[None], training=False)) for picture in pictures])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_half_precision_ends_in_float32():
    model = build(policy="mixed_bfloat16")
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert {layer.compute_dtype for layer in layers[:-2]} == {"bfloat16"}
    assert {layer.compute_dtype for layer in layers[-2:]} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
