"""Trains one configuration after the other. A job of one_start.py: main(CONFIGS.json)

A configuration with `goes_on_from` is resumed from a copy of that model folder without its newest checkpoint.
"""

import json
import shutil
from pathlib import Path

from training.fit import run
from training.folder.checkpoints import checkpoint_files
from training.ranks import collectives
from training.settings.config import TrainConfig


def main(configs):
    for values in json.loads(Path(configs).read_text()):
        whole = values.pop("goes_on_from", None)
        config = TrainConfig.model_validate(values)
        if whole is not None:
            if collectives.start().leads:
                shutil.copytree(whole, config.out)
                checkpoint_files(config.out)[-1].unlink()
            collectives.wait("copied")
        run(config, resume=whole is not None)


def write_runs(file, configs):
    """Write what `main` reads and return the job."""
    file.write_text(json.dumps(configs))
    return "runs", file
