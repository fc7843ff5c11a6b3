"""Runs a command and watches it: when it was ready and done, and what its processes took (Linux).

The command tells the moments itself, as JSON in its last line of output: the system's monotonic clock is one
for all processes. Time on the processor and peak memory come from /proc, of all processes that descend from
the command; the kernel keeps the peaks, so looking four times a second misses none that matters.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from threading import Event, Thread
from typing import Final, NamedTuple

import numpy as np

_EVERY: Final = 0.25
_TICK: Final = os.sysconf("SC_CLK_TCK")
_ROOT: Final = Path(__file__).parents[2]


class Measured(NamedTuple):
    """What a command took."""

    start: float
    """Seconds until its engine was ready: interpreter, imports, JVM, workers."""
    work: float
    """Seconds from then on until all labels were on disk."""
    total: float
    """Seconds from beginning to end, with stopping the engine."""
    cpu: float
    """Seconds on a processor, of all processes together, in the time of `work`."""
    python: int
    """Peak resident memory in bytes of the largest Python process, shared pages included."""
    java: int
    """The same of the JVM; 0 where there is none."""


def measure(command: list[str]) -> Measured:
    """Run a command from the repository; RuntimeError with its output when it fails."""
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "ignore"}
    os.sync()  # what earlier commands wrote shall not be written back now
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=_ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    watch = _Watch(process.pid)
    output, _ = process.communicate()
    ended = time.monotonic()
    watch.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {process.returncode}:\n{output[-4000:]}")
    told = json.loads(output.splitlines()[-1])
    ready, done = told["ready"], told["done"]
    cpu = watch.cpu_until(done) - watch.cpu_until(ready)
    return Measured(
        ready - started, done - ready, ended - started, cpu, watch.peak("python"), watch.peak("java")
    )


class _Process(NamedTuple):
    parent: int
    name: str
    cpu: float


class _Watch:
    """Looks at a process and its descendants from a thread."""

    def __init__(self, pid: int) -> None:
        self._known = {pid}
        self._cpu: dict[int, float] = {}
        self._memory: dict[int, tuple[str, int]] = {}
        self._moments: list[tuple[float, float]] = [(time.monotonic(), 0.0)]
        self._ended = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join()

    def cpu_until(self, moment: float) -> float:
        """Return seconds on a processor up to a moment of the monotonic clock."""
        moments, seconds = zip(*self._moments, strict=True)
        return float(np.interp(moment, moments, seconds))

    def peak(self, name: str) -> int:
        """Return the peak memory in bytes of the largest process whose name starts so; 0 without one."""
        return max((size for found, size in self._memory.values() if found.startswith(name)), default=0)

    def _run(self) -> None:
        while not self._ended.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        alive = {int(path.name): _read(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
        grown = True
        while grown:
            born = {pid for pid, found in alive.items() if found and found.parent in self._known}
            grown = not born <= self._known
            self._known |= born
        for pid in self._known:
            found = alive.get(pid)
            if found is not None:
                self._cpu[pid] = found.cpu
                # What has ended has no memory any more; what became another program has a new name.
                self._memory[pid] = found.name, _peak(pid) or self._memory.get(pid, ("", 0))[1]
        self._moments.append((time.monotonic(), sum(self._cpu.values())))


def _read(process: Path) -> _Process | None:
    """Return what /proc says of a process; None when it has just ended."""
    try:
        head, _, tail = (process / "stat").read_text().rpartition(")")
    except OSError:
        return None
    fields = tail.split()
    return _Process(int(fields[1]), head.partition("(")[2], (int(fields[11]) + int(fields[12])) / _TICK)


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    peaks = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0].split()[1]) << 10 if peaks else 0
