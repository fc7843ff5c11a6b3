"""What an epoch and a training leave behind. Only rank 0 writes, so nothing here may talk to other ranks."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import Any

from labeling.files.atomic import replacing
from labeling.files.layout import record_job, run_of
from training.folder import checkpoints
from training.folder.card import CARD_FILE, MODEL_FILE, ModelCard, write_model_card
from training.folder.checkpoints import Part, Row, State
from training.folder.history import write_csv
from training.network.metrics import Scores
from training.prepare import Training
from training.ranks.stop import leave_mark
from training.settings.task import CLASSES


def advanced(state: State, epoch: int, row: Row, val: Scores | None, *, last: bool = False) -> State:
    """Return the state after an epoch; best is the highest validation mean IoU, or the last without one.

    With `last` it is always the last: the one to keep where the validation chips do not show what counts.
    """
    best_epoch, best_scores = state.best_epoch, state.best_scores
    current = val.as_dict() if val else None
    if last or _is_better(current, best_scores):
        best_epoch, best_scores = epoch, current
    return replace(
        state,
        epoch=epoch,
        history=[*state.history, row],
        best_epoch=best_epoch,
        best_scores=best_scores,
        part=Part(),
    )


def _is_better(current: dict[str, Any] | None, best: dict[str, Any] | None) -> bool:
    if current is None or current["mean_iou"] is None or best is None or best["mean_iou"] is None:
        return True
    return bool(current["mean_iou"] > best["mean_iou"])


def record(training: Training, state: State) -> None:
    """Write an epoch's outcome; on rank 0 only."""
    out = training.config.out
    # The best model first: once the checkpoint exists a resume counts on it.
    if state.best_epoch == state.epoch:
        with replacing(out / MODEL_FILE) as temporary:
            # The network itself, or its float32 twin: a map should not depend on what it was trained in.
            if training.kept is not training.model:
                training.kept.set_weights(training.model.get_weights())
            training.kept.save(temporary)
    save(training, state)
    write_csv(out, state.history)


def save(training: Training, state: State) -> None:
    """Write a checkpoint; on rank 0 only."""
    # The card marks a finished training, which this one is not any more or not yet.
    (training.config.out / CARD_FILE).unlink(missing_ok=True)
    checkpoints.save(training.config.out, state, training.model, training.optimizer)


def interrupted(training: Training, state: State) -> None:
    """Write what a later run goes on from, then the mark that asks for it; on rank 0 only."""
    save(training, state)
    leave_mark(training.config.out, epoch=state.epoch + 1, seen=state.part.seen, steps=state.steps)


def finish(training: Training, state: State) -> ModelCard:
    """Write the card, which marks the folder as finished; on rank 0 only."""
    config, chips = training.config, training.train.card
    card = ModelCard(
        task=config.task,
        rendering=chips.rendering,
        channels=config.channels,
        scaling=config.scaling,
        classes={int(each): each.title for each in CLASSES[config.task]},
        profile=chips.profile,
        profile_version=chips.profile_version,
        chips_digest=chips.digest,
        chip_size=chips.size,
        depth=config.depth if config.task == "segment" else None,
        width=config.width,
        dropout=config.dropout_rates,
        optimizer=config.optimizer,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        world_size=training.world.size,
        seed=config.seed,
        augment=config.augment,
        precision=config.precision,
        settings=state.facts,
        epochs_run=state.epoch,
        best_epoch=state.best_epoch,
        metrics=state.best_scores,
    )
    write_model_card(config.out, card)
    return card


def record_run(training: Training, state: State, started: float, ended: str) -> None:
    """Write jobs/train.json where the chips lie in a run folder; on rank 0 only.

    `started` is in seconds since the epoch; `ended` says how: "finished", "early" or "interrupted".
    """
    run = run_of(training.config.chips)
    if run is None:
        return
    summary = {
        "ended": ended,
        "ranks": training.world.size,
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "mean_iou": state.best_scores["mean_iou"] if state.best_scores else None,
        # Medians, because the first epoch also compiles.
        **{key: _median(state, key) for key in ("seconds_per_step", "chips_per_second")},
    }
    record_job(run, "train", started, training.config.model_dump(mode="json"), summary)


def _median(state: State, key: str) -> float | None:
    return median(row[key] for row in state.history) if state.history else None
