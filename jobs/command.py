"""What all job commands share: Spark and configuration options, messages and exit codes."""

from __future__ import annotations

import argparse
import atexit
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from labeling.errors import ConfigError, ModelError, PolynyaError
from labeling.files.links import VARIABLE
from labeling.files.redact import without_secrets
from labeling.in_time import still_waiting
from pipelines.engine import logs
from pipelines.engine.outcome import ExitCode, Outcome

SCENES_HELP: Final = (
    "pictures, GeoTIFFs with named bands, Sentinel-2 products in SAFE format (folder or zip), STAC items and "
    "lists of them, folders of all these, globs, and addresses (https://…, s3://…); see docs/products.md"
)
"""What may be given as scenes."""


def add_spark_options(options: argparse.ArgumentParser) -> None:
    """Add the options of every Spark job."""
    options.add_argument(
        "--master", dest="spark.master", help="Spark master (default: spark-submit's, else local[*])"
    )
    options.add_argument(
        "--allow-links", metavar="HOST,…",
        help="hosts, s3://buckets or `files` (outside of their folder) that STAC items and products may "
        "lead to besides their own; see docs/products.md",
    )  # fmt: skip
    options.add_argument("--config", type=Path, metavar="FILE", help="YAML file; flags override it")
    add_log_option(options)


def add_nodata_option(options: argparse.ArgumentParser) -> None:
    """Add the option that declares the black of pictures."""
    options.add_argument(
        "--nodata", dest="limits.black", type=_black, metavar="0",
        help="take all black of pictures that declare no no-data for it (default: what reaches in from the "
        "edge)",
    )  # fmt: skip


def _black(text: str) -> str:
    if text != "0":
        raise argparse.ArgumentTypeError("only 0, black, can be declared; other values in the file")
    return "nodata"


def add_log_option(options: argparse.ArgumentParser) -> None:
    """Add the option that tells each step."""
    options.add_argument(
        "--log", choices=["text", "json"], help="tell each step on standard error, as text or as JSON lines"
    )


def configure_logs(given: argparse.Namespace) -> None:
    """Set the process up as the flags say: logs, warnings without --log; and where links may lead."""
    if getattr(given, "allow_links", None):
        os.environ[VARIABLE] = given.allow_links  # workers inherit it, see engine/session.py
    logs.configure(given.log or "text", logging.INFO if given.log else logging.WARNING)


def overrides(given: argparse.Namespace) -> dict[str, Any]:
    """Return the flags as nested configuration values: `spark.master` becomes {"spark": {"master": …}}."""
    nested: dict[str, Any] = {}
    for key, value in vars(given).items():
        if value is None or key in ("config", "log", "allow_links"):
            continue
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    return nested


def main_of(job: Callable[[], Outcome], name: str) -> int:
    """Run a job's main and return its exit code, with one line a failure on standard error."""
    try:
        code = _run(job, name)
    except SystemExit as end:  # SIGTERM, or argparse
        code = end.code if isinstance(end.code, int) else ExitCode.ERROR
        if not still_waiting():
            raise
    if still_waiting():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # in the usual way libraries would close down under threads that wait inside of them
    return code


def _run(job: Callable[[], Outcome], name: str) -> int:
    # Python looks through all objects again before it exits, which takes a quarter of a second.
    atexit.register(gc.freeze)
    # As an exception, so that a batch system's SIGTERM leaves no lock and no scratch files behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        outcome = job()
    except (ConfigError, ModelError) as error:
        _tell(name, str(error))
        return ExitCode.USAGE
    except PolynyaError as error:
        _tell(name, str(error))
        return ExitCode.ERROR
    for failure in outcome.failures:
        _tell(name, f"{failure.step} failed: {failure.reason}", scene=failure.scene, step=failure.step)
    done, failed = outcome.done, len(outcome.failures)
    _tell(name, f"{done} scene(s) done, {failed} failed", logging.INFO, done=done, failed=failed)
    return outcome.exit_code


def _tell(name: str, text: str, level: int = logging.ERROR, **fields: Any) -> None:
    if logs.is_json():
        logging.getLogger(f"{logs.NAMESPACE}.{name}").log(level, text, extra=fields)
    else:
        print(logs.one_line(f"{name}: {without_secrets(text)}"), file=sys.stderr)
