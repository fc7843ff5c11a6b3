"""A step of the job: what `srun` runs on all nodes of the allocation."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from labeling.errors import ConfigError
from training.launch.processes import GRACE_S
from training.slurm.allocation import Allocation


class Step:
    """An srun and its tasks, while the block lasts; killed at its end where they still run."""

    def __init__(
        self,
        given: Allocation,
        command: Sequence[str],
        *,
        output: Path | None = None,
        options: Sequence[str] = (),
        alone: bool = False,
        variables: Mapping[str, str] = os.environ,
    ) -> None:
        """Start a command as each rank of the allocation. `output` may hold srun's %t, the rank's number.

        With `alone` a task that fails leaves the others; else it takes them along.
        """
        srun = [
            *("srun", f"--nodes={len(given.ranks)}", f"--ntasks={given.size}", "--distribution=block"),
            *(f"--kill-on-bad-exit={0 if alone else 1}", "--export=ALL", "--input=none", "--mpi=none"),
            # Slurm does not hand the number on to steps by itself.
            *([f"--cpus-per-task={given.processors}"] if given.processors else []),
            *([f"--output={output}", "--open-mode=append"] if output else []),
            *options,
            *command,
        ]
        try:
            self._srun = subprocess.Popen(
                srun,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=None if output else subprocess.PIPE,
                text=True,
                process_group=0,  # what ends the batch script reaches the ranks through us only
            )
        except OSError as error:
            raise ConfigError(f"cannot start srun: {error.strerror}; a job's nodes must have it") from None

    def code(self) -> int | None:
        """Return srun's exit code, None while it runs."""
        return self._srun.poll()

    def said(self, seconds: float) -> str:
        """Wait for the end and return what the tasks printed; ConfigError when there is none in time."""
        try:
            return self._srun.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            raise ConfigError(f"the nodes said nothing within {seconds:.0f} s: try others") from None

    def end(self) -> None:
        """Kill all tasks: that is what srun does when it is asked to end."""
        if self._srun.poll() is None:
            self._srun.terminate()
            try:
                self._srun.wait(2 * GRACE_S)
            except subprocess.TimeoutExpired:
                self._srun.kill()
                self._srun.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
