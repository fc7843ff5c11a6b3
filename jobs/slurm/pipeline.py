"""Submit the whole way as jobs of Slurm that wait for each other; pipeline.sh starts it.

    python -m jobs.slurm.pipeline --run RUN --scenes scenes/
    python -m jobs.slurm.pipeline --run RUN --scenes scenes/ --maps MAPS --map-scenes new/

Label, train, map and evaluate; with --maps other scenes are labelled and mapped in a run folder of their own.
A job begins when those it needs have ended with 0. Where one fails, those that wait for it are taken away;
submit again and only what is missing is done. Exit code: 0 submitted, 2 not.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from labeling.errors import ConfigError
from labeling.files.layout import Run
from training.slurm.allocation import slurm

SCRIPTS: Final = Path(__file__).parent


class Stage(NamedTuple):
    """A job of the way."""

    name: str
    script: str
    arguments: list[str]
    after: list[str]
    """Names of the stages that must have ended well."""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    options = argparse.ArgumentParser(
        prog="jobs.slurm.pipeline", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--run", type=Path, required=True, metavar="RUN", help="run folder")
    options.add_argument("--scenes", nargs="+", required=True, metavar="SCENE", help="as for jobs.label")
    options.add_argument("--maps", type=Path, metavar="RUN", help="another run folder, for --map-scenes")
    options.add_argument(
        "--map-scenes", nargs="+", metavar="SCENE", help="scenes to map (default: those of --scenes)"
    )
    options.add_argument(
        "--failed-scenes", choices=["accept", "tell"], default="accept",
        help="accept (default): go on where some scenes failed, as failures.jsonl and the report say; tell: "
        "that ends the way",
    )  # fmt: skip
    options.add_argument("--sbatch", default="", metavar="OPTIONS", help="for sbatch, of all jobs")
    for name in ("label", "train", "infer", "evaluate"):
        options.add_argument(f"--{name}", default="", metavar="OPTIONS", help=f"for jobs.{name}")
        options.add_argument(
            f"--sbatch-{name}", default="", metavar="OPTIONS", help=f"for sbatch, of {name}.sbatch"
        )
    return options


def stages(given: argparse.Namespace) -> Iterator[Stage]:
    """Yield the jobs in the order in which they are submitted; ConfigError: one of a pair is missing."""
    if (given.maps is None) != (given.map_scenes is None):
        raise ConfigError("--maps and --map-scenes go together: which scenes, and the run folder for them")
    run, model = str(given.run), str(Run(given.run).model)
    failed = ["--failed-scenes", given.failed_scenes]

    def label(name: str, scenes: list[str], out: str) -> Stage:
        arguments = [*failed, "--scenes", *scenes, "--out", out, *shlex.split(given.label)]
        return Stage(name, "label", arguments, [])

    yield label("label", given.scenes, run)
    train = ["--chips", str(Run(given.run).chips), "--out", model, *shlex.split(given.train)]
    yield Stage("train", "train", train, ["label"])
    needed, scenes, out = ["train"], given.scenes, run
    if given.maps is not None:
        scenes, out = given.map_scenes, str(given.maps)
        yield label("label-maps", scenes, out)
        needed = ["train", "label-maps"]
    infer = [*failed, "--model", model, "--scenes", *scenes, "--out", out, *shlex.split(given.infer)]
    yield Stage("infer", "infer", infer, needed)
    yield Stage("evaluate", "evaluate", ["--run", out, *shlex.split(given.evaluate)], ["infer"])


def sbatch(stage: Stage, numbers: dict[str, str], options: Sequence[str]) -> list[str]:
    """Return the command that submits a stage, when the stages before have these job numbers."""
    needed = ":".join(numbers[name] for name in stage.after)
    wait = [f"--dependency=afterok:{needed}", "--kill-on-invalid-dep=yes"] if needed else []
    script = str(SCRIPTS / f"{stage.script}.sbatch")
    return ["sbatch", "--parsable", f"--job-name={stage.name}", *wait, *options, script, *stage.arguments]


def submit(given: argparse.Namespace) -> dict[str, str]:
    """Submit all stages, tell each, and return their numbers; ConfigError, and no job, if one is refused."""
    numbers: dict[str, str] = {}
    for stage in stages(given):
        own = getattr(given, f"sbatch_{stage.script}")
        command = sbatch(stage, numbers, shlex.split(f"{given.sbatch} {own}"))
        try:
            told = slurm(*command)
        except ConfigError as error:
            _take_away(numbers)
            raise ConfigError(f"{stage.name} could not be submitted: {error}") from None
        numbers[stage.name] = told.strip().partition(";")[0]
        after = f" after {', '.join(stage.after)}" if stage.after else ""
        print(f"{numbers[stage.name]:>8}  {stage.name}{after}: {shlex.join(stage.arguments)}", flush=True)
    return numbers


def _take_away(numbers: dict[str, str]) -> None:
    """Cancel what was submitted, last first, so that nothing begins meanwhile."""
    if numbers:
        with suppress(ConfigError):  # what made the submission fail is told
            slurm("scancel", *reversed(numbers.values()))


def main(arguments: list[str] | None = None) -> int:
    """Submit what these command-line arguments say and return the exit code."""
    given = parser().parse_args(arguments)
    try:
        numbers = submit(given)
    except ConfigError as error:
        print(f"pipeline: {error}", file=sys.stderr)
        return 2
    every = ",".join(numbers.values())
    print(f"look: squeue --jobs={every}   end all: scancel {every.replace(',', ' ')}")
    print(f"at the end: {Run((given.maps or given.run).absolute()).report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
