"""The whole way once: make scenes (or take yours), label, train on two processes, map, evaluate, report.

At the end four scenes that overlap are labelled and put together: a mosaic, a grid of concentration, floes.

    python -m jobs.demo --out demo
    python -m jobs.demo --out demo --scenes my/scene.png
    python -m jobs.demo --out demo --product l1c     the same on Sentinel-2 products; or l2a

Each step is the command a user would type; it is printed before it runs. Exit code: that of the first step
that failed, 0 when all went well.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import Field
from rich.console import Console
from rich.progress import track

from labeling.bands import ProductType
from labeling.chips.card import read_card
from labeling.errors import ConfigError, SceneError
from labeling.files.layout import Run
from labeling.scenes.open import open_scene
from labeling.settings import Settings, load_settings
from labeling.simulation.neighbours import write_neighbours
from labeling.simulation.product import STEP, product_spec, write_product_scene
from labeling.simulation.safe.writer import product_path
from labeling.simulation.scene import SceneSpec, variety, write_scene
from pipelines.catalog import expand
from pipelines.engine.outcome import ExitCode

CONF = Path(__file__).with_name("conf")
PRODUCT_TYPES: Final[dict[str, ProductType]] = {"l1c": "L1C", "l2a": "L2A"}
"""Kinds of product that scenes can be, as they are asked for."""

NEIGHBOURS: Final = 2
"""Sides of a simulated scene that the ground of those which overlap is wide."""

_CONSOLE = Console(stderr=True, highlight=False)


class DemoConfig(Settings):
    """`jobs.demo`: what it makes and how long it trains."""

    out: Path = Field(description="run folder")
    scenes: list[str] = Field([], description="your pictures; empty: simulated ones")
    product: Literal["l1c", "l2a"] | None = Field(
        None, description="l1c, l2a: simulated scenes are Sentinel-2 products of that level; null: pictures"
    )
    count: int = Field(8, ge=1, description="simulated scenes")
    side: int = Field(1024, ge=64, description="side of a simulated scene, pixels; of a product, at least")
    seed: int = 7
    chip_size: int = Field(256, ge=32, description="pixels; halved while the scenes give too few chips")
    least_chips: int = Field(48, ge=1, description="chips wanted before chip_size is halved")
    processes: int = Field(2, ge=1, description="Horovod ranks")
    train: str = Field("train-demo.yaml", description="training configuration, a file of jobs/conf")
    train_pixels: float = Field(60e6, gt=0, description="pixels to train on in all; decides the epochs")
    most_epochs: int = Field(80, ge=1, description="epochs at most, however few the chips")


def steps(config: DemoConfig, scenes: list[str]) -> Iterator[list[str]]:
    """Yield the commands of the demonstration as argument lists; run each before asking for the next."""
    run, conf = Run(config.out), Path(os.path.relpath(CONF))
    tools = Path(os.path.relpath(sys.executable)).parent  # as short as a user would type it
    python, out = str(tools / "python"), str(run.root)
    size = str(choose_chip_size(config, scenes))
    yield [python, "-m", "jobs.label", "--scenes", *scenes, "--out", out, "--chip-size", size]
    yield [
        *(python, "-m", "jobs.train", "--ranks", str(config.processes)),
        *("--chips", str(run.chips), "--out", str(run.model)),
        *("--config", str(conf / config.train), "--epochs", str(choose_epochs(config, run)), "--overwrite"),
    ]
    # The network alone, because the evaluation is to tell what it has learnt.
    infer = [python, "-m", "jobs.infer", "--model", str(run.model), "--scenes", *scenes, "--out", out]
    yield [*infer, "--network", "alone"]
    yield [python, "-m", "jobs.evaluate", "--run", out]
    if not config.scenes:
        yield from _neighbours(config, python, conf)


def _neighbours(config: DemoConfig, python: str, conf: Path) -> Iterator[list[str]]:
    """Yield the commands that put scenes which overlap together: those of a run lie far apart."""
    side = NEIGHBOURS * config.side
    # Other settings are other scenes: what is there is not written again.
    folder = config.out / "neighbours" / f"scenes-{side}-{config.seed}"
    run = str(neighbours(config).root)
    spec = SceneSpec(
        scene_id="near", height=side, width=side, seed=config.seed, ice_cover=0.8, thin_share=0.3
    )
    write_neighbours(folder, spec)
    yield [python, "-m", "jobs.label", "--scenes", str(folder), "--out", run]
    yield [python, "-m", "jobs.products", "--run", run, "--config", str(conf / "products-demo.yaml")]


def neighbours(config: DemoConfig) -> Run:
    """Return the run of the scenes that overlap."""
    return Run(config.out / "neighbours")


def make_scenes(config: DemoConfig) -> list[str]:
    """Write the simulated scenes that are not there yet and return their folder, as a list of one."""
    folder = config.out / ("products" if config.product else "scenes")
    # A product's side is a whole number of 60 m pixels.
    side = -(-config.side // STEP) * STEP if config.product else config.side
    specs = variety(config.count, height=side, width=side, seed=config.seed)
    for spec in track(specs, "making scenes", console=_CONSOLE):
        _make_scene(folder, spec, config.product)
    return [str(folder)]


def _make_scene(folder: Path, spec: SceneSpec, product: str | None) -> None:
    """Write a scene as a picture or as a product, unless it is there."""
    if product is None:
        if not (folder / f"{spec.scene_id}.tif").exists():
            write_scene(folder, spec)
    elif not product_path(folder, product_spec(spec, product_type=PRODUCT_TYPES[product])).exists():
        write_product_scene(folder, spec, product_type=PRODUCT_TYPES[product])


def choose_chip_size(config: DemoConfig, scenes: list[str]) -> int:
    """Return the chip size, halved (at most twice) while the scenes would give too few chips."""
    shapes = []
    for uri in expand(scenes):
        try:
            with open_scene(uri) as scene:
                shapes.append((scene.info.height, scene.info.width))
        except SceneError:
            continue  # the labelling step reports it
    size = config.chip_size
    for _ in range(2):
        if sum((height // size) * (width // size) for height, width in shapes) < config.least_chips:
            size //= 2
    return size


def choose_epochs(config: DemoConfig, run: Run) -> int:
    """Return how often to go over the chips so that the network sees `train_pixels`, within bounds."""
    card = read_card(run.chips)
    pixels = max(1, card.counts["train"]) * card.size**2
    return min(config.most_epochs, max(1, round(config.train_pixels / pixels)))


def run(config: DemoConfig) -> int:
    """Run every step; return the exit code of the first one that fails."""
    started = time.monotonic()
    scenes = config.scenes or make_scenes(config)
    for command in steps(config, scenes):
        _CONSOLE.print(f"\n[bold]$ {shlex.join(command)}[/bold]", soft_wrap=True)
        code = _run(command)
        if code not in (ExitCode.DONE, ExitCode.SOME_FAILED):
            return code
    _CONSOLE.print(
        f"\nDone in {time.monotonic() - started:.0f} s. Open [bold]{Run(config.out.absolute()).report}[/bold]"
    )
    if not config.scenes:
        pictures = neighbours(config).product("pictures").absolute()
        _CONSOLE.print(f"Mosaic, concentration and floes: [bold]{pictures}[/bold]")
    return ExitCode.DONE


def _run(command: list[str]) -> int:
    """Run a command and return its exit code; ranks mark every line, and rank 0's lose that mark."""
    if "--ranks" not in command:
        return subprocess.run(command, check=False).returncode
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line.removeprefix("[0] "), end="", flush=True)
    return process.returncode


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration for these command-line arguments."""
    options = argparse.ArgumentParser(
        prog="jobs.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--out", default="demo", metavar="RUN", help="run folder (default: demo)")
    options.add_argument("--scenes", nargs="+", metavar="PATH", help="your pictures (default: simulated)")
    options.add_argument(
        "--product", choices=PRODUCT_TYPES, help="scenes are Sentinel-2 products of this level"
    )
    options.add_argument("--config", type=Path, default=CONF / "demo.yaml", metavar="FILE")
    given = vars(options.parse_args(arguments))
    try:
        return run(load_settings(DemoConfig, given.pop("config"), given))
    except ConfigError as error:
        print(f"demo: {error}", file=sys.stderr)
        return ExitCode.USAGE


if __name__ == "__main__":
    sys.exit(main())
