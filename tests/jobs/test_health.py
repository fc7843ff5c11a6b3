"""`python -m jobs.health` where all is well, and what it says of places where jobs could not run."""

import os
import pwd
import subprocess
import sys
import tempfile

import pytest
from conftest import ROOT

from jobs import health
from labeling.errors import ConfigError


def test_all_is_well_here():
    done = subprocess.run(
        [sys.executable, "-m", "jobs.health"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("healthy: ")


def test_every_fault_is_told_and_ends_with_code_1(monkeypatch, capsys):
    def first():
        raise ConfigError("the first")

    def second():
        raise ConfigError("the second")

    for name, check in {"has_name": first, "labels": second, "horovod": lambda: None}.items():
        monkeypatch.setattr(health, name, check)
    assert health.main() == 1
    assert capsys.readouterr().err == "health: the first\nhealth: the second\n"
    monkeypatch.setattr(health, "writes", second)  # without which nothing else is tried
    assert health.main() == 1
    assert capsys.readouterr().err == "health: the second\n"


def test_no_place_to_write(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"none.*--tmpfs /tmp"):
        health.writes()


def test_a_user_without_a_name(monkeypatch):
    unknown = next(
        number for number in range(60_000, 70_000) if number not in {u.pw_uid for u in pwd.getpwall()}
    )
    monkeypatch.setattr(os, "getuid", lambda: unknown)
    with pytest.raises(ConfigError, match=f"User id {unknown} has no name.*entry point"):
        health.has_name()


def test_labels_that_come_out_wrong(monkeypatch):
    right = health.label_scene
    monkeypatch.setattr(health, "label_scene", lambda *arguments: 2 - right(*arguments))
    with pytest.raises(ConfigError, match="labels a picture of three greys wrongly"):
        health.labels()


def test_a_java_that_does_not_start(monkeypatch, tmp_path):
    (tmp_path / "java").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="Java does not start"):
        health.java()


def test_a_horovod_that_does_not_load(monkeypatch):
    monkeypatch.setitem(sys.modules, "training.ranks.collectives", None)
    monkeypatch.delattr("training.ranks.collectives", raising=False)
    with pytest.raises(ConfigError, match="Horovod does not load"):
        health.horovod()
