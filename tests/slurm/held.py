"""Python whose trainings stand still in the first starts of a job until they are asked to end.

POLYNYA_HELD names the update of each start at which they do, and POLYNYA_MARKS the folder in which each rank
says so.
"""

import os
import runpy
import sys
import time
from pathlib import Path

from training.ranks import stop


class Held(stop.Stop):
    """A training asks once an update whether it was asked to end."""

    asked = False
    times = 0

    @property
    def requested(self):
        self.times += 1
        if self.times == hold:
            (Path(os.environ["POLYNYA_MARKS"]) / f"held-{start}-{os.environ['HOROVOD_RANK']}").touch()
            while not self.asked:
                time.sleep(0.05)
        return self.asked

    @requested.setter
    def requested(self, asked):
        self.asked = asked


_, _, module, *arguments = sys.argv
start = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
hold = dict(enumerate(map(int, os.environ["POLYNYA_HELD"].split()))).get(start)
if module == "jobs.train":
    stop.Stop = Held
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__", alter_sys=True)
