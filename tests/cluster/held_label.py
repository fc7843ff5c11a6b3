"""A main file for spark-submit: labels again and again in one session, and holds tasks where it is told to.

    spark-submit held_label.py FOLDER

It does the requests FOLDER/1.json, 2.json, … as they appear, one after the other, until it is killed:

    {"arguments": what jobs.label takes,
     "stage": the function of pipelines.label_worker that is held,
     "file": at which file that it writes, counted from 1,
     "attempts": how many attempts at that task}

The first task to come there is held when its file is written, but has not its name yet. It leaves
FOLDER/<n>.held-0 with the file, its process and the executor's. Where only one attempt is wanted, it waits to
be killed; else for further attempts at the same file, which leave held-1 and so on.
What came of the request is in FOLDER/<n>.result.
"""

import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import pandas as pd

import jobs.label
import pipelines.engine.session
import pipelines.label
from pipelines import label_worker
from pipelines.engine.settings import SparkSettings


def main(folder):
    with pipelines.engine.session.spark_session("held", SparkSettings()) as session:
        pipelines.engine.session.spark_session = lambda *_: nullcontext(session)
        number = 1
        while True:
            if (folder / f"{number}.json").exists():
                do(folder, str(number))
                number += 1
            time.sleep(0.05)


def do(folder, request):
    asked = json.loads((folder / f"{request}.json").read_text())
    places = [folder / f"{request}.held-{attempt}" for attempt in range(asked["attempts"])]
    work = getattr(label_worker, asked["stage"])
    with patch.object(pipelines.label, asked["stage"], holding(work, asked["file"], places)):
        outcome = jobs.label.main(asked["arguments"])
    unnamed = folder / "result"
    unnamed.write_text(json.dumps({"done": outcome.done, "failures": outcome.failures}))
    unnamed.rename(folder / f"{request}.result")


def holding(work, file, places):
    """Return Spark's map or reduce function `work`, held as its file number `file` is to get its name.

    All it needs is inside, because workers cannot import this module.
    """
    rename = Path.replace

    def held(first, job):
        files = 0

        def rename_or_wait(unnamed, target):
            nonlocal files
            files += 1
            if files == file and any(take(place, str(target)) for place in places):
                wait()
            return rename(unnamed, target)

        with patch.object(Path, "replace", rename_or_wait):
            result = work(first, job)
            return result if isinstance(result, pd.DataFrame) else list(result)

    def take(place, target):
        if place != places[0] and json.loads(places[0].read_text())["file"] != target:
            return False
        daemon = os.getppid()
        executor = int(Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[1])
        mine = place.with_name(f"process-{os.getpid()}")
        mine.write_text(json.dumps({"file": target, "worker": os.getpid(), "executor": executor}))
        try:
            os.link(mine, place)  # at once with its content, and by one only
        except FileExistsError:
            return False
        return True

    def wait():
        deadline = time.monotonic() + 300
        while len(places) == 1 or not all(place.exists() for place in places):
            if time.monotonic() > deadline:
                raise TimeoutError("neither killed nor joined by another attempt")
            time.sleep(0.01)

    return held


if __name__ == "__main__":
    main(Path(sys.argv[1]))
