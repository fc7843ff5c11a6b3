"""The Spark session: what its workers are."""

import sys
from zipimport import zipimporter

import pandas as pd
import pytest
from pyspark.sql import types as T

from pipelines.config import SparkSettings
from pipelines.engine import rows, warm
from pipelines.engine.session import one_task_each, spark_session

pytestmark = pytest.mark.slow

IDS = T.StructType([T.StructField("id", T.LongType())])


def test_workers_have_our_code_before_their_first_task(one_spark_session):
    one_spark_session()  # workers that other tests have used would have it, too

    def loaded(frames):  # here, so that it crosses by value: workers do not know this module
        yield from (pd.DataFrame({"found": ["pipelines.label_worker" in sys.modules]}) for _ in frames)

    with spark_session("test", SparkSettings(master="local[2]")) as spark:
        tasks = one_task_each(spark, [{"id": number} for number in range(4)], IDS)
        assert [row.found for row in tasks.mapInPandas(loaded, "found boolean").collect()] == [True] * 4


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
