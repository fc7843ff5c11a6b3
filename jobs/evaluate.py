"""Evaluate a run's maps on its test chips, with Spark where there are many, and write the report.

    python -m jobs.evaluate --run RUN
    spark-submit --master spark://host:7077 jobs/evaluate.py --run RUN

Exit code: 0 all done, 3 some scenes failed (see RUN/failures.jsonl), 2 usage or configuration, 1 other.
"""

from __future__ import annotations

import argparse
import sys

from jobs.command import add_spark_options, configure_logs, main_of, overrides
from labeling.files.layout import Run
from labeling.settings import load_settings
from pipelines.engine.outcome import Outcome
from pipelines.evaluate import EvaluateConfig, run
from pipelines.report.page import write_report


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = argparse.ArgumentParser(
        prog="jobs.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--run", metavar="RUN", help="run folder with chips and maps")
    options.add_argument("--palette", choices=["polynya", "iqrah-2024"])
    options.add_argument("--pictures", type=int, metavar="N", help="scenes shown as pictures, at most")
    add_spark_options(options)
    return options


def main(arguments: list[str] | None = None) -> Outcome:
    """Run the job for these command-line arguments."""
    given = parser().parse_args(arguments)
    configure_logs(given)
    config = load_settings(EvaluateConfig, given.config, overrides(given))
    folder = Run(config.run.absolute())
    try:
        return run(config)
    finally:
        # A run without maps has nothing to evaluate, but labels and failures to show.
        if folder.catalog.is_file():
            write_report(folder, config.palette, config.pictures)
            print(f"report: {folder.report}")


if __name__ == "__main__":
    sys.exit(main_of(main, "evaluate"))
