"""How many tasks a node does at a time: never more than its memory holds."""

import pytest

from pipelines.slurm.worker import cores_for


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({}, 1),
        ({"SLURM_CPUS_ON_NODE": "16"}, 16),
        ({"SLURM_CPUS_ON_NODE": "16", "SLURM_MEM_PER_NODE": "40960"}, 16),
        ({"SLURM_CPUS_ON_NODE": "16", "SLURM_MEM_PER_NODE": "16384"}, 7),
        ({"SLURM_CPUS_ON_NODE": "16", "SLURM_MEM_PER_CPU": "1024"}, 7),
        ({"SLURM_CPUS_ON_NODE": "16", "SLURM_MEM_PER_NODE": "1024"}, 1),
    ],
)
def test_tasks_have_a_core_and_their_memory(variables, cores):
    assert cores_for(variables, taken=1536, task=2048) == cores
