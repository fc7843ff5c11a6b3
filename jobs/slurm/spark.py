"""Run a job of Spark on the nodes of this job of Slurm; label.sbatch and infer.sbatch start it.

    python -m jobs.slurm.spark label --scenes scenes/ --out RUN

Spark is brought up on all nodes and ends with the job. Options that are not named below are the job's own.
Exit code: the job's own (0, 1, 2, 3); 75 where it was asked to end and is queued again to do the rest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import jobs
from jobs import infer, label
from jobs.command import overrides
from labeling.errors import ConfigError, PolynyaError
from labeling.files.storage import AnyPath
from labeling.settings import load_settings
from pipelines.config import InferConfig, LabelConfig
from pipelines.slurm.cluster import Needs
from pipelines.slurm.run import SparkJob, run

Parser = Callable[[], argparse.ArgumentParser]

JOBS: Final[dict[str, tuple[Parser, type[LabelConfig | InferConfig]]]] = {
    "label": (label.parser, LabelConfig),
    "infer": (infer.parser, InferConfig),
}


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser, which leaves the job's own options."""
    options = argparse.ArgumentParser(
        prog="jobs.slurm.spark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    options.add_argument("job", choices=JOBS)
    options.add_argument(
        "--logs", type=Path, metavar="FOLDER",
        help="where Spark's words go, on a disk that all nodes see (default: logs in --out)",
    )  # fmt: skip
    options.add_argument(
        "--executor-memory", type=int, default=1024, metavar="MIB",
        help="Java of an executor; Python has spark.worker_memory for each task (default: 1024)",
    )  # fmt: skip
    options.add_argument(
        "--driver-memory", type=int, default=2048, metavar="MIB", help="Java of the driver (default: 2048)"
    )
    options.add_argument(
        "--nodes-network",
        metavar="10.0.0.0/16",
        help="where nodes meet (default: the first network that all share)",
    )
    options.add_argument(
        "--requeues", type=int, default=20, metavar="N",
        help="how often the job queues itself again, at a time limit or when preempted (default: 20)",
    )  # fmt: skip
    options.add_argument(
        "--failed-scenes", choices=["tell", "accept"], default="tell",
        help="tell (default): some failed scenes are exit code 3; accept: they are 0, so that jobs "
        "which wait for this one begin",
    )  # fmt: skip
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the job for these command-line arguments and return the exit code."""
    given, own = parser().parse_known_args(arguments)
    job_parser, model = JOBS[given.job]
    try:
        flags = job_parser().parse_args(own)
        config = load_settings(model, flags.config, overrides(flags))
        job = SparkJob(
            main=Path(jobs.__file__).with_name(f"{given.job}.py"),
            arguments=own,
            out=config.out,
            needs=Needs(
                heap=given.executor_memory,
                driver=given.driver_memory,
                task=int(config.spark.worker_memory) >> 20,
            ),
            logs=_logs(given.logs, config.out),
            network=given.nodes_network,
            requeues=given.requeues,
            accept=given.failed_scenes == "accept",
        )
        return run(job)
    except PolynyaError as error:
        print(f"{given.job}: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def _logs(given: Path | None, out: AnyPath) -> Path:
    """Return the folder for logs, which is of this file system also where the run is in a bucket."""
    if given is None:
        given = out / "logs" if isinstance(out, Path) else Path("logs")
    return given.absolute()


if __name__ == "__main__":
    sys.exit(main())
