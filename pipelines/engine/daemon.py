"""Spark's Python daemon, with our code loaded and warm (warm.py), and started before Java asks for it.

Spark starts it with `python -m` at the first task, where a session of our own asks for it (session.py), and
everything waits while it imports and warms up. That would take two seconds, so `started_ahead` has a daemon
do so while Java starts. The one that Java starts finds it by the environment, hands over what Java gave it,
and only stays for Java to see. Where there is none, or it is taken already, it does the work itself.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ADDRESS: Final = "POLYNYA_PYTHON_DAEMON"
"""Variable that holds the socket of the daemon that waits."""

PATIENCE: Final = 10.0
"""Seconds after a session in which its daemon should have ended."""


@contextmanager
def started_ahead() -> Iterator[None]:
    """Start a daemon for the Java that starts in the block; it ends with Java's session, or the block."""
    with TemporaryDirectory(prefix="polynya-") as folder, socket.socket(socket.AF_UNIX) as entry:
        os.environ[ADDRESS] = str(Path(folder) / "daemon")
        entry.bind(os.environ[ADDRESS])
        entry.listen()
        daemon = subprocess.Popen(
            [
                os.environ.get("PYSPARK_PYTHON", sys.executable),
                "-m",
                "pipelines.engine.warm",
                str(entry.fileno()),
            ],
            stdin=subprocess.PIPE,
            pass_fds=[entry.fileno()],
            process_group=0,  # what interrupts the job is the job's to answer
        )
        entry.close()
        try:
            yield
        finally:
            os.environ.pop(ADDRESS, None)  # Java has its own copy
            _end(daemon)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    try:
        daemon.communicate(timeout=PATIENCE)  # closes its stdin
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def hand_over() -> bool:
    """Let the daemon that waits take this one's place; True when it has ended, False where none waits."""
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(os.environ[ADDRESS])
            socket.send_fds(link, [b"\0"], [0, 1])
            link.sendall(json.dumps(dict(os.environ)).encode() + b"\n")
            taken = link.recv(1)  # nothing, if it died while it warmed up
            link.recv(1)
        except (KeyError, OSError):
            return False
    return bool(taken)


def main() -> None:
    """Be the daemon, or stand for it."""
    if not hand_over():
        from pipelines.engine import warm  # only here: it takes the time that is to be saved

        warm.warm()
        warm.serve()


if __name__ == "__main__":
    main()
