"""The Spark session: what its workers are."""

import subprocess
import sys
from zipimport import zipimporter

import pandas as pd
import pytest
from conftest import ROOT
from pyspark.sql import types as T

from pipelines.engine import rows, warm
from pipelines.engine.session import one_task_each, spark_session
from pipelines.engine.settings import SparkSettings

pytestmark = pytest.mark.slow

IDS = T.StructType([T.StructField("id", T.LongType())])


def test_workers_have_all_but_the_tasks_own_modules_before_their_first_task(one_spark_session):
    one_spark_session()  # workers that other tests have used would have them, too

    def imported(frames):  # here, so that it crosses by value: workers do not know this module
        before = set(sys.modules)
        import pipelines.label_worker  # noqa: F401

        new = " ".join(set(sys.modules) - before)
        yield from (pd.DataFrame({"found": [new]}) for _ in frames)

    with spark_session("test", SparkSettings(master="local[2]")) as spark:
        tasks = one_task_each(spark, [{"id": number} for number in range(4)], IDS)
        found = [row.found.split() for row in tasks.mapInPandas(imported, "found string").collect()]
    assert {name for names in found for name in names} <= {"pipelines.label_worker", "pipelines.schemas"}


def test_a_session_says_nothing_of_java_and_all_else_that_is_said():
    code = (
        "import os\n"
        "from pipelines.engine.session import spark_session\n"
        "from pipelines.engine.settings import SparkSettings\n"
        "with spark_session('test', SparkSettings(master='local[1]')) as spark:\n"
        "    spark.sparkContext._jvm.java.lang.System.err.println('from Java')\n"
        "    os.write(2, b'from Python')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    assert sorted(ended.stderr.replace("Python", "Python\n").splitlines()) == ["from Java", "from Python"]


def test_a_process_without_standard_error_gets_its_session():
    code = (
        "from pipelines.engine.java import without_its_notice\n"
        "with without_its_notice():\n"
        "    print('session')\n"
    )
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "session\n")


def test_a_daemon_runs_the_kernels_of_every_way(monkeypatch):
    seen = []
    monkeypatch.setattr(warm.gc, "freeze", lambda: seen.append("frozen"))
    monkeypatch.setattr(
        warm, "label_scene", lambda rgb, valid, profile: seen.append(profile.thin_clouds is not None)
    )
    warm.warm()
    assert seen == [False, True, True, "frozen"]


def test_zips_are_not_read_again_at_every_task(monkeypatch):
    monkeypatch.setitem(sys.path_importer_cache, "somewhere.zip", object.__new__(zipimporter))
    rows.settle()
    assert not any(isinstance(found, zipimporter) for found in sys.path_importer_cache.values())
