"""The file with a cluster's secret, and sessions that need one."""

import pytest

from labeling.errors import ConfigError
from pipelines.engine.session import spark_session
from pipelines.engine.settings import SparkSettings
from pipelines.secure.properties import OPEN, main, submit_arguments

MASTER = "spark://host:7077"


def test_a_file_has_a_new_secret_for_its_user_alone(tmp_path, capsys):
    one, other = tmp_path / "one", tmp_path / "other"
    assert main([str(one)]) == main([str(other)]) == 0
    assert one.stat().st_mode & 0o777 == 0o600
    values = dict(line.split() for line in one.read_text().splitlines())
    assert len(bytes.fromhex(values["spark.authenticate.secret"])) == 32
    assert one.read_text() != other.read_text()
    before = one.read_text()
    assert main([str(one)]) == 2
    assert "remove it first" in capsys.readouterr().err
    assert one.read_text() == before


def test_a_session_on_a_cluster_takes_the_file_by_name(tmp_path):
    file = tmp_path / "with space"
    main([str(file)])
    assert submit_arguments(MASTER, str(file)) == f"--properties-file '{file}' pyspark-shell"
    assert submit_arguments(MASTER, OPEN) is None
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        submit_arguments(MASTER, str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        submit_arguments(MASTER, str(tmp_path / "none"))


def test_a_session_on_a_cluster_is_refused_without():
    settings = SparkSettings(master=MASTER)
    with (
        pytest.raises(ConfigError, match=r"pipelines\.secure\.properties FILE"),
        spark_session("t", settings),
    ):
        pass
