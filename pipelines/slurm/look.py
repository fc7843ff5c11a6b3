"""Whether a node has the Java that Spark needs, as a line of JSON; a job has it told by all nodes first.

srun … python -m pipelines.slurm.look
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from labeling.errors import ConfigError
from pipelines.engine.environment import check_java
from training.slurm.allocation import shown


def main() -> None:
    """Print this node's name and what is wrong with its Java, nothing where it will do."""
    try:
        check_java()
        said = ""
    except ConfigError as error:
        said = str(error)
    print(json.dumps({"node": os.environ["SLURMD_NODENAME"], "java": said}), flush=True)


def check(nodes: Iterable[str], lines: Iterable[str]) -> None:
    """Raise ConfigError for the nodes whose line is missing, or says what is wrong; one reason is told."""
    told = [json.loads(line) for line in lines if line.startswith('{"node"')]
    found = {each["node"]: each["java"] for each in told}
    if silent := [node for node in nodes if node not in found]:
        raise ConfigError(
            f"{shown(silent)} did not say whether there is Java: Python and PySpark must be there, under the "
            "same path; what srun said is above"
        )
    if wrong := [node for node in nodes if found[node]]:
        raise ConfigError(
            f"on {shown(wrong)}: {found[wrong[0]]} JAVA_HOME can be set in the batch script, for all nodes."
        )


if __name__ == "__main__":
    main()
