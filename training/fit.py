"""Training, in the order of every distributed script: join, pin, shard, build, broadcast, loop.

All ranks run the same lines. Only writing and printing are for rank 0; whatever talks to other ranks (the
functions of distributed.py, and the training step) never stands behind a test of the rank.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from training import distributed
from training.card import ModelCard
from training.checkpoints import State
from training.config import TrainConfig
from training.dataset import Turning, batches
from training.device import limit_threads, pin_gpu
from training.folder import check_folder
from training.history import TensorBoard, epoch_row, line, shown
from training.metrics import Scores, confusion_matrix, empty_matrix, scores
from training.outcome import advanced, finish, record
from training.prepare import Training, begin, build, open_splits
from training.sharding import epoch_order, rank_batches
from training.step import LookStep, TrainStep, make_look_step, make_train_step, seed_dropout


class Validation(NamedTuple):
    """Scores and mean loss over the validation split, the same on every rank."""

    scores: Scores
    loss: float


def run(config: TrainConfig, *, resume: bool = False, overwrite: bool = False) -> ModelCard | None:
    """Train and write the model folder; returns its card on rank 0 and None on the others.

    Raises ConfigError, on all ranks, for chips, folders and settings that cannot be used.
    """
    world = distributed.start()
    limit_threads(config.threads)
    pin_gpu(world.local_rank)
    with distributed.agreeing("inputs"):
        train, val = open_splits(config)
        check_folder(config.out, resume=resume, overwrite=overwrite)
    training = build(config, world, train, val)
    state = begin(training, resume=resume, overwrite=overwrite)
    state = loop(training, state)
    return finish(training, state) if world.leads else None


def loop(training: Training, state: State) -> State:
    """Run the epochs that are left and return where that ends."""
    config, out, leads = training.config, training.config.out, training.world.leads
    train_step = make_train_step(training.model, training.optimizer)
    look_step = make_look_step(training.model)
    curves = TensorBoard(out) if leads else None
    for epoch in range(state.epoch + 1, config.epochs + 1):
        started = time.perf_counter()
        loss = train_epoch(training, train_step, epoch)
        seconds = time.perf_counter() - started
        found = validate(training, look_step)
        row = epoch_row(
            epoch=epoch,
            loss=loss,
            val_loss=found.loss if found else None,
            val=found.scores if found else None,
            seconds=seconds,
            chips=len(training.train),
        )
        state = advanced(state, epoch, row, found.scores if found else None)
        if curves is not None:
            record(training, state)
            curves.add(row)
            print(line(row, config.epochs), flush=True)
    return state


def train_epoch(training: Training, step: TrainStep, epoch: int) -> float:
    """Show every training chip once, over all ranks; returns the mean loss of the job's labelled pixels."""
    config, world = training.config, training.world
    seed_dropout(training.model, seed=config.seed, epoch=epoch, rank=world.rank)
    order = epoch_order(len(training.train), seed=config.seed, epoch=epoch)
    plan = rank_batches(order, batch_size=config.batch_size, rank=world.rank, size=world.size)
    turning = Turning(config.seed, epoch) if config.augment else None
    dataset = batches(training.train, plan, channels=config.channels, scaling=config.scaling, turning=turning)
    total = pixels = 0.0
    for images, labels in shown(dataset, len(plan), f"epoch {epoch}", world.leads):
        loss = step(images, labels)
        total += float(loss.total)
        pixels += float(loss.pixels)
    return total / max(pixels, 1.0)


def validate(training: Training, look: LookStep) -> Validation | None:
    """Score the model on the validation chips of all ranks together; None without any."""
    config, world = training.config, training.world
    if not len(training.val):
        return None
    order = np.arange(len(training.val), dtype=np.int64)
    plan = rank_batches(order, batch_size=config.batch_size, rank=world.rank, size=world.size)
    matrix, losses = empty_matrix(), np.zeros(2)
    for images, labels in batches(training.val, plan, channels=config.channels, scaling=config.scaling):
        seen = look(images, labels)
        matrix += confusion_matrix(labels.numpy(), seen.predicted.numpy())
        losses += float(seen.loss.total), float(seen.loss.pixels)
    matrix = distributed.sum_array(matrix, "matrix")
    total, pixels = distributed.sum_array(losses, "losses")
    return Validation(scores(matrix), float(total / max(pixels, 1.0)))
