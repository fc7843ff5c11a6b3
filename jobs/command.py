"""What all job commands share: Spark and configuration options, messages and exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labeling.errors import ConfigError, ModelError, PolynyaError
from pipelines.outcome import ExitCode, Outcome


def add_spark_options(options: argparse.ArgumentParser) -> None:
    """Add the options of every Spark job."""
    options.add_argument(
        "--master", dest="spark.master", help="Spark master (default: spark-submit's, else local[*])"
    )
    options.add_argument("--config", type=Path, metavar="FILE", help="YAML file; flags override it")


def overrides(given: argparse.Namespace) -> dict[str, Any]:
    """Return the flags as nested configuration values: `spark.master` becomes {"spark": {"master": …}}."""
    nested: dict[str, Any] = {}
    for key, value in vars(given).items():
        if value is None or key == "config":
            continue
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    return nested


def main_of(job: Callable[[], Outcome], name: str) -> int:
    """Run a job's main and return its exit code, with one line a failure on standard error."""
    try:
        outcome = job()
    except (ConfigError, ModelError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except PolynyaError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return ExitCode.ERROR
    for failure in outcome.failures:
        print(f"{name}: {failure.step} failed: {failure.reason}", file=sys.stderr)
    print(f"{name}: {outcome.done} scene(s) done, {len(outcome.failures)} failed", file=sys.stderr)
    return outcome.exit_code
