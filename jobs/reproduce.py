"""Run the published tables on your scenes: four kinds of chips, a network for each and seed, rules beside.

    python -m jobs.reproduce --scenes scenes/ --out REPRODUCE
    python -m jobs.reproduce --scenes scenes/*.png --out REPRODUCE --config jobs/conf/reproduce.yaml --seeds 3

A network learns original or filtered pictures with labels by the thresholds or by filter and thresholds. What
is there is not done again. Accuracy and SSIM need a raster `<scene>.truth.tif` beside a scene (class codes;
simulated scenes have one); `.cloud.tif` and `.shadow.tif` decide which chips count as cloudy.
Writes OUT/reproduce.json and OUT/reproduce.md. Exit code: 0, 2 for usage, else that of the step that failed.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labeling.errors import ConfigError
from labeling.files.atomic import replacing, write_json
from labeling.files.layout import Run
from labeling.settings import Settings, load_settings
from pipelines.engine.outcome import ExitCode
from pipelines.published.chips import Kind, Labels, local, read_test_chips, write_filtered_chips
from pipelines.published.tables import Predict, count_network, count_rules, figures, markdown
from training.predict import Predictor

CONF: Final = Path(__file__).with_name("conf")


class ReproduceConfig(Settings):
    """`jobs.reproduce`: scenes in, the published tables out."""

    scenes: list[str] = Field(min_length=1, description="files, folders and globs; at least three scenes")
    out: Path = Field(description="folder for everything")
    raw_profile: str = Field("iqrah-2024-raw", description="labelling profile without the filter")
    filtered_profile: str = Field("iqrah-2024", description="labelling profile with the filter")
    chip_size: int = Field(256, ge=16, description="pixels")
    train: str = Field(
        "train-iqrah-2024.yaml", description="training configuration: a file of jobs/conf, or a full path"
    )
    epochs: int | None = Field(None, ge=1, description="instead of the training configuration's")
    seeds: int = Field(
        3, ge=1, description="networks of each kind; two that differ by seed alone differ by points"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; null: all cores")


class StepError(Exception):
    """A command failed; the message is its exit code."""


def run(config: ReproduceConfig) -> str:
    """Do all that is missing and return the tables; StepError when a command fails."""
    raw, filtered = (label(config, kind) for kind in get_args(Labels))
    rules = count_rules(read_test_chips(raw, filtered))
    networks: dict[str, list[dict[str, Any]]] = {}
    for kind, labels in product(get_args(Kind), get_args(Labels)):
        name = f"{kind} pictures, {labels} labels"
        chips = make_chips(config, raw, filtered, kind, labels)
        for seed in range(config.seeds):
            model = train(config, chips, config.out / f"model-{kind}-{labels}-{seed}", seed)
            counts = count_network(
                read_test_chips(raw, filtered), kind, labels, predictor(model, config.threads)
            )
            networks.setdefault(name, []).append(figures(counts))
    write_json(
        config.out / "reproduce.json",
        {"networks": networks, "rules": rules, "settings": config.model_dump(mode="json")},
    )
    text = markdown(networks, rules)
    with replacing(config.out / "reproduce.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text


def label(config: ReproduceConfig, labels: Labels) -> Run:
    """Label the scenes one way and return the run."""
    run = Run(config.out / f"{labels}-labels")
    profile = config.raw_profile if labels == "raw" else config.filtered_profile
    size = ["--chip-size", str(config.chip_size)]
    _step("label", "--scenes", *config.scenes, "--out", str(run.root), "--profile", profile, *size)
    return run


def make_chips(config: ReproduceConfig, raw: Run, filtered: Run, kind: Kind, labels: Labels) -> Path:
    """Return the chips folder of one kind of picture and label, made anew when it is of filtered pictures."""
    if kind == "original":
        return local((raw if labels == "raw" else filtered).chips)
    return write_filtered_chips(raw, filtered, labels, config.out / f"chips-filtered-{labels}")


def train(config: ReproduceConfig, chips: Path, model: Path, seed: int) -> Path:
    """Train one network, unless that is done, and return its folder."""
    if not (model / "model.json").exists():
        flags = ["--resume"] if (model / "checkpoints").is_dir() else []
        for key in ("epochs", "threads"):
            if getattr(config, key) is not None:
                flags += [f"--{key}", str(getattr(config, key))]
        flags += ["--config", str(CONF / config.train), "--seed", str(seed)]
        _step("train", "--chips", str(chips), "--out", str(model), *flags)
    return model


def predictor(model: Path, threads: int | None) -> Predict:
    """Return a network as a function from a picture (size, size, 3) to class codes (size, size)."""
    network = Predictor.load(model, batch=1, threads=threads)

    def predict(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        probabilities = network.predict(picture[None])[0]
        return np.asarray(probabilities.argmax(axis=-1), np.uint8)

    return predict


def _step(name: str, *flags: str) -> None:
    command = [sys.executable, "-m", f"jobs.{name}", *flags]
    print(f"$ {shlex.join(command)}", file=sys.stderr, flush=True)
    code = subprocess.run(command, check=False).returncode
    if code not in (ExitCode.DONE, ExitCode.SOME_FAILED):
        raise StepError(code)


def main(arguments: list[str] | None = None) -> int:
    """Reproduce the tables for these command-line arguments and return the exit code."""
    options = argparse.ArgumentParser(
        prog="jobs.reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--scenes", nargs="+", metavar="PATH", help="files, folders and globs")
    options.add_argument("--out", metavar="FOLDER", help="folder for everything")
    options.add_argument("--config", type=Path, metavar="FILE", help="YAML file; flags override it")
    for key in ("seeds", "epochs", "threads"):
        options.add_argument(f"--{key}", metavar="N", help=ReproduceConfig.model_fields[key].description)
    given = vars(options.parse_args(arguments))
    try:
        print(run(load_settings(ReproduceConfig, given.pop("config"), given)))
    except ConfigError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except StepError as error:
        return int(str(error))
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
