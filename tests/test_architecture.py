"""Imports go one way: jobs -> pipelines, training -> labeling, and heavy packages stay where they belong."""

import ast

import pytest
from conftest import ROOT

ALLOWED = {
    "labeling": {"labeling"},
    "training": {"training", "labeling"},
    "pipelines": {"pipelines", "training", "labeling"},
    "jobs": {"jobs", "pipelines", "training", "labeling"},
}
ONLY_IN = {"pyspark": "pipelines", "tensorflow": "training", "keras": "training", "horovod": "training"}
MODULES = sorted(path for package in ALLOWED for path in (ROOT / package).rglob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    for name in imported(path):
        if name in ALLOWED:
            assert name in ALLOWED[package], f"{package} must not import {name}"
        if name in ONLY_IN:
            assert package == ONLY_IN[name], f"{name} belongs to {ONLY_IN[name]}"


@pytest.mark.parametrize("network", ["unet", "squeezenet"])
def test_networks_know_keras_only(network):
    assert not set(imported(ROOT / f"training/network/{network}.py")) & {"tensorflow", "horovod"}
