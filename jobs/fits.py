"""Does a model fit your ice? Its maps of your clear scenes under drawn skies, with Spark.

    python -m jobs.fits --model RUN/model --scenes clear/*.tif --out FITS

Cloud and shadow are drawn over parts of scenes that you know to be clear; right is what the thresholds say
of the clear picture. Thresholds, labels, the network alone and the map of jobs.infer are held against it.
The skies are of the kind that training draws: read the figures as whether a model knows the ice.

Exit code: 0 all done, fitting or not; 3 some scenes failed (see FITS/failures.jsonl), 2 usage or
configuration, 1 other.
"""

from __future__ import annotations

import argparse
import sys

from jobs.command import SCENES_HELP, add_nodata_option, add_spark_options, configure_logs, main_of, overrides
from labeling.settings import load_settings
from pipelines.engine.outcome import Outcome
from pipelines.fits.config import FitsConfig
from pipelines.fits.job import run


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = argparse.ArgumentParser(
        prog="jobs.fits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", metavar="FOLDER", help="model folder, as jobs.train writes it")
    options.add_argument("--scenes", nargs="+", metavar="SCENE", help=f"clear scenes: {SCENES_HELP}")
    add_nodata_option(options)
    options.add_argument("--out", metavar="FITS", help="folder for the figures")
    options.add_argument("--profile", metavar="PROFILE", help="labels that maps are made from")
    options.add_argument("--window", type=int, metavar="N", help="side of a part of a scene, pixels")
    options.add_argument("--windows", type=int, metavar="N", help="parts of a scene, at most")
    options.add_argument("--skies", type=int, metavar="N", help="drawn skies over each part, of each kind")
    options.add_argument("--seed", type=int, metavar="N", help="of the drawn skies")
    add_spark_options(options)
    return options


def main(arguments: list[str] | None = None) -> Outcome:
    """Run the job for these command-line arguments."""
    given = parser().parse_args(arguments)
    configure_logs(given)
    return run(load_settings(FitsConfig, given.config, overrides(given)))


if __name__ == "__main__":
    sys.exit(main_of(main, "fits"))
