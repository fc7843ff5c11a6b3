"""Small models and runs of `jobs.infer` with them."""

import numpy as np
import rasterio

import pipelines.infer as infer_job
import pipelines.label as label_job
from labeling.grid import Block
from labeling.scenes.open import open_scene
from pipelines.config import InferConfig, LabelConfig
from training.folder.card import ModelCard, write_model_card
from training.predict import Predictor


def tiny_model(folder, rendering="rgb8"):
    """Write a model folder with a small random network (its classes vary over a picture)."""
    import keras

    from training.network.unet import build_unet

    keras.utils.set_random_seed(5)
    network = build_unet(channels=3, depth=3, width=4, dropout=(0.0, 0.0, 0.0))
    folder.mkdir(parents=True)
    network.save(folder / "model.keras")
    write_tiny_card(folder, rendering)
    return folder


def no_network(folder, rendering="rgb8"):
    """Write a model folder whose network cannot be loaded: what works with it does without."""
    folder.mkdir(parents=True)
    (folder / "model.keras").write_bytes(b"no network")
    write_tiny_card(folder, rendering)
    return folder


def write_tiny_card(folder, rendering):
    """Write the card of a model as `tiny_model` makes it."""
    card = ModelCard(
        rendering=rendering, channels="rgb", scaling="255", profile="polynya", profile_version=1,
        chips_digest="none", chip_size=64, depth=3, width=4, dropout=(0.0, 0.0, 0.0), optimizer="adam",
        learning_rate=0.001, batch_size=1, world_size=1, seed=5, augment=False, epochs_run=1, best_epoch=1,
        metrics=None,
    )  # fmt: skip
    write_model_card(folder, card)


def run_infer(model, scenes, out, master="local[2]", **options):
    """Map scenes into a run folder, by the network alone unless asked otherwise; return the outcome."""
    options = {"network": "alone"} | options
    config = InferConfig(
        model=model, scenes=[str(s) for s in scenes], out=out, spark={"master": master}, **options
    )
    return infer_job.run(config)


def run_label(scenes, out, profile="polynya", **options):
    """Label scenes into a run folder."""
    options = {"outputs": ["labels"]} | options
    scenes = [str(scene) for scene in scenes]
    config = LabelConfig(scenes=scenes, out=out, profile=profile, spark={"master": "local[2]"}, **options)
    assert label_job.run(config) == (len(scenes), ())


def plain_probabilities(model, scene):
    """Return Keras's probabilities (height, width, 3) of a scene in one pass, mirrored to whole cells."""
    with open_scene(str(scene)) as opened:
        height, width = opened.info.height, opened.info.width
        rgb = opened.read(Block(0, 0, height, width)).rgb
    predictor = Predictor.load(model, batch=1)
    sides = [(0, -side % predictor.card.multiple) for side in (height, width)]
    picture = np.pad(rgb, [(0, 0), *sides], mode="symmetric").transpose(1, 2, 0)
    return predictor.predict(picture[np.newaxis])[0, :height, :width]


def read_map(run, scene_id, name="classes.tif"):
    """Return a map's class codes (height, width), or those of another raster of it."""
    with rasterio.open(run / "maps" / scene_id / name) as raster:
        return raster.read(1)
