import keras
import numpy as np
import pytest

from labeling.classes import IGNORE
from training.losses import masked_crossentropy

rng = np.random.default_rng(0)
PROBABILITIES = rng.dirichlet([1, 1, 1], (2, 4, 4)).astype(np.float32)
LABELS = rng.choice([0, 1, 2, IGNORE], (2, 4, 4)).astype(np.uint8)


def test_sum_and_count_are_those_of_the_labelled_pixels():
    found = masked_crossentropy(LABELS, PROBABILITIES)
    places = np.argwhere(LABELS != IGNORE)
    expected = -sum(np.log(PROBABILITIES[i, y, x, LABELS[i, y, x]]) for i, y, x in places)
    assert float(found.total) == pytest.approx(expected, rel=1e-5)
    assert float(found.pixels) == len(places)


def test_sums_of_parts_add_up_to_the_whole():
    whole = masked_crossentropy(LABELS, PROBABILITIES)
    parts = [masked_crossentropy(LABELS[i : i + 1], PROBABILITIES[i : i + 1]) for i in range(2)]
    assert float(whole.total) == pytest.approx(sum(float(part.total) for part in parts), rel=1e-6)


def test_a_batch_without_a_labelled_pixel_has_loss_and_gradient_zero():
    import tensorflow as tf

    logits = tf.Variable(rng.normal(size=(1, 4, 4, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        found = masked_crossentropy(np.full((1, 4, 4), IGNORE, np.uint8), keras.ops.softmax(logits))
    assert float(found.total) == float(found.pixels) == 0
    np.testing.assert_array_equal(tape.gradient(found.total, logits), 0)


def test_ignored_pixels_have_no_gradient_even_where_a_probability_is_zero():
    import tensorflow as tf

    sure = tf.Variable(np.array([[[[1, 0, 0], [0, 0, 1]]]], np.float32))
    with tf.GradientTape() as tape:
        found = masked_crossentropy(np.array([[[0, IGNORE]]], np.uint8), sure)
    gradient = tape.gradient(found.total, sure).numpy()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0, 0, 1], 0)
