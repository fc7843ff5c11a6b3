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
from typing import Final

import pyspark
from pyspark.sql import types as T

from labeling.errors import OutputError
from labeling.files.atomic import replacing

FILE: Final = Path(sys.prefix) / "share" / "polynya" / f"spark-{pyspark.__version__}.jsa"
"""Lies with the packages it belongs to, and goes with them."""

_MAKING: Final = "POLYNYA_MAKE_ARCHIVE"
"""Environment variable: where a process that was started for it leaves the classes it has loaded."""

_QUIET: Final = "-Xlog:disable -Xlog:all=error:stderr"


def archive_options() -> list[str]:
    """Return what to tell Java: to use the archive if there is one."""
    making = os.environ.get(_MAKING)
    if making:
        return [f"-XX:ArchiveClassesAtExit={making}", _QUIET]
    return [f"-XX:SharedArchiveFile={FILE}", _QUIET] if FILE.is_file() and " " not in str(FILE) else []


def make_archive(target: Path = FILE) -> None:
    """Run a small session, in a process of its own, and keep the classes that it loaded."""
    command = [sys.executable, "-m", "pipelines.engine.archive", "--run"]
    with replacing(target) as temporary:
        # Java writes when Python has gone already: only the end of its output tells that it is done.
        done = subprocess.run(
            command, env=os.environ | {_MAKING: str(temporary)}, capture_output=True, check=False, text=True
        )
        if not temporary.is_file():
            said = "".join(done.stderr.strip().splitlines()[-1:])
            raise OutputError(
                f"Java wrote no archive of its classes to {target} ({said}). Spark works without it, and "
                "starts more slowly."
            )


def _run_once() -> None:
    """Do what every job makes Spark do."""
    from pipelines.config import SparkSettings
    from pipelines.engine.session import one_task_each, spark_session

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
