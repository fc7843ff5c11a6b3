"""Fixtures of tests/parallel: one start of two ranks for what all of its files want to see two ranks do."""

import json
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def plans(request, tmp_path_factory):
    """Return the folder and the jobs of each file that was asked for and has a plan.

    A file's `plan(folder)` writes what its jobs need and returns them, as one_start.py takes them.
    """
    found = {}
    for module in dict.fromkeys(item.module for item in request.session.items):
        if hasattr(module, "plan"):
            folder = tmp_path_factory.mktemp(module.__name__)
            found[module.__name__] = folder, module.plan(folder)
    return found


@pytest.fixture(scope="session")
def output(plans, tmp_path_factory):
    """Run the jobs of all plans on two ranks, started once, and return what they printed."""
    file = tmp_path_factory.mktemp("plans") / "jobs.json"
    jobs = [[name, *map(str, arguments)] for _, jobs in plans.values() for name, *arguments in jobs]
    file.write_text(json.dumps(jobs))
    from ranks import run_ranks  # lies with those files, as the script does

    script = Path(__file__).parents[1] / "parallel" / "one_start.py"
    ended = run_ranks(2, sys.executable, script, file, timeout=1200)
    assert ended.code == 0, ended.output
    return ended.output


@pytest.fixture(scope="module")
def folder(request, plans):
    """Return the folder in which this file's plan was made."""
    return plans[request.module.__name__][0]


@pytest.fixture(scope="module")
def together(folder, output):
    """Return that folder after two ranks have done the plan's jobs."""
    return folder
