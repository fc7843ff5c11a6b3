"""How labelling would do on more cores: measured costs of its tasks, and Amdahl's law for what is not shared.

A prediction. It leaves out what cores share (memory, disk) and what a cluster adds (network).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

from benchmarks.labelling.breakdown import Cost


class Model(NamedTuple):
    """Seconds of a job's parts."""

    alone: float
    """What one process does while the others wait: catalogue, plan, Spark's scheduling, unshared steps."""
    shared: float
    """What is spread over tasks."""
    tasks: int
    """Into how many equal tasks; no more cores than that have work, and the last round may be part empty."""
    threads: float = 0.0
    """What one process does with a thread on each core."""

    def seconds(self, cores: int) -> float:
        """Predict the job's time on so many cores."""
        return self.alone + self.shared / self.tasks * ceil(self.tasks / cores) + self.threads / cores


def model_of(costs: Mapping[str, Cost], *, scenes: int, blocks: int, cpu: float) -> Model:
    """Return the model of a job over scenes with these costs, which took `cpu` seconds on a processor.

    `blocks` is into how many blocks each scene is cut, 1 for scenes done whole. What the stages do not
    explain of `cpu` is the engine's, and taken not to be shared.
    """
    stages = {name: cost for name, cost in costs.items() if name != "read"}
    explained = scenes * sum(cost.cpu for cost in stages.values())
    engine = max(0.0, cpu - explained)
    if blocks == 1:
        return Model(engine, explained, scenes)
    write = stages["write"]
    alone = engine + scenes * (stages["exclude"].cpu + write.serial)
    shared = scenes * (stages["decode"].cpu + stages["compare"].cpu)
    return Model(alone, shared, scenes * blocks, scenes * (write.cpu - write.serial))
