"""One epoch: learn from every training chip once, then score the model on the validation chips."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from training.data.batch import Turning
from training.data.batches import Tensors, Trouble, batches
from training.data.sharding import Indices, epoch_order, share_batches
from training.errors import StoppedError, TrainingError
from training.folder.checkpoints import Part, State
from training.folder.history import shown
from training.network.metrics import Scores, confusion_matrix, empty_matrix, scores
from training.network.precision import MOST_SKIPPED
from training.prepare import Training
from training.ranks import collectives
from training.ranks.collectives import Flags
from training.ranks.stop import Stop
from training.settings.config import TrainConfig
from training.settings.schedule import Schedule
from training.settings.task import class_names
from training.step import LookStep, TrainStep, Update, seed_dropout

GO_ON = "All is saved: go on with --resume."


class Validation(NamedTuple):
    """Scores and mean loss over the validation split, the same on every rank."""

    scores: Scores
    loss: float


def learn(training: Training, step: TrainStep, state: State, stop: Stop) -> Iterator[State]:
    """Show the training chips that the epoch still owes, once over all ranks; yields after every update.

    Raises, on all ranks after the same update, ConfigError when a rank cannot read its chips, TrainingError
    when the loss is no number, and StoppedError when a rank was asked to end.
    """
    config, world, part, count = training.config, training.world, state.part, len(training.train)
    epoch = state.epoch + 1
    passes = part.steps * math.ceil(training.balancer.share / config.batch_size)
    seed_dropout(training.model, seed=config.seed, epoch=epoch, rank=world.rank, passes=passes)
    order = epoch_order(count, seed=config.seed, epoch=epoch)[part.seen :]
    updates = math.ceil(len(order) / training.global_batch)
    schedule = Schedule.of(config, training.global_batch)
    trouble, skipped = Trouble(), 0
    started = time.perf_counter() - part.seconds
    for images, labels in shown(
        _fed(training, order, epoch, trouble), updates, f"epoch {epoch}", world.leads
    ):
        seen = min(part.seen + training.global_batch, count)
        rate = schedule.rate(epoch - 1 + part.seen / count, epoch - 1 + seen / count)
        training.optimizer.learning_rate = rate
        flags = Flags(stop=stop.requested, trouble=trouble.error is not None)
        found = step(images, labels, flags)
        training.balancer.took(found.ready)
        skipped = 0 if found.finite else skipped + 1
        _check(found, config, trouble, f"update {part.steps + 1} of epoch {epoch}", skipped)
        part = Part(
            seen=seen,
            steps=part.steps + 1,
            skipped=part.skipped + (skipped > 0),
            loss=part.loss + found.loss.total,
            weight=part.weight + found.loss.weight,
            seconds=time.perf_counter() - started,
            rate=rate,
        )
        state = replace(state, steps=state.steps + 1, part=part)
        yield state
        if found.flags.stop:
            raise StoppedError(f"asked to end in epoch {epoch}. {GO_ON}")


def validate(training: Training, look: LookStep, stop: Stop) -> Validation | None:
    """Score the model on the validation chips of all ranks together; None without any.

    Raises ConfigError and StoppedError on all ranks, as `learn` does.
    """
    config, world = training.config, training.world
    if not len(training.val):
        return None
    order = np.arange(len(training.val), dtype=np.int64)
    shares = training.balancer.shares_of(config.batch_size * world.size)
    plan = share_batches(order, shares, world.rank)
    names = class_names(config.task)
    matrix, losses, trouble = empty_matrix(len(names)), np.zeros(2), Trouble()
    feed = batches(
        training.val,
        plan,
        channels=config.channels,
        scaling=config.scaling,
        trouble=trouble,
        feeders=training.feeders,
    )
    for images, labels in feed:
        for first in range(0, len(labels), config.batch_size):
            some = slice(first, first + config.batch_size)
            seen = look(images[some], labels[some])
            matrix += confusion_matrix(labels[some].numpy(), seen.predicted.numpy(), len(names))
            losses += float(seen.loss.total), float(seen.loss.weight)
        if collectives.any_rank(stop.requested, "stop"):
            raise StoppedError(f"asked to end during validation. {GO_ON}")
    with collectives.agreeing("validation"):
        if trouble.error is not None:
            raise trouble.error
    matrix = collectives.sum_array(matrix, "matrix")
    total, weight = collectives.sum_array(losses, "losses")
    return Validation(scores(matrix, names), float(total / (weight or 1.0)))


def _fed(training: Training, order: Indices, epoch: int, trouble: Trouble) -> Iterator[Tensors]:
    """Yield this rank's part of each update, reviewing the shares (a collective) on the way."""
    balancer = training.balancer
    while len(order):
        updates = balancer.window or len(order)
        now, order = np.split(order, [updates * training.global_batch])
        plan = share_batches(now, balancer.shares, training.world.rank)
        yield from balancer.timed(_turned(training, plan, epoch, trouble))
        balancer.review()


def _turned(training: Training, plan: Indices, epoch: int, trouble: Trouble) -> Iterator[Tensors]:
    config = training.config
    return batches(
        training.train,
        plan,
        channels=config.channels,
        scaling=config.scaling,
        trouble=trouble,
        turning=Turning.of(config, epoch, training.train.card),
        feeders=training.feeders,
    )


def _check(found: Update, config: TrainConfig, trouble: Trouble, place: str, skipped: int) -> None:
    """Raise, on all ranks alike, when the training cannot go on after an update."""
    if found.flags.trouble:
        with collectives.agreeing("chips"):
            if trouble.error is not None:
                raise trouble.error
    way_out = "Lower learning_rate or give it warmup_epochs"
    if not math.isfinite(found.loss.total):
        raise TrainingError(f"the loss is {found.loss.total} at {place}. {way_out}.")
    if skipped and (config.precision != "float16" or skipped > MOST_SKIPPED):
        exact = "leave exchange_precision out" if config.exchange_precision else "use precision float32"
        raise TrainingError(f"the gradient is no number at {place}. {way_out}, or {exact}.")
