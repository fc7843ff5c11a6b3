"""Imports go one way, between packages, rooms and files, and heavy packages stay where they belong."""

import ast
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest
from conftest import ROOT

ONLY_IN = {"pyspark": "pipelines", "tensorflow": "training", "keras": "training", "horovod": "training"}

WORDS = {"labeling"}
FILES = WORDS | {"labeling.files", "labeling.files.cogs"}
CONTRACT = FILES | {"labeling.scenes.contract"}
PRODUCTS = {f"labeling.scenes.products.{kind}" for kind in ("safe", "stacks", "stac")}
SCENES = CONTRACT | {"labeling.scenes.products", "labeling.scenes"} | PRODUCTS
ICE = {"labeling.ice"}
MASKS = {"labeling.masks", "labeling.masks.clouds"}
TRAINING = {f"training.{room}" for room in ("settings", "network", "data", "ranks", "folder")}
EVALUATION = {"pipelines.engine", "pipelines.evaluation"}

ROOMS = {
    "labeling": set(),
    "labeling.files": WORDS,
    "labeling.files.cogs": FILES,
    "labeling.files.locks": FILES,
    "labeling.ice": WORDS,
    "labeling.cuts": WORDS | ICE,
    "labeling.scenes.contract": FILES,
    "labeling.scenes.products": CONTRACT,
    "labeling.scenes.products.safe": CONTRACT | {"labeling.scenes.products"},
    "labeling.scenes.products.stacks": CONTRACT | {"labeling.scenes.products"},
    "labeling.scenes.products.stac": CONTRACT | {"labeling.scenes.products"} | PRODUCTS,
    "labeling.scenes": SCENES,
    "labeling.masks": SCENES,
    "labeling.masks.clouds": SCENES,
    "labeling.results": SCENES,
    "labeling.maps.floes": WORDS | {"labeling.maps"},
    "labeling.maps": SCENES | MASKS | {"labeling.results"},
    "labeling.stages": SCENES | ICE | MASKS | {"labeling.cuts", "labeling.results"},
    "labeling.chips": FILES | ICE,
    "labeling.simulation.safe": SCENES,
    "labeling.simulation": SCENES | ICE | {"labeling.simulation.safe"},
    "training.settings": {"labeling"},
    "training.network": {"labeling", "training.settings"},
    "training.data": {"labeling", "training.settings", "training.network"},
    "training.ranks": {"labeling", "training.settings"},
    "training.launch": {"labeling", "training.ranks"},
    "training.slurm": {"labeling", "training.launch", "training.ranks"},
    "training.folder": {"labeling"} | TRAINING - {"training.data"},
    "training": {"labeling"} | TRAINING,
    "pipelines.secure": {"labeling"},
    "pipelines.engine": {"labeling", "pipelines.secure"},
    "pipelines.many": {"labeling", "pipelines.engine"},
    "pipelines.evaluation": {"labeling", "training", "pipelines.engine", "pipelines.many"},
    "pipelines": {"labeling", "training", "pipelines.many"} | EVALUATION,
    "pipelines.calibration": {"labeling", "pipelines", "pipelines.engine", "pipelines.report"},
    "pipelines.fits": {"labeling", "training", "pipelines", "pipelines.engine"},
    "pipelines.report": {"labeling", "training", "pipelines", "pipelines.many"} | EVALUATION,
    "pipelines.nightly": {"labeling", "training", "pipelines", "pipelines.report", "pipelines.products"}
    | EVALUATION,
    "pipelines.published": {"labeling", "training", "pipelines"} | EVALUATION,
    "pipelines.products.grids": {"labeling"},
    "pipelines.products": {"pipelines.products.grids"} | {"labeling", "training", "pipelines"} | EVALUATION,
    "pipelines.slurm": {"labeling", "training", "pipelines.engine", "pipelines.secure"},
    "jobs": {"labeling", "training", "pipelines"},
    "jobs.slurm": {"labeling", "training", "pipelines", "jobs"},
}
"""What each room may import besides itself: rooms of its own package by name, others by their package."""

PACKAGES = ("labeling", "pipelines", "training", "jobs", "benchmarks")
LARGEST = 16
"""Files that a room may hold, `__init__.py` aside."""


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
INITS = {module for module, path in MODULES.items() if path.name == "__init__.py"}
OURS = [module for module in MODULES if not module.startswith("benchmarks")]


def room_of(module):
    return module if module in INITS else module.rpartition(".")[0]


@cache
def imported(module):
    """Return the modules that a file imports anywhere in it, ours by their whole names."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found - {module}


def may_import(room, other):
    own, package = room.partition(".")[0], other.partition(".")[0]
    return other == room or (other if package == own else package) in ROOMS[room]


@pytest.mark.parametrize("module", OURS)
def test_imports_go_one_way(module):
    package = module.partition(".")[0]
    for name in imported(module):
        outer = name.partition(".")[0]
        if outer in ONLY_IN:
            assert package == ONLY_IN[outer], f"{name} belongs to {ONLY_IN[outer]}"
        if name in MODULES:
            assert may_import(room_of(module), room_of(name)), f"{room_of(module)} must not import {name}"


def circle(edges):
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return None


def test_no_files_import_each_other_in_a_circle():
    assert circle({module: imported(module) & MODULES.keys() for module in MODULES}) is None


def test_no_rooms_import_each_other_in_a_circle():
    edges = {}
    for module in MODULES:
        others = {room_of(name) for name in imported(module) & MODULES.keys()}
        edges.setdefault(room_of(module), set()).update(others - {room_of(module)})
    assert circle(edges) is None


@pytest.mark.parametrize("room", sorted(INITS))
def test_a_room_says_in_one_sentence_what_it_is_and_stays_small(room):
    sentence = ast.get_docstring(ast.parse(MODULES[room].read_text()))
    assert sentence
    assert "\n" not in sentence
    files = [module for module in MODULES if module not in INITS and room_of(module) == room]
    assert len(files) <= LARGEST


def test_the_document_draws_the_rooms_that_there_are():
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawn = [line.split(maxsplit=1) for line in text.split("```")[3].strip().splitlines()]
    rooms = sorted(INITS, key=lambda room: (PACKAGES.index(room.partition(".")[0]), room))
    sentences = [ast.get_docstring(ast.parse(MODULES[room].read_text())) for room in rooms]
    names = [f"{room.rpartition('.')[2]}/" for room in rooms]
    assert drawn == [list(pair) for pair in zip(names, sentences, strict=True)]


def test_every_room_has_its_rule():
    assert {room for room in INITS if not room.startswith("benchmarks")} == set(ROOMS)


@pytest.mark.parametrize("network", ["unet", "squeezenet"])
def test_networks_know_keras_only(network):
    outer = {name.partition(".")[0] for name in imported(f"training.network.{network}")}
    assert not outer & {"tensorflow", "horovod"}


def test_no_two_test_files_share_a_name():
    """Pytest imports them by their names alone, and would collect only one of them."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
