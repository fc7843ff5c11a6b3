"""Label scenes and cut training chips from them, with Spark.

    python -m jobs.label --scenes scenes/*.tif --out RUN
    spark-submit --master spark://host:7077 jobs/label.py --scenes scenes/ --out RUN

Exit code: 0 all done, 3 some scenes failed (see RUN/failures.jsonl), 2 usage or configuration, 1 other.
"""

from __future__ import annotations

import argparse
import sys

from jobs.command import SCENES_HELP, add_nodata_option, add_spark_options, configure_logs, main_of, overrides
from labeling.ice.profile import profile_names
from labeling.settings import load_settings
from pipelines.config import LabelConfig
from pipelines.engine.outcome import Outcome
from pipelines.label import run


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = argparse.ArgumentParser(
        prog="jobs.label", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--scenes", nargs="+", metavar="SCENE", help=SCENES_HELP)
    add_nodata_option(options)
    options.add_argument("--out", metavar="RUN", help="run folder")
    options.add_argument("--profile", help=f"one of {', '.join(profile_names())}, or a .yaml file")
    options.add_argument("--cut", choices=["auto", "never", "always"], help="cut large scenes into blocks")
    options.add_argument("--block-size", type=int, metavar="N", help="pixels; never changes a result")
    options.add_argument("--outputs", type=lambda text: text.split(","), metavar="labels,quicklook,chips")
    options.add_argument(
        "--chip-size", dest="chips.size", type=int, metavar="N", help="side of a chip, pixels"
    )
    options.add_argument(
        "--clouds", dest="clouds.sources", type=lambda text: text.split(","), metavar="s2cloudless,product",
        help="who finds clouds, which get no label (default: nobody)",
    )  # fmt: skip
    options.add_argument(
        "--land",
        dest="land.vector",
        metavar="FILE",
        help="polygons of land and ice shelf, see docs/products.md",
    )
    add_spark_options(options)
    return options


def main(arguments: list[str] | None = None) -> Outcome:
    """Run the job for these command-line arguments."""
    given = parser().parse_args(arguments)
    configure_logs(given)
    return run(load_settings(LabelConfig, given.config, overrides(given)))


if __name__ == "__main__":
    sys.exit(main_of(main, "label"))
