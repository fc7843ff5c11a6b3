"""Java's classes are kept in a file, and Java uses it."""

import subprocess
import sys

import pytest

from labeling.errors import OutputError
from pipelines.engine import archive, java


def test_without_an_archive_java_is_told_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(java, "ARCHIVE", tmp_path / "spark.jsa")
    assert java.archive_options() == []
    (tmp_path / "spark.jsa").touch()
    assert java.archive_options()[0] == f"-XX:SharedArchiveFile={tmp_path}/spark.jsa"


def test_java_that_writes_none_is_told_with_its_words(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "no java"))
    with pytest.raises(OutputError, match=r"wrote no archive.*starts more slowly"):
        archive.make_archive(tmp_path / "spark.jsa")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_java_takes_the_archive_that_was_made(tmp_path):
    """Set-up's, made by the same function, where there is one: making one takes half a minute."""
    target = java.ARCHIVE
    if not target.is_file():
        target = tmp_path / "spark.jsa"
        archive.make_archive(target)
    told = subprocess.run(
        [sys.executable, "-c", SESSION, str(target)], capture_output=True, text=True, check=True, timeout=120
    )
    assert f"{target}" in told.stdout
    assert "shared objects file (top)" in told.stdout


SESSION = """
import sys
from pathlib import Path
from pipelines.engine import java
java.ARCHIVE = Path(sys.argv[1])
java._QUIET = "-Xlog:class+load:stdout"
from pipelines.engine.settings import SparkSettings
from pipelines.engine.session import spark_session
with spark_session("test", SparkSettings(master="local[1]")) as spark:
    print(spark.sparkContext._conf.get("spark.driver.extraJavaOptions"))
"""
