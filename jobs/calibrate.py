"""Determine cut points on brightness for your scenes, with Spark.

    python -m jobs.calibrate --scenes scenes/*.tif --out CAL
    python -m jobs.calibrate --scenes scenes/*.tif --out CAL --hints places.gpkg

Look at CAL/index.html, then label with --profile CAL/profile.yaml.

Exit code: 0 all done, 3 some scenes failed (see CAL/failures.jsonl), 2 usage or configuration, 1 other.
"""

from __future__ import annotations

import argparse
import sys

from jobs.command import add_spark_options, configure_logs, main_of, overrides
from labeling.files.layout import Run
from labeling.ice.profile import profile_names
from labeling.settings import load_settings
from pipelines.calibration.config import CalibrateConfig
from pipelines.calibration.job import run, summary
from pipelines.engine.outcome import Outcome


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = argparse.ArgumentParser(
        prog="jobs.calibrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--scenes", nargs="+", metavar="PATH", help="pictures, folders and globs of a kind")
    options.add_argument("--out", metavar="CAL", help="folder for profile, figures and page")
    options.add_argument(
        "--start", metavar="PROFILE",
        help=f"its rendering and filter are kept: one of {', '.join(profile_names())}, or a .yaml file",
    )  # fmt: skip
    options.add_argument(
        "--hints", dest="hints.file", metavar="FILE",
        help="points or polygons whose class you know, any OGR format: water, thin, thick, or 0, 1, 2",
    )  # fmt: skip
    options.add_argument("--hints-column", dest="hints.column", metavar="NAME", help="column of the classes")
    options.add_argument(
        "--hints-layer", dest="hints.layer", metavar="NAME", help="layer of a file with several"
    )
    options.add_argument(
        "--clouds", dest="clouds.sources", type=lambda text: text.split(","), metavar="s2cloudless,product",
        help="who finds clouds, which are not counted (default: nobody)",
    )  # fmt: skip
    options.add_argument(
        "--land", dest="land.vector", metavar="FILE", help="polygons of land and ice shelf, any OGR format"
    )
    options.add_argument("--pictures", type=int, metavar="N", help="scenes shown as pictures, at most")
    add_spark_options(options)
    return options


def main(arguments: list[str] | None = None) -> Outcome:
    """Run the job for these command-line arguments."""
    given = parser().parse_args(arguments)
    configure_logs(given)
    config = load_settings(CalibrateConfig, given.config, overrides(given))
    outcome = run(config)
    print(summary(Run(config.out.absolute())))
    return outcome


if __name__ == "__main__":
    sys.exit(main_of(main, "calibrate"))
