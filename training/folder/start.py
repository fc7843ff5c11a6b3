"""First weights from a finished model, for a training that goes on with other chips."""

from __future__ import annotations

from pathlib import Path

import keras

from labeling.errors import ConfigError, ModelError
from training.folder.card import model_digest, read_model_card
from training.folder.network import open_network
from training.settings.config import TrainConfig


def start_digest(config: TrainConfig) -> str | None:
    """Return the sha256 of the weights to start from, None where they are drawn.

    ConfigError when `start` is no finished model, or one of another network than is to be trained.
    """
    if config.start is None:
        return None
    if config.start.absolute() == config.out.absolute():
        raise ConfigError(f"start and out are both {config.out}: write the new model to another folder")
    try:
        card = read_model_card(config.start)
    except ModelError as error:
        raise ConfigError(f"cannot start from {config.start}: {error}") from None
    now = {key: getattr(config, key) for key in ("task", "depth", "width", "channels", "scaling")}
    if config.task == "classify":
        del now["depth"]
    others = [
        f"{key} {getattr(card, key)}, not {value}"
        for key, value in now.items()
        if getattr(card, key) != value
    ]
    if others:
        raise ConfigError(
            f"the model in {config.start} is another network than is to be trained: it has "
            f"{', '.join(others)}. Train the same network, or leave `start` out."
        )
    return model_digest(config.start)


def load_start(folder: Path, model: keras.Model) -> None:
    """Put the weights of a model folder into a network of the same shape; ConfigError if they do not fit."""
    try:
        model.set_weights(open_network(folder, read_model_card(folder)).get_weights())
    except ModelError as error:
        raise ConfigError(f"cannot start from {folder}: {error}") from None
    except ValueError as error:
        raise ConfigError(
            f"cannot start from {folder}: its network has other weights than its card says "
            f"({str(error).partition('.')[0]}). Give another model, or leave `start` out."
        ) from None
