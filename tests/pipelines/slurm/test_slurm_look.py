"""What nodes say of their Java becomes one sentence about those that cannot take part."""

import json

import pytest

from labeling.errors import ConfigError
from pipelines.slurm import look


def line(node, java=""):
    return json.dumps({"node": node, "java": java})


def test_a_node_says_its_name_and_what_is_wrong(monkeypatch, capsys):
    monkeypatch.setenv("SLURMD_NODENAME", "node7")
    look.main()
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    look.main()
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    assert good == {"node": "node7", "java": ""}
    assert "JAVA_HOME is /nowhere" in bad["java"]


def test_all_are_well():
    look.check(["a", "b"], ["srun: what others say", line("b"), line("a")])


def test_one_without_java():
    with pytest.raises(ConfigError, match=r"^on b: Spark needs Java.* JAVA_HOME can be set"):
        look.check(["a", "b"], [line("a"), line("b", "Spark needs Java, and no java is on PATH.")])


def test_one_that_says_nothing():
    with pytest.raises(ConfigError, match=r"^b, c did not say"):
        look.check(["a", "b", "c"], [line("a")])
