"""The network of a model folder: read, and refused where it is none for the folder's card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labeling.errors import ModelError
from training.folder.card import MODEL_FILE, ModelCard
from training.network.inputs import CHANNEL_COUNT
from training.network.sound import network_fault
from training.settings.task import CLASSES

if TYPE_CHECKING:
    import keras

WAY_OUT = "Copy the model folder again, train anew, or give another model."


def open_network(folder: Path, card: ModelCard) -> keras.Model:
    """Return the network of a model folder; ModelError unless it is what the card says."""
    # Imported here: the driver that plans the work needs the card only, and TensorFlow takes seconds to load.
    import keras

    from training.folder.declared import declared_fault
    from training.network.precision import settle_keras

    settle_keras()
    file = folder / MODEL_FILE
    try:
        fault = declared_fault(file)
        network = None if fault else keras.saving.load_model(file, compile=False)
    except Exception as error:  # Keras lets through whatever it meets in a damaged file
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"cannot read {file}: {reason}. {WAY_OUT}") from None
    fault = fault or network_fault(
        network, channels=CHANNEL_COUNT[card.channels], classes=len(CLASSES[card.task])
    )
    if fault is not None:
        raise faulty(folder, fault)
    return network


def faulty(folder: Path, fault: str) -> ModelError:
    """Return the error for a network that is read, and is no good."""
    return ModelError(f"{blame(folder)}{fault}. {WAY_OUT}")


def blame(folder: Path) -> str:
    """Return how what is said of a faulty network begins."""
    return f"the model in {folder} is broken: it "
