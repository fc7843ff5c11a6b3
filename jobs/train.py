"""Train a network on a chips folder, on one process or on many with Horovod.

    python -m jobs.train --chips RUN/chips --out RUN/model
    python -m jobs.train --ranks 2 --chips RUN/chips --out RUN/model
    python -m jobs.train --ranks 4 --min-ranks 1 --chips RUN/chips --out RUN/model
    horovodrun -np 8 -H node1:4,node2:4 python -m jobs.train --config jobs/conf/train.yaml …
    python -m jobs.train --chips RUN/chips --out RUN/model --resume
    python -m jobs.train --chips NEW/chips --out NEW/model --start RUN/model
    python -m jobs.train --config jobs/conf/train-kinds.yaml --chips RUN/chips --out RUN/kinds

`--start` begins with the weights of a finished model. The last one names whole chips instead of pixels, for
jobs.sieve. `--ranks` starts processes of this machine that nobody else can talk to; several machines with
Slurm take jobs/slurm/train.sbatch. horovodrun shows its environment to all who can run `ps`, and believes
everybody who reaches its ports.
Exit code: 0 done, 2 usage or configuration, 75 ended by SIGTERM after a checkpoint (start it again with
--resume), 1 anything else. horovodrun turns every code but 0 into 1: see training/ranks/stop.py for a batch
script.
"""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from jobs.launch import rank_options, start
from labeling.errors import ConfigError, ModelError, PolynyaError
from labeling.settings import load_settings
from training.errors import StoppedError
from training.ranks.launched import refuse_strangers
from training.ranks.stop import REQUEUE, Stop
from training.settings.config import TrainConfig

KEYS = (
    *("epochs", "batch_size", "accumulate", "learning_rate", "loss", "patience", "precision", "seed"),
    *("skies", "checkpoint_steps", "threads", "feeders", "gpus"),
    "balance",
)
"""Settings that have a flag; the rest are for the configuration file."""


def parser() -> ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = ArgumentParser(
        "jobs.train",
        description=__doc__,
        parents=[rank_options()],
        formatter_class=RawDescriptionHelpFormatter,
    )
    options.add_argument("--chips", metavar="FOLDER", help="chips, as jobs.label writes them")
    options.add_argument("--out", metavar="FOLDER", help="model folder to write")
    options.add_argument("--config", type=Path, metavar="FILE", help="YAML file; flags override it")
    options.add_argument("--start", metavar="FOLDER", help=TrainConfig.model_fields["start"].description)
    for key in KEYS:  # pydantic reads the numbers
        text = TrainConfig.model_fields[key].description
        metavar = "NAME" if key in ("balance", "gpus", "loss", "precision") else "N"
        options.add_argument(f"--{key.replace('_', '-')}", metavar=metavar, help=text)
    options.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    options.add_argument("--overwrite", action="store_true", help="delete the training in --out first")
    options.add_argument(
        "--trust-network", action="store_true", help="let horovodrun's elastic mode listen to everybody"
    )
    return options


def main(arguments: list[str] | None = None) -> int:
    """Train for these command-line arguments and return the exit code."""
    given = vars(parser().parse_args(arguments))
    file, resume, overwrite = (given.pop(key) for key in ("config", "resume", "overwrite"))
    ranks, least, cooldown = (given.pop(key) for key in ("ranks", "min_ranks", "cooldown"))
    trust_network = given.pop("trust_network")
    try:
        if ranks is not None or least is not None:
            return _as_ranks(ranks, least, cooldown, sys.argv[1:] if arguments is None else arguments)
        refuse_strangers(trust_network=trust_network)
        with Stop() as stop:
            config = load_settings(TrainConfig, file, given)
            from training.fit import run  # only now: TensorFlow takes seconds to load

            run(config, resume=resume, overwrite=overwrite, stop=stop)
    except PolynyaError as error:
        # Every rank fails alike and rank 0 tells; horovodrun names the rank before Horovod starts.
        if os.environ.get("HOROVOD_RANK", "0") == "0":
            print(f"train: {error}", file=sys.stderr, flush=True)
        else:
            time.sleep(2)  # horovodrun ends all ranks when the first one has gone: let rank 0 speak first
        if isinstance(error, StoppedError):
            return REQUEUE
        return 2 if isinstance(error, ConfigError | ModelError) else 1
    return 0


def _as_ranks(
    ranks: int | None, least: int | None, cooldown: Sequence[float], arguments: Sequence[str]
) -> int:
    """Do the same in several processes, whose command line does not say so any more."""
    if "HOROVOD_RANK" in os.environ:
        raise ConfigError("--ranks starts ranks, and this is one already: leave it out under horovodrun")
    if ranks is None:
        raise ConfigError("--min-ranks says how many of --ranks must be left: give both")
    _, own = rank_options().parse_known_args(arguments)
    return start([sys.executable, "-m", "jobs.train", *own], ranks, least, cooldown)


if __name__ == "__main__":
    sys.exit(main())
