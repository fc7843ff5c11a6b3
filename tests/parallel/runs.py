"""Trains one configuration after the other, to start Horovod only once. Run by the tests under horovodrun.

python runs.py CONFIGS.json
"""

import json
import sys
from pathlib import Path

from training.fit import run
from training.settings.config import TrainConfig

if __name__ == "__main__":
    for values in json.loads(Path(sys.argv[1]).read_text()):
        run(TrainConfig.model_validate(values))
