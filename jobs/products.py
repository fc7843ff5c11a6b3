"""Make products of a run's maps, with Spark: what they say together.

    python -m jobs.products --run RUN
    python -m jobs.products --run RUN statistics

Exit code: 0 all done, 3 some scenes failed (see RUN/failures.jsonl), 2 usage or configuration, 1 other.
"""

from __future__ import annotations

import argparse
import sys
from typing import get_args

from jobs.command import add_spark_options, configure_logs, main_of, overrides
from labeling.maps.merging import Rule
from labeling.settings import load_settings
from pipelines.engine.outcome import Outcome
from pipelines.products.config import ProductsConfig
from pipelines.products.job import run
from pipelines.products.registry import PRODUCTS


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = argparse.ArgumentParser(
        prog="jobs.products", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--run", metavar="RUN", help="run folder with maps")
    options.add_argument(
        "products", nargs="*", metavar="PRODUCT",
        help="; ".join(f"{name}: {product.about}" for name, product in PRODUCTS.items())
        + " (default: all but a catalog)",
    )  # fmt: skip
    options.add_argument("--of", choices=["maps", "labels"], help="what products are made of (default: maps)")
    options.add_argument("--scenes", nargs="+", metavar="ID", help="ids of scenes, or patterns with *")
    options.add_argument("--since", metavar="YYYY-MM-DD", help="scenes sensed on this day or later, UTC")
    options.add_argument("--until", metavar="YYYY-MM-DD", help="scenes sensed on this day or earlier, UTC")
    options.add_argument("--rendering", metavar="NAME", help="scenes of this rendering only")
    options.add_argument(
        "--polygons", dest="statistics.polygons", metavar="FILE", help="polygons that statistics count by"
    )
    options.add_argument(
        "--cell-km",
        dest="concentration.cell_km",
        type=float,
        metavar="KM",
        help="side of a concentration cell",
    )
    options.add_argument(
        "--rule", dest="mosaic.rule", choices=["auto", *get_args(Rule)],
        help="which of several maps a pixel of the mosaic is of",
    )  # fmt: skip
    add_spark_options(options)
    return options


def main(arguments: list[str] | None = None) -> Outcome:
    """Run the job for these command-line arguments."""
    given = parser().parse_args(arguments)
    configure_logs(given)
    given.products = given.products or None
    return run(load_settings(ProductsConfig, given.config, overrides(given)))


if __name__ == "__main__":
    sys.exit(main_of(main, "products"))
