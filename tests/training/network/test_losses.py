import keras
import numpy as np
import pytest

from labeling.classes import IGNORE
from training.network.losses import balanced_weights, make_loss, masked_crossentropy, masked_dice

rng = np.random.default_rng(0)
PROBABILITIES = rng.dirichlet([1, 1, 1], (2, 4, 4)).astype(np.float32)
LABELS = rng.choice([0, 1, 2, IGNORE], (2, 4, 4)).astype(np.uint8)
WEIGHTS = (0.5, 3.0, 1.25)
LOSSES = [
    pytest.param(make_loss(name, weights), id=f"{name}-{'weighted' if weights else 'plain'}")
    for name in ("crossentropy", "focal", "dice")
    for weights in (None, WEIGHTS)
]


def test_sum_and_count_are_those_of_the_labelled_pixels():
    found = masked_crossentropy(LABELS, PROBABILITIES)
    places = np.argwhere(LABELS != IGNORE)
    expected = -sum(np.log(PROBABILITIES[i, y, x, LABELS[i, y, x]]) for i, y, x in places)
    assert float(found.total) == pytest.approx(expected, rel=1e-5)
    assert float(found.weight) == len(places)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 5.0])
def test_focal_loss_and_class_weights_are_those_of_the_formula(gamma):
    found = make_loss("focal", WEIGHTS, gamma)(LABELS, PROBABILITIES)
    total = weight = 0.0
    for i, y, x in np.argwhere(LABELS != IGNORE):
        code = LABELS[i, y, x]
        probability = float(PROBABILITIES[i, y, x, code])
        total -= WEIGHTS[code] * (1 - probability) ** gamma * np.log(probability)
        weight += WEIGHTS[code]
    assert float(found.total) == pytest.approx(total, rel=1e-5)
    assert float(found.weight) == pytest.approx(weight, rel=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_dice_loss_is_that_of_the_formula(weights):
    found = masked_dice(LABELS, PROBABILITIES, weights)
    total = 0.0
    for labels, probabilities in zip(LABELS, PROBABILITIES, strict=True):
        known = labels != IGNORE
        shown = np.unique(labels[known])
        dice = [
            2 * probabilities[labels == code, code].sum()
            / ((labels == code).sum() + probabilities[known, code].sum())
            for code in shown
        ]  # fmt: skip
        total += known.sum() * (1 - np.average(dice, weights=np.take(weights or (1, 1, 1), shown)))
    assert float(found.total) == pytest.approx(total, rel=1e-5)
    assert float(found.weight) == (LABELS != IGNORE).sum()


def test_dice_of_a_perfect_prediction_is_nothing_whatever_lies_under_the_ignored_pixels():
    labels = np.array([[[0, 0], [2, IGNORE]]], np.uint8)
    for ignored in np.eye(3):
        sure = np.array([[[[1, 0, 0], [1, 0, 0]], [[0, 0, 1], ignored]]], np.float32)
        assert float(masked_dice(labels, sure).total) == pytest.approx(0, abs=1e-6)


def test_balanced_weights_give_every_class_the_same_share():
    pixels = (100, 700, 200)
    weights = balanced_weights(pixels)
    shares = [weight * count for weight, count in zip(weights, pixels, strict=True)]
    assert shares == pytest.approx([sum(pixels) / 3] * 3)
    assert balanced_weights((50, 0, 150)) == pytest.approx((2.0, 0.0, 2 / 3))


@pytest.mark.parametrize("loss", LOSSES)
def test_sums_of_parts_add_up_to_the_whole(loss):
    whole = loss(LABELS, PROBABILITIES)
    parts = [loss(LABELS[i : i + 1], PROBABILITIES[i : i + 1]) for i in range(2)]
    assert float(whole.total) == pytest.approx(sum(float(part.total) for part in parts), rel=1e-6)
    assert float(whole.weight) == pytest.approx(sum(float(part.weight) for part in parts), rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_without_a_labelled_pixel_has_loss_and_gradient_zero(loss):
    import tensorflow as tf

    logits = tf.Variable(rng.normal(size=(1, 4, 4, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        found = loss(np.full((1, 4, 4), IGNORE, np.uint8), keras.ops.softmax(logits))
    assert float(found.total) == float(found.weight) == 0
    np.testing.assert_array_equal(tape.gradient(found.total, logits), 0)


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_pixels_have_no_gradient_even_where_a_probability_is_zero(loss):
    import tensorflow as tf

    sure = tf.Variable(np.array([[[[1, 0, 0], [0, 0, 1]]]], np.float32))
    with tf.GradientTape() as tape:
        found = loss(np.array([[[0, IGNORE]]], np.uint8), sure)
    gradient = tape.gradient(found.total, sure).numpy()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[0, 0, 1], 0)
