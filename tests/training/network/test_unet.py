import ast
from pathlib import Path

import numpy as np
import pytest

import training.network.unet
from training.network.unet import build_unet
from training.settings.config import PUBLISHED_DROPOUT


def test_published_network_has_the_published_number_of_parameters():
    model = build_unet(channels=1, depth=6, width=16, dropout=PUBLISHED_DROPOUT, size=256)
    assert model.count_params() == 7_775_347
    assert model.input_shape == (None, 256, 256, 1)
    assert model.output_shape == (None, 256, 256, 3)


@pytest.mark.parametrize(("depth", "height", "width"), [(1, 5, 7), (2, 6, 4), (3, 8, 20)])
def test_probabilities_have_the_pictures_size_and_sum_to_one(depth, height, width):
    model = build_unet(channels=3, depth=depth, width=2, dropout=(0.0,) * depth)
    found = np.asarray(model(np.random.default_rng(0).random((2, height, width, 3), np.float32)))
    assert found.shape == (2, height, width, 3)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)


def test_dropout_rates_go_down_the_levels_and_come_up_again():
    model = build_unet(channels=1, depth=3, width=2, dropout=(0.1, 0.2, 0.3))
    rates = [layer.rate for layer in model.layers if layer.name.endswith("dropout")]
    assert rates == [0.1, 0.2, 0.3, 0.2, 0.1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 20}, "multiple of 8"),
        ({"depth": 0}, "at least one"),
        ({"dropout": (0.1,)}, "4 dropout rates"),
    ],
)
def test_numbers_that_do_not_fit_are_named(changed, message):
    given = {"channels": 1, "depth": 4, "width": 2, "dropout": (0.1,) * 4} | changed
    with pytest.raises(ValueError, match=message):
        build_unet(**given)


def test_network_and_loss_run_on_every_keras_backend():
    for name in ("unet.py", "squeezenet.py", "losses.py"):
        source = Path(training.network.unet.__file__).with_name(name).read_text()
        names = [
            alias.name if isinstance(node, ast.Import) else node.module
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ]
        assert not any(name.startswith(("tensorflow", "horovod")) for name in names)
