"""Does one job after the other, to start Horovod only once. Run by a launcher.

python one_start.py JOBS.json

JOBS.json is a list of [module, argument …]: that module's `main` is called with the arguments. Its jobs must
leave the process as it was, and end without an error on all ranks.
"""

import importlib
import json
import sys
from pathlib import Path

from training.ranks.device import limit_threads

if __name__ == "__main__":
    limit_threads(1)  # as the first tensor settles it, and some jobs ask for this number
    for name, *arguments in json.loads(Path(sys.argv[1]).read_text()):
        print(f"job: {name} {' '.join(arguments)}", file=sys.stderr, flush=True)
        importlib.import_module(name).main(*arguments)
