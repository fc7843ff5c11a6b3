"""What Spark's Java is told at its start: to be quick about it, and to say nothing of itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Final

import pyspark

ARCHIVE: Final = Path(sys.prefix) / "share" / "polynya" / f"spark-{pyspark.__version__}.jsa"
"""Spark's classes as Java maps them (archive.py); they lie with the packages they belong to."""

MAKING: Final = "POLYNYA_MAKE_ARCHIVE"
"""Environment variable: where a process that was started for it leaves the classes it has loaded."""

QUICK: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java only hands out rows: its optimising compiler and parallel collector cost more than they save."""

_QUIET: Final = "-Xlog:disable -Xlog:all=error:stderr"
_LOGGING: Final = Path(__file__).with_name("log4j2.properties")

_NOTICE: Final = b"WARNING: Using incubator modules: jdk.incubator.vector"
"""Spark asks for this module, Java says so, and no option keeps it from saying it."""


def options() -> str:
    """Return the options of a session's Java."""
    return " ".join([QUICK, *archive_options(), f"-Dlog4j2.configurationFile=file:{_LOGGING}"])


def archive_options() -> list[str]:
    """Return what tells Java to use the archive if there is one."""
    making = os.environ.get(MAKING)
    if making:
        return [f"-XX:ArchiveClassesAtExit={making}", _QUIET]
    usable = ARCHIVE.is_file() and " " not in str(ARCHIVE)
    return [f"-XX:SharedArchiveFile={ARCHIVE}", _QUIET] if usable else []


@contextmanager
def without_its_notice() -> Iterator[None]:
    """Let a Java that starts in the block write to standard error, for all its life, without its notice."""
    if sys.stderr is None:  # closed, as some batch systems do: nobody listens
        yield
        return
    sys.stderr.flush()
    kept, (read, write) = os.dup(2), os.pipe()
    os.dup2(write, 2)
    os.close(write)
    Thread(target=_pass_on, args=(read, os.dup(kept)), name="java's standard error", daemon=True).start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _pass_on(read: int, target: int) -> None:
    """Copy lines until all who write have ended; whoever reads the copy may have gone before."""
    with open(read, "rb") as lines, open(target, "wb", buffering=0) as copy:
        for line in lines:
            if line.strip() != _NOTICE:
                copy.write(line)
