"""Training, in the order of every distributed script: join, pin, shard, build, broadcast, loop.

All ranks run the same lines. Only writing and printing are for rank 0; whatever talks to other ranks (the
functions of ranks/collectives.py, and the training step) never stands behind a test of the rank.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from training import elastic
from training.elastic import Commit, Start, no_commit
from training.epoch import learn, validate
from training.errors import StoppedError
from training.feeding import feeding, keep_unpacked
from training.folder.card import ModelCard
from training.folder.checkpoints import State
from training.folder.history import TensorBoard, epoch_row, line
from training.folder.opening import Hold, check_folder
from training.folder.start import start_digest
from training.outcome import advanced, finish, interrupted, record, record_run, save
from training.prepare import (
    Training,
    absent_classes,
    begin,
    build,
    meet,
    meet_devices,
    open_splits,
)
from training.ranks import collectives
from training.ranks.device import Device, limit_threads, take_gpu
from training.ranks.stop import Stop
from training.settings.config import TrainConfig
from training.settings.task import class_names
from training.step import make_look_step, make_train_step


def run(
    config: TrainConfig, *, resume: bool = False, overwrite: bool = False, stop: Stop | None = None
) -> ModelCard | None:
    """Train and write the model folder; returns its card on rank 0 and None on the others.

    Raises on all ranks ConfigError for chips, folders and settings that cannot be used, TrainingError when
    the training itself fails, and StoppedError when `stop` was requested on a rank and all is saved.
    """
    started = time.time()
    world = collectives.start(config.wait_seconds)
    limit_threads(config.threads)
    device = take_gpu(config.gpus, world.local_rank)
    if device.doubt and world.leads:
        print(f"train: {device.doubt}", file=sys.stderr, flush=True)
    with Hold(config.out) as hold:
        work = partial(train, config, hold, stop or Stop(), started, device)
        if world.elastic:
            return elastic.run(work, resume=resume, overwrite=overwrite)
        return work(Start(resume, overwrite))


def train(
    config: TrainConfig,
    hold: Hold,
    stop: Stop,
    started: float,
    device: Device,
    start: Start,
    commit: Commit = no_commit,
) -> ModelCard | None:
    """Train with the ranks that are there; `run` does it once, elastic training again when they change."""
    world = collectives.start(config.wait_seconds)
    meet_devices(device)
    with collectives.agreeing("inputs"):
        train_chips, val_chips = open_splits(config)
        start_digest(config)  # an error on one rank must be known to all before they meet
        if world.leads:
            hold.take()
        check_folder(config.out, resume=start.resume, overwrite=start.overwrite)
    hold.token = collectives.broadcast_object(hold.token, "lock")
    meet(config, world, train_chips, val_chips)
    keep_unpacked(config, world, train_chips, val_chips)
    with feeding(config, world, train_chips, val_chips, gpu=device.held.gpu is not None) as feeders:
        training = replace(build(config, world, train_chips, val_chips), feeders=feeders)
        state = begin(training, **start._asdict())
        state = loop(training, state, stop, started, commit)
    if not world.leads:
        return None
    record_run(training, state, started, "finished" if state.epoch >= config.epochs else "early")
    return finish(training, state)


def loop(training: Training, state: State, stop: Stop, started: float, commit: Commit = no_commit) -> State:
    """Run the epochs that are left and return where that ends."""
    config, leads = training.config, training.world.leads
    train_step = make_train_step(
        training.model,
        training.optimizer,
        training.loss,
        at_once=config.batch_size,
        exchange=training.exchange,
    )
    look_step = make_look_step(training.model, training.loss)
    curves = TensorBoard(config.out) if leads else None
    if leads:
        for doubt in _doubts(training):
            print(f"train: {doubt}", file=sys.stderr, flush=True)
    while not is_over(state, config):
        commit(training, state)
        try:
            for updated in learn(training, train_step, state, stop):
                state = updated
                if leads and config.checkpoint_steps and state.steps % config.checkpoint_steps == 0:
                    save(training, state)
                if state.steps % config.commit_steps == 0:
                    commit(training, state)
            found = validate(training, look_step, stop)
        except StoppedError:
            if leads:
                interrupted(training, state)
                record_run(training, state, started, "interrupted")
            # A launcher ends the others soon after the first has gone: none goes before rank 0 is done.
            collectives.wait("interrupted")
            raise
        epoch = state.epoch + 1
        row = epoch_row(
            epoch=epoch,
            part=state.part,
            val_loss=found.loss if found else None,
            val=found.scores if found else None,
            names=class_names(config.task),
        )
        state = advanced(state, epoch, row, found.scores if found else None, last=config.keep == "last")
        if curves is not None:
            record(training, state)
            curves.add(row)
            print(line(row, config.epochs), flush=True)
    return state


def _doubts(training: Training) -> Iterator[str]:
    """Yield what the chips leave out, a line each."""
    if absent := absent_classes(training.train):
        yield f"no training chip shows {' or '.join(absent)}"
    if not len(training.val):
        yield (
            f"no validation chips in {training.config.chips}: nothing tells whether the network gets better, "
            "so the last epoch is kept. For some, make chips from more scenes or smaller ones (--chip-size)."
        )


def is_over(state: State, config: TrainConfig) -> bool:
    """Tell whether the epochs are done or, with `patience`, the model has stopped getting better.

    Every rank has the same scores, so all come to the same answer.
    """
    if state.epoch >= config.epochs:
        return True
    return config.patience is not None and state.epoch - state.best_epoch >= config.patience
