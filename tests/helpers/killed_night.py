"""A night that kills itself, for real and at once, in or between its steps: python killed_night.py PLACE …"""

import os
import runpy
import signal
import sys
import time
from pathlib import Path
from threading import Thread

import yaml

WATCHED = {
    "label": "run/labels/*/done.json",
    "map": "run/maps/*/done.json",
    "train": "successor/model/checkpoints/*.npz",
}
"""Files at whose appearance it ends, in the middle of a step."""

CALLS = {
    "evaluate": "pipelines.evaluate.write_json",
    "series": "pipelines.nightly.series_file.pq.write_table",  # the CSV is there, and Parquet the old one
    "report": "pipelines.nightly.night.write_report",
    "judge": "pipelines.nightly.successor.judge",
    "link": "pipelines.nightly.models.point",  # the copy is there, and the link the old one
    "record": "pipelines.nightly.successor._clear",  # all but to clear up is done
    "retention": "pipelines.nightly.retention.clear",
    "end": "pipelines.nightly.night.close",
}
"""Functions in the place of which it ends."""


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def watch(root, pattern):
    before = set(root.glob(pattern))
    while not set(root.glob(pattern)) - before:
        time.sleep(0.002)
    die()


def main(place, *arguments):
    from importlib import import_module
    from unittest import mock

    sys.argv[1:] = arguments
    if place in WATCHED:
        settings = yaml.safe_load(Path(arguments[arguments.index("--config") + 1]).read_text())
        Thread(target=watch, args=(Path(settings["out"]), WATCHED[place]), daemon=True).start()
    else:
        import_module("pipelines.nightly.night")
        mock.patch(CALLS[place], die).start()
    runpy.run_module("jobs.nightly", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
