"""Leave out training chips of kinds that are not worth training on, as a trained network names them.

    python -m jobs.train --config jobs/conf/train-kinds.yaml --chips RUN/chips --out RUN/kinds
    python -m jobs.sieve --chips RUN/chips --model RUN/kinds --drop cloud --out RUN/sieved
    python -m jobs.train --chips RUN/sieved --out RUN/model

Validation and test chips are all kept. Exit code: 0 done, 2 usage or configuration, 1 anything else.
"""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from labeling.chips.kinds import ChipKind
from labeling.errors import ConfigError, ModelError, PolynyaError
from labeling.settings import load_settings
from training.sieve import SieveConfig, run

FLAGS = {
    **{"chips": "FOLDER", "model": "FOLDER", "out": "FOLDER"},
    **{"keep_share": "SHARE", "seed": "N", "batch_size": "N", "threads": "N"},
}
"""Settings that have a flag of one value, and what their value is called."""


def parser() -> ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = ArgumentParser("jobs.sieve", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    options.add_argument("--config", type=Path, metavar="FILE", help="YAML file; flags override it")
    names = [kind.name.lower() for kind in ChipKind]
    options.add_argument("--drop", nargs="+", metavar="KIND", help=f"kinds to leave out: {', '.join(names)}")
    for key, metavar in FLAGS.items():  # pydantic reads the numbers
        text = SieveConfig.model_fields[key].description
        options.add_argument(f"--{key.replace('_', '-')}", metavar=metavar, help=text)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Sieve for these command-line arguments and return the exit code."""
    given = vars(parser().parse_args(arguments))
    # As an exception, so that a batch system's SIGTERM leaves no half folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        counts = run(load_settings(SieveConfig, given.pop("config"), given))
    except PolynyaError as error:
        print(f"sieve: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError | ModelError) else 1
    print(f"sieve: {counts.line()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
