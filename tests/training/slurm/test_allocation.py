import subprocess
import sys

import pytest
from conftest import ROOT

from labeling.errors import ConfigError
from training.slurm import allocation as allocation_module
from training.slurm.allocation import allocation, slurm, tasks

GIVEN = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_TASKS_PER_NODE": "2(x2)"}


def names(*command):
    assert command == ("scontrol", "show", "hostnames", "node[1-2]")
    return "node1\nnode2\n"


def test_nodes_and_ranks_are_in_the_order_of_the_ranks():
    found = allocation(GIVEN | {"SLURM_CPUS_PER_TASK": "4", "SLURM_RESTART_COUNT": "3"}, names)
    assert list(found.ranks.items()) == [("node1", 2), ("node2", 2)]
    assert (found.size, found.processors, found.restarts) == (4, 4, 3)


def test_the_first_start_and_processors_that_nobody_named():
    found = allocation(GIVEN, names)
    assert (found.processors, found.restarts) == (None, 0)


@pytest.mark.parametrize("missing", GIVEN)
def test_outside_of_a_job_it_says_how_to_be_in_one(missing):
    given = {name: text for name, text in GIVEN.items() if name != missing}
    with pytest.raises(ConfigError, match=f"{missing} is not set.*sbatch.*--ranks N"):
        allocation(given, names)


@pytest.mark.parametrize("text", ["", "2x2", "2(x2", "two"])
def test_counts_that_are_none_are_shown(text):
    with pytest.raises(ConfigError, match="SLURM_TASKS_PER_NODE"):
        tasks(text)


def test_counts_of_another_number_of_nodes():
    with pytest.raises(ConfigError, match=r"2 nodes .* ranks on 3"):
        allocation(GIVEN | {"SLURM_TASKS_PER_NODE": "2(x3)"}, names)


def test_a_command_that_fails_or_is_not_there_is_told_with_what_it_said(monkeypatch):
    with pytest.raises(ConfigError, match="failed: no such job"):
        slurm(sys.executable, "-c", "import sys; sys.exit('no such job')")
    monkeypatch.setattr(allocation_module, "ANSWER_S", 0.2)
    with pytest.raises(ConfigError, match="does not answer"):
        slurm(sys.executable, "-c", "import time; time.sleep(60)")
    with pytest.raises(ConfigError, match="there is no no-such-command on PATH"):
        slurm("no-such-command")


def test_the_batch_step_takes_nothing_but_python():
    """With pyxis it runs outside of the image, where no package of ours is."""
    code = "import sys, jobs.slurm.train; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
