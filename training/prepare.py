"""What every rank does before the first epoch: open its chips, build, and meet the others at one start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from labeling.errors import ConfigError
from training import checkpoints, distributed
from training.checkpoints import State
from training.chips import ChipStore
from training.config import TrainConfig
from training.distributed import World
from training.folder import open_folder
from training.inputs import CHANNEL_COUNT
from training.step import make_optimizer
from training.unet import build_unet


@dataclass(frozen=True)
class Training:
    """Everything an epoch needs, on one rank."""

    config: TrainConfig
    world: World
    train: ChipStore
    val: ChipStore
    model: keras.Model
    optimizer: keras.Optimizer


def open_splits(config: TrainConfig) -> tuple[ChipStore, ChipStore]:
    """Return the training and the validation chips; ConfigError when they cannot be trained on."""
    train, val = ChipStore(config.chips, "train"), ChipStore(config.chips, "val")
    if not len(train):
        raise ConfigError(
            f"no training chips in {config.chips}: its train split is empty ({train.card.counts}). "
            "Make chips from more scenes, or with smaller val and test shares."
        )
    multiple = 2 ** (config.depth - 1)
    if train.card.size % multiple:
        raise ConfigError(
            f"a network of depth {config.depth} takes chips whose side is a multiple of {multiple} pixels, "
            f"those in {config.chips} have {train.card.size}: lower `depth` or make chips of another size"
        )
    return train, val


def build(config: TrainConfig, world: World, train: ChipStore, val: ChipStore) -> Training:
    """Make model and optimiser. Each rank starts from weights of its own until rank 0's are broadcast."""
    keras.utils.set_random_seed(config.seed + world.rank)
    model = build_unet(
        channels=CHANNEL_COUNT[config.channels],
        depth=config.depth,
        width=config.width,
        dropout=config.dropout_rates,
    )
    optimizer = make_optimizer(config.optimizer, config.learning_rate, model)
    return Training(config, world, train, val, model, optimizer)


def begin(training: Training, *, resume: bool, overwrite: bool) -> State:
    """Bring all ranks to one start: rank 0's fresh weights, or its newest checkpoint."""
    config, network = training.config, network_facts(training)
    state = State(epoch=0, history=[], best_epoch=0, best_scores=None, network=network)
    with distributed.agreeing("checkpoint"):
        if training.world.leads:
            found = open_folder(config.out, resume=resume, overwrite=overwrite, network=network)
            if found is not None:
                checkpoints.restore(found, training.model, training.optimizer)
                state = found.state
    state = distributed.broadcast_object(state, "state")
    distributed.broadcast(training.model.weights)
    distributed.broadcast(training.optimizer.variables)
    # The configuration of this run wins over the one before, also on the ranks that read no checkpoint.
    training.optimizer.learning_rate = config.learning_rate
    return state


def network_facts(training: Training) -> dict[str, Any]:
    """Return what must not change between a checkpoint and the run that goes on from it."""
    config = training.config
    return {
        "depth": config.depth,
        "width": config.width,
        "channels": config.channels,
        "scaling": config.scaling,
        "optimizer": config.optimizer,
        "chips": training.train.card.digest,
    }
