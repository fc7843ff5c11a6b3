"""What Spark leaves on a disk is for its user alone, and so are its ports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from pipelines.secure.folders import VARIABLE, private_folders

SESSION = """
import os
from pathlib import Path
from pyspark.sql import types as T
from pipelines.engine.session import one_task_each, spark_session
from pipelines.engine.settings import SparkSettings
ids = T.StructType([T.StructField("id", T.LongType())])
with spark_session("test", SparkSettings(master="local[2,4]")) as spark:
    rows = one_task_each(spark, [{"id": number} for number in range(4)], ids)
    assert rows.repartition(2).count() == 4
    print(spark.sparkContext.getConf().get("spark.authenticate"))
    (folder,) = Path(os.environ["SPARK_LOCAL_DIRS"]).parent.glob("polynya-*/blockmgr-*")
    print(oct(folder.parent.stat().st_mode & 0o777))
"""


@pytest.mark.parametrize("count", [0, 2])
def test_folders_are_private_inside_those_given_and_gone_afterwards(tmp_path, monkeypatch, count):
    given = [tmp_path / str(number) for number in range(count)]
    for place in given:
        place.mkdir()
    before = ",".join(map(str, given))
    monkeypatch.setenv(VARIABLE, before)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with private_folders():
        made = os.environ[VARIABLE].split(",")
        assert [Path(place).parent for place in made] == (given or [tmp_path])
        assert {Path(place).stat().st_mode & 0o777 for place in made} == {0o700}
    assert os.environ.get(VARIABLE, "") == before
    assert not any(Path(place).exists() for place in made)


@pytest.mark.slow
def test_a_local_session_asks_for_a_secret_and_keeps_its_blocks_private(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SESSION], cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {VARIABLE: str(tmp_path)}, timeout=600,
    )  # fmt: skip
    assert done.stdout.split() == ["true", "0o700"], done.stderr
    assert not list(tmp_path.iterdir())
