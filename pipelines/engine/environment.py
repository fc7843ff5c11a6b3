"""What the environment may not decide: Spark, Java and Python of a session are set, or checked first."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pyspark

from labeling.errors import ConfigError

OLDEST_JAVA: Final = 17
"""Spark 4.0 runs on Java 17 and 21."""

_LOG = logging.getLogger("polynya.session")

_IMPORT: Final = re.compile(
    r"ModuleNotFoundError: [^\n]*|ImportError: [^\n]*|No module named [^\n]*|PYTHON_VERSION_MISMATCH"
    r"|Cannot run program [^\n,]*|Error from python worker"
)


def settle_spark() -> None:
    """Let PySpark use the Spark it came with where SPARK_HOME names none of its version."""
    home = os.environ.get("SPARK_HOME")
    if home is None or any(Path(home).glob(f"jars/spark-core_*-{pyspark.__version__}.jar")):
        return
    ours = str(Path(pyspark.__file__).parent)
    _LOG.info("SPARK_HOME=%s is not Spark %s; using %s", home, pyspark.__version__, ours)
    os.environ["SPARK_HOME"] = ours


def check_java() -> None:
    """Raise ConfigError where the Java that Spark would start is missing, or too old as its files say."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    way = f"Install Java {OLDEST_JAVA} or 21 (openjdk-17-jre-headless), or set JAVA_HOME to one."
    if found is None:
        if home and shutil.which("java"):
            way = f"Unset JAVA_HOME: {shutil.which('java')} is there; or set it to Java {OLDEST_JAVA} or 21."
        place = (
            f"JAVA_HOME is {home}, which has no bin/java that can be run" if home else "no java is on PATH"
        )
        raise ConfigError(f"Spark needs Java, and {place}. {way}")
    version = _java_version(Path(found))
    if version is not None and version < OLDEST_JAVA:
        raise ConfigError(
            f"Spark needs Java {OLDEST_JAVA} or 21, and {found}{' of JAVA_HOME' if home else ''} is Java "
            f"{version}. {way}"
        )


def settle_python(*, ours: bool) -> None:
    """Let workers run this Python; `ours` tells that they are of this machine and of a session made here.

    Elsewhere PYSPARK_PYTHON decides. ConfigError when it names another version of Python than this one.
    """
    given = os.environ.get("PYSPARK_PYTHON")
    if given is None or ours:
        # Workers otherwise take the first python3 on the path, which lacks our packages.
        os.environ["PYSPARK_PYTHON"] = sys.executable
        return
    version, own = _python_version(given), "{}.{}".format(*sys.version_info[:2])
    if version not in (None, own):
        raise ConfigError(
            f"PYSPARK_PYTHON={given} is Python {version}, and this is Python {own}: workers need the same "
            f"version, with the same packages. Set PYSPARK_PYTHON to a Python {own} that the workers have."
        )


def worker_fault(error: Exception) -> str | None:
    """Return in a sentence why workers could not start, or import the code; None for any other error."""
    found = _IMPORT.search(str(error))
    if found is None:
        return None
    own = "{}.{}".format(*sys.version_info[:2])
    return (
        f"Spark's workers could not start Python or import the code ({found[0].strip()}): each needs Python "
        f"{own} and this project's packages. On one machine unset PYSPARK_PYTHON; on a cluster ship both "
        '(docs/reliability.md, "Shipping the code to a cluster").'
    )


def _java_version(java: Path) -> int | None:
    """Return Java's major version as the file `release` of its folder says; None where it does not."""
    try:
        text = (java.resolve().parent.parent / "release").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)  # Java 8 calls itself 1.8
    return int(found[1]) if found else None


def _python_version(python: str) -> str | None:
    """Return the version of an interpreter of this machine; None where it cannot be run here."""
    code = "import sys; print('{}.{}'.format(*sys.version_info[:2]))"
    try:
        ended = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.strip()
