"""Spark's Java classes as a file that Java maps at its start, which takes half as long then.

    python -m pipelines.engine.archive

makes the file once for an installation (`make setup` does); sessions we make ourselves use it when it is
there. Java itself checks that it fits, and goes on without where it does not: after an update, say.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pyspark.sql import types as T

from labeling.errors import OutputError
from labeling.files.atomic import replacing
from pipelines.engine.java import ARCHIVE, MAKING
from pipelines.engine.session import one_task_each, spark_session
from pipelines.engine.settings import SparkSettings


def make_archive(target: Path = ARCHIVE) -> None:
    """Run a small session, in a process of its own, and keep the classes that it loaded."""
    command = [sys.executable, "-m", "pipelines.engine.archive", "--run"]
    with replacing(target) as temporary:
        # Java writes when Python has gone already: only the end of its output tells that it is done.
        done = subprocess.run(
            command, env=os.environ | {MAKING: str(temporary)}, capture_output=True, check=False, text=True
        )
        if not temporary.is_file():
            said = "".join(done.stderr.strip().splitlines()[-1:])
            raise OutputError(
                f"Java wrote no archive of its classes to {target} ({said}). Spark works without it, and "
                "starts more slowly."
            )


def _run_once() -> None:
    """Do what every job makes Spark do."""
    schema = T.StructType([T.StructField("id", T.LongType())])
    with spark_session("polynya archive", SparkSettings(master="local[2]")) as spark:
        rows = one_task_each(spark, [{"id": number} for number in range(4)], schema)
        rows.mapInPandas(lambda frames: frames, "id long").collect()
        groups = rows.repartition(6, "id").groupBy("id")
        groups.applyInPandas(lambda frame: frame, "id long").collect()


if __name__ == "__main__":
    if "--run" in sys.argv:
        _run_once()
    else:
        try:
            make_archive()
        except OutputError as error:
            sys.exit(str(error))
