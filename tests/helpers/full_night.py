"""A night on a disk that is full from one of its steps on: python full_night.py STEP FILLER …"""

import runpy
import shutil
import sys
from pathlib import Path


def main(step, filler, *arguments):
    from pipelines.nightly.night import Work

    work, filler = getattr(Work, step), Path(filler)

    def full(self):
        filler.write_bytes(bytes(shutil.disk_usage(filler.parent).free))
        work(self)

    setattr(Work, step, full)
    sys.argv[1:] = arguments
    runpy.run_module("jobs.nightly", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
