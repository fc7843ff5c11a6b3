import os
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.network.losses import make_loss
from training.network.precision import POLICIES
from training.network.unet import build_unet
from training.ranks import collectives
from training.ranks.collectives import Flags
from training.step import make_optimizer, make_train_step, seed_dropout

rng = np.random.default_rng(0)
IMAGES = rng.random((4, 8, 8, 1), np.float32)
LABELS = rng.integers(0, 3, (4, 8, 8), np.uint8)


def taken(step, stop=False):
    """Return what one step finds."""
    return step(tf.constant(IMAGES), tf.constant(LABELS), Flags(stop=stop, trouble=False))


@pytest.fixture(autouse=True)
def alone():
    collectives.start()


def made(precision="float32", dropout=0.0, **options):
    keras.utils.set_random_seed(1)
    model = build_unet(channels=1, depth=1, width=4, dropout=(dropout,), policy=POLICIES[precision])
    optimizer = make_optimizer("sgd", 0.1, model, precision=precision, pixels=4 * 64)
    return model, optimizer, make_train_step(model, optimizer, make_loss("crossentropy"), **options)


def values(variables):
    return [np.array(variable) for variable in variables]


def test_parts_of_a_batch_give_the_update_of_the_whole():
    whole, _, step = made()
    parts, _, partial = made(at_once=1)
    parts.set_weights(whole.get_weights())
    found, other = taken(step), taken(partial)
    assert found.loss.weight == other.loss.weight == 4 * 64
    for one, two in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def test_batches_of_any_size_share_a_graph():
    whole, _, step = made(at_once=3)
    parts, _, partial = made(at_once=3)
    parts.set_weights(whole.get_weights())
    quiet = Flags(stop=False, trouble=False)
    # None of these divides by what is worked on at once, one has nothing and one fits whole.
    for count in (4, 0, 2, 1, 4):
        partial(tf.constant(IMAGES[:count]), tf.constant(LABELS[:count]), quiet)
        if count:
            step.graph.python_function(tf.constant(IMAGES[:count]), tf.constant(LABELS[:count]), tf.zeros(2))
    assert partial.graph.experimental_get_tracing_count() == 2
    for one, two in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def test_own_gradients_are_ready_between_call_and_return():
    _, _, step = made()
    taken(step)
    before = time.time()
    ready = taken(step).ready
    assert before - 0.01 <= ready <= time.time() + 0.01


def test_flags_come_back():
    _, _, step = made()
    found = taken(step, stop=True)
    assert found.flags.stop
    assert not found.flags.trouble


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_goes_where_float32_goes(precision):
    exact, _, step = made()
    half, _, half_step = made(precision)
    half.set_weights(exact.get_weights())
    before = exact.get_weights()
    taken(step)
    assert taken(half_step).finite
    assert {layer.compute_dtype for layer in half.layers[1:-1]} == {precision}
    moves = [
        np.concatenate([(new - old).ravel() for new, old in zip(net.get_weights(), before, strict=True)])
        for net in (exact, half)
    ]
    assert np.linalg.norm(moves[0] - moves[1]) < 0.1 * np.linalg.norm(moves[0])


def test_an_overflow_skips_the_update_and_halves_the_scale():
    model, optimizer, step = made("float16")
    optimizer.dynamic_scale.assign(2.0**40)
    before = values(model.weights) + values(optimizer.inner_optimizer.variables)
    found = taken(step)
    assert not found.finite
    assert np.isfinite(found.loss.total)
    assert float(optimizer.dynamic_scale) == 2.0**39
    for one, two in zip(
        before, values(model.weights) + values(optimizer.inner_optimizer.variables), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_dropout_can_be_taken_up_in_the_middle_of_an_epoch():
    model, _, step = made(dropout=0.5, at_once=2)
    [layer] = [layer for layer in model.layers if "dropout" in layer.name]
    where = {"seed": 3, "epoch": 2, "rank": 1}
    seed_dropout(model, **where)
    for _ in range(3):
        taken(step)
    reached = np.array(layer.seed_generator.state)
    seed_dropout(model, **where, passes=6)
    np.testing.assert_array_equal(np.array(layer.seed_generator.state), reached)
    seed_dropout(model, **where)
    assert not np.array_equal(np.array(layer.seed_generator.state), reached)


@pytest.mark.parametrize(("given", "kept"), [(None, f"{collectives.CPU_CYCLE_MS:g}"), ("3", "3")])
def test_horovod_rests_longer_on_a_processor_unless_told_otherwise(monkeypatch, given, kept):
    monkeypatch.setenv("HOROVOD_CYCLE_TIME", given or "")
    if given is None:
        monkeypatch.delenv("HOROVOD_CYCLE_TIME")
    collectives.start()
    assert os.environ["HOROVOD_CYCLE_TIME"] == kept
