"""Writes small untrained model folders."""

from training.folder.card import MODEL_FILE, ModelCard, write_model_card
from training.network.inputs import CHANNEL_COUNT
from training.network.squeezenet import build_squeezenet
from training.network.unet import build_unet
from training.settings.task import CLASSES


def make_card(**changed):
    values = {
        "rendering": "rgb8", "channels": "rgb", "scaling": "255", "profile": "polynya", "profile_version": 1,
        "chips_digest": "0" * 64, "chip_size": 32, "depth": 3, "width": 4, "dropout": (0.1, 0.1, 0.2),
        "optimizer": "adam", "learning_rate": 0.001, "batch_size": 4, "world_size": 1, "seed": 0,
        "augment": False, "epochs_run": 1, "best_epoch": 1, "metrics": None,
    }  # fmt: skip
    return ModelCard.model_validate(values | changed)


def write_model(folder, **changed):
    """Write a model folder with first weights and return it."""
    card = make_card(**changed)
    folder.mkdir()
    channels = CHANNEL_COUNT[card.channels]
    if card.task == "classify":
        model = build_squeezenet(
            channels=channels, classes=len(CLASSES["classify"]), width=card.width, dropout=card.dropout[0]
        )
    else:
        model = build_unet(channels=channels, depth=card.depth, width=card.width, dropout=card.dropout)
    model.save(folder / MODEL_FILE)
    write_model_card(folder, card)
    return folder


KINDS = {"task": "classify", "depth": None, "dropout": (0.5,)}
"""What makes a card one of a model that names chips."""
