"""Train the U-Net on a chips folder, on one process or on many with Horovod.

    python -m jobs.train --chips RUN/chips --out RUN/model
    horovodrun -np 2 python -m jobs.train --chips RUN/chips --out RUN/model
    horovodrun -np 8 -H node1:4,node2:4 python -m jobs.train --config jobs/conf/train.yaml …
    python -m jobs.train --chips RUN/chips --out RUN/model --resume

Exit code: 0 done, 2 usage or configuration, 1 anything else.
"""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from labeling.errors import ConfigError
from labeling.settings import load_settings
from training.config import TrainConfig


def parser() -> ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = ArgumentParser("jobs.train", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    options.add_argument("--chips", metavar="FOLDER", help="chips, as jobs.label writes them")
    options.add_argument("--out", metavar="FOLDER", help="model folder to write")
    options.add_argument("--config", type=Path, metavar="FILE", help="YAML file; flags override it")
    for key in ("epochs", "batch_size", "learning_rate", "seed", "threads"):  # pydantic reads the numbers
        text = TrainConfig.model_fields[key].description
        options.add_argument(f"--{key.replace('_', '-')}", metavar="N", help=text)
    options.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    options.add_argument("--overwrite", action="store_true", help="delete the training in --out first")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Train for these command-line arguments and return the exit code."""
    given = vars(parser().parse_args(arguments))
    file, resume, overwrite = (given.pop(key) for key in ("config", "resume", "overwrite"))
    try:
        config = load_settings(TrainConfig, file, given)
        from training.fit import run  # only now: TensorFlow takes seconds to load

        run(config, resume=resume, overwrite=overwrite)
    except ConfigError as error:
        # Every rank fails alike and rank 0 tells; horovodrun names the rank before Horovod starts.
        if os.environ.get("HOROVOD_RANK", "0") == "0":
            print(f"train: {error}", file=sys.stderr, flush=True)
        else:
            time.sleep(2)  # horovodrun ends all ranks when the first one has gone: let rank 0 speak first
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
