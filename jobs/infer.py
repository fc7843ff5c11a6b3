"""Map scenes with a trained model, with Spark.

    python -m jobs.infer --model RUN/model --scenes scenes/*.tif --out RUN
    spark-submit --master spark://host:7077 jobs/infer.py --model RUN/model --scenes scenes/ --out RUN

Exit code: 0 all done, 3 some scenes failed (see RUN/failures.jsonl), 2 usage or configuration, 1 other.
"""

from __future__ import annotations

import argparse
import sys

from jobs.command import SCENES_HELP, add_nodata_option, add_spark_options, configure_logs, main_of, overrides
from labeling.settings import load_settings
from pipelines.config import InferConfig
from pipelines.engine.outcome import Outcome
from pipelines.infer import run


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = argparse.ArgumentParser(
        prog="jobs.infer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", metavar="FOLDER", help="model folder, as jobs.train writes it")
    options.add_argument("--scenes", nargs="+", metavar="SCENE", help=SCENES_HELP)
    add_nodata_option(options)
    options.add_argument("--out", metavar="RUN", help="run folder")
    options.add_argument(
        "--network", choices=["checked", "alone"],
        help="checked (default): asked where the labels in RUN saw shadow, if it agrees with them elsewhere; "
        "alone: it draws all of every map",
    )  # fmt: skip
    options.add_argument(
        "--outputs", nargs="+", choices=["classes", "probability", "uncertainty"],
        help="rasters of a map; classes are written in any case",
    )  # fmt: skip
    options.add_argument(
        "--precision", choices=["float32", "bfloat16"],
        help="what the network computes in (default float32); bfloat16 gives slightly other maps",
    )  # fmt: skip
    options.add_argument("--land", dest="land.vector", metavar="FILE", help="polygons of land and ice shelf")
    add_spark_options(options)
    return options


def main(arguments: list[str] | None = None) -> Outcome:
    """Run the job for these command-line arguments."""
    given = parser().parse_args(arguments)
    configure_logs(given)
    return run(load_settings(InferConfig, given.config, overrides(given)))


if __name__ == "__main__":
    sys.exit(main_of(main, "infer"))
