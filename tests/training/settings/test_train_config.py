from pathlib import Path

import pytest

import jobs
from labeling.errors import ConfigError
from labeling.settings import load_settings
from training.network.unet import build_unet
from training.settings.config import TrainConfig

CONF = Path(jobs.__file__).parent / "conf"
FOLDERS = {"chips": "chips", "out": "model"}


def test_the_plain_file_writes_out_the_defaults():
    assert load_settings(TrainConfig, CONF / "train.yaml", FOLDERS) == load_settings(
        TrainConfig, None, FOLDERS
    )


@pytest.mark.parametrize("file", sorted(CONF.glob("train*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_file_can_be_run(file):
    config = load_settings(TrainConfig, file, FOLDERS)
    assert len(config.dropout_rates) == (1 if config.task == "classify" else config.depth)


def test_the_published_file_makes_the_published_network():
    config = load_settings(TrainConfig, CONF / "train-iqrah-2024.yaml", FOLDERS)
    model = build_unet(channels=1, depth=config.depth, width=config.width, dropout=config.dropout_rates)
    assert config.channels == "grey"
    assert model.count_params() == 7_775_347


def test_a_number_for_scaling_is_understood():
    assert load_settings(TrainConfig, None, FOLDERS | {"scaling": 255}).scaling == "255"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rat": 1}, r"unknown key 'learning_rat' \(known: chips, out, task, epochs"),
        ({"epochs": 0}, "'epochs': Input should be greater"),
        ({"depth": 3, "dropout": (0.1, 0.2)}, "depth 3 needs 3 dropout rates, not 2"),
        ({"dropout": (0.1, 0.1, 0.2, 0.2, 1.0)}, "less than 1"),
        ({"class_weights": (1.0, 2.0)}, "class_weights needs 3 numbers, not 2"),
        ({"task": "name"}, "'segment' or 'classify'"),
        ({"task": "classify", "loss": "dice"}, "loss dice compares areas"),
        ({"task": "classify", "depth": 3}, "depth is the U-Net's"),
        ({"task": "classify", "dropout": (0.1, 0.1)}, "needs 1 dropout rate, not 2"),
        ({"task": "classify", "class_weights": (1.0, 2.0, 1.0)}, "class_weights needs 5 numbers, not 3"),
        ({"class_weights": "heavy"}, "Input should be 'none' or 'balanced'"),
        ({"schedule": "step"}, "schedule step and decay_epochs belong together"),
        ({"decay_epochs": (3,)}, "schedule step and decay_epochs belong together"),
        ({"schedule": "step", "decay_epochs": (5, 3)}, "decay_epochs must rise"),
        ({"schedule": "cosine", "epochs": 3, "warmup_epochs": 3}, "warmup_epochs to be fewer than epochs"),
        ({"balance": "fair"}, "Input should be 'equal' or 'auto'"),
        ({"balance": (1.0, -1.0)}, "greater than or equal to 0"),
        ({"balance": (0.0, 0.0)}, "gives no rank a chip"),
        ({"patience": 3, "keep": "last"}, "it needs keep: best"),
        ({"task": "classify", "skies": 0.5}, "task classify goes without them"),
        ({"precision": "float8"}, "'float32', 'bfloat16' or 'float16'"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        load_settings(TrainConfig, None, FOLDERS | values)


def test_levels_below_the_published_ones_repeat_the_last_rate():
    config = load_settings(TrainConfig, None, FOLDERS | {"depth": 8})
    assert config.dropout_rates == (0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3)
