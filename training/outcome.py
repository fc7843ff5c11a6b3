"""What an epoch and a training leave behind. Only rank 0 writes, so nothing here may talk to other ranks."""

from __future__ import annotations

from typing import Any

from labeling.raster import replacing
from training import checkpoints
from training.card import CARD_FILE, MODEL_FILE, ModelCard, write_model_card
from training.checkpoints import Row, State
from training.history import write_csv
from training.metrics import Scores
from training.prepare import Training


def advanced(state: State, epoch: int, row: Row, val: Scores | None) -> State:
    """Return the state after an epoch; best is the highest validation mean IoU, or the last without one."""
    best_epoch, best_scores = state.best_epoch, state.best_scores
    current = val.as_dict() if val else None
    if _is_better(current, best_scores):
        best_epoch, best_scores = epoch, current
    return State(epoch, [*state.history, row], best_epoch, best_scores, state.network)


def _is_better(current: dict[str, Any] | None, best: dict[str, Any] | None) -> bool:
    if current is None or current["mean_iou"] is None or best is None or best["mean_iou"] is None:
        return True
    return bool(current["mean_iou"] > best["mean_iou"])


def record(training: Training, state: State) -> None:
    """Write an epoch's outcome; on rank 0 only."""
    out = training.config.out
    # The card marks a finished training, so it goes before the model that it no longer describes.
    (out / CARD_FILE).unlink(missing_ok=True)
    # The best model first: once the checkpoint exists a resume counts on it.
    if state.best_epoch == state.epoch:
        with replacing(out / MODEL_FILE) as temporary:
            training.model.save(temporary)
    checkpoints.save(out, state, training.model, training.optimizer)
    write_csv(out, state.history)


def finish(training: Training, state: State) -> ModelCard:
    """Write the card, which marks the folder as finished; on rank 0 only."""
    config, chips = training.config, training.train.card
    card = ModelCard(
        rendering=chips.rendering,
        channels=config.channels,
        scaling=config.scaling,
        profile=chips.profile,
        profile_version=chips.profile_version,
        chips_digest=chips.digest,
        chip_size=chips.size,
        depth=config.depth,
        width=config.width,
        dropout=config.dropout_rates,
        optimizer=config.optimizer,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        world_size=training.world.size,
        seed=config.seed,
        augment=config.augment,
        epochs_run=state.epoch,
        best_epoch=state.best_epoch,
        metrics=state.best_scores,
    )
    write_model_card(config.out, card)
    return card
