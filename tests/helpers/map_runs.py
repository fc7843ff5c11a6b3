"""Small models and runs of `jobs.infer` with them."""

import numpy as np
import rasterio

import pipelines.infer as infer_job
import pipelines.label as label_job
from labeling.scenes.open import open_scene
from labeling.scenes.windows import core_of, cores, read_window
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
    options = {"window": 128, "margin": 32, "network": "alone"} | options
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


def plain_probabilities(model, scene, size, margin):
    """Return the network's probabilities (height, width, 3) without Spark, window after window."""
    predictor = Predictor.load(model, batch=1)
    with open_scene(str(scene)) as opened:
        found = np.empty((opened.info.height, opened.info.width, 3), np.float32)
        for core in cores(height=opened.info.height, width=opened.info.width, size=size, margin=margin):
            rgb = read_window(opened, core, size=size, margin=margin).rgb
            window = predictor.predict(rgb.transpose(1, 2, 0)[np.newaxis])[0].transpose(2, 0, 1)
            found[core.slices] = core_of(window, core, margin=margin).transpose(1, 2, 0)
    return found


def read_map(run, scene_id, name="classes.tif"):
    """Return a map's class codes (height, width), or those of another raster of it."""
    with rasterio.open(run / "maps" / scene_id / name) as raster:
        return raster.read(1)
