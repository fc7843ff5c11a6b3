"""How far a network looks: one pixel of the picture changes the output that far, and no farther."""

import keras
import numpy as np
import pytest
from keras import layers

from training.network.reach import reach
from training.network.unet import build_unet


def awake(depth, width=4):
    """A network of random weights above 0, without biases and softmax: nothing in, nothing out."""
    keras.utils.set_random_seed(depth)
    network = build_unet(channels=1, depth=depth, width=width, dropout=(0.0,) * depth)
    rng = np.random.default_rng(depth)
    network.set_weights([rng.uniform(0.1, 0.5, w.shape) * (w.ndim > 1) for w in network.get_weights()])
    network.layers[-1].activation = keras.activations.linear
    return network


def changes(network, place, side):
    """How far above (left of) and below (right of) one bright pixel the output is not black."""
    row, column = place
    picture = np.zeros((1, side, side, 1), np.float32)
    assert not network.predict_on_batch(picture).any()
    picture[0, row, column] = 1
    rows, columns = np.nonzero(network.predict_on_batch(picture)[0].any(axis=-1))
    return row - rows.min(), rows.max() - row, column - columns.min(), columns.max() - column


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_pixel_changes_the_output_as_far_as_the_network_reaches_and_no_farther(depth):
    network, cell = awake(depth), 2 ** (depth - 1)
    limit = reach(network)
    side = -(-(2 * limit + 3 * cell) // cell) * cell
    middle = side // 2 // cell * cell
    # Pooling gives each place in its cell another view.
    found = [changes(network, (middle + i, middle + cell - 1 - i), side) for i in range(cell)]
    assert max(map(max, found)) == limit


def test_the_published_network_reaches_219_pixels():
    """By hand: two convolutions a level, 1 + 1 pixels of its step, down and up, and the cells themselves."""
    network = build_unet(channels=1, depth=6, width=1, dropout=(0.0,) * 6)
    convolved = sum(2 * 2**level for level in range(6)) + sum(2 * 2**level for level in range(5))
    assert reach(network) == convolved + 31 == 219


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(3, 3, dilation_rate=2, padding="same"),
        layers.Conv2D(3, 3),
        layers.Conv2D(3, 2, padding="same"),
        layers.MaxPooling2D(3),
        layers.Conv2DTranspose(3, 3, strides=2, padding="same"),
        layers.GlobalAveragePooling2D(keepdims=True),
    ],
)
def test_layers_of_unknown_reach_are_refused(layer):
    picture = keras.Input((None, None, 1))
    network = keras.Model(picture, layer(picture))
    with pytest.raises(ValueError, match="reach is not known"):
        reach(network)
