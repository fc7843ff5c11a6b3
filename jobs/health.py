"""Can jobs run here: is there a place to write, do labels come out right, do Java and Horovod start.

    python -m jobs.health

The health command of images, and worth a try in any new place. Exit code: 0 when all is well, 1 with one line
for each thing that is not.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterable
from tempfile import TemporaryFile, gettempdir
from typing import Final

import numpy as np

from labeling.classes import CLASS_CODES
from labeling.errors import ConfigError, PolynyaError
from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile
from pipelines.engine.environment import check_java
from pipelines.engine.outcome import ExitCode

GREYS: Final = (15, 100, 240)
"""Brightness of open water, thin and thick ice."""

PATIENCE: Final = 60.0
"""Seconds for Java's answer."""


def writes() -> None:
    """Write a megabyte where temporary files go."""
    try:
        with TemporaryFile() as file:
            file.write(bytes(1 << 20))
    except OSError as error:
        # gettempdir itself raises where it finds no folder at all.
        raise ConfigError(
            f"No temporary file can be written ({error}): mount a writable /tmp (docker: --tmpfs /tmp), or "
            "set TMPDIR to a folder with room."
        ) from error


def has_name() -> None:
    """Find the name of the user, without which Spark's Java does not start."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError as error:
        raise ConfigError(
            f"User id {os.getuid()} has no name, which Spark needs: start through the image's entry point "
            "(docker/entrypoint.sh), or mount an /etc/passwd that has the user."
        ) from error


def labels() -> None:
    """Label a small picture, with each of the compiled loops."""
    greys = np.repeat(np.array(GREYS, np.uint8), 64)
    picture = np.broadcast_to(greys, (3, 64, greys.size)).copy()
    for profile in ("iqrah-2024-raw", "polynya"):
        found = label_scene(picture, None, load_profile(profile))
        if not (found == np.repeat(np.array(CLASS_CODES, np.uint8), 64)).all():
            raise ConfigError(
                f"Profile {profile} labels a picture of three greys wrongly: the compiled loops do not fit "
                "this processor, or the installation is damaged. Set NUMBA_CPU_NAME=generic, or install anew."
            )


def java() -> None:
    """Ask Java for its version."""
    check_java()
    try:
        subprocess.run(["java", "-version"], capture_output=True, timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"Java does not start ({error}), which Spark needs.") from error


def horovod() -> None:
    """Load TensorFlow and Horovod, compiled for one another."""
    try:
        from training.ranks import collectives  # noqa: F401 - loading it is what is tried
    except ImportError as error:
        raise ConfigError(
            f"Horovod does not load ({error}): `make setup` builds it for this TensorFlow."
        ) from error


def faults(checks: Iterable[Callable[[], None]]) -> list[str]:
    """Run the checks, all of them, and return what is wrong."""
    found = []
    for check in checks:
        try:
            check()
        except PolynyaError as error:
            found.append(str(error))
    return found


def main() -> ExitCode:
    """Check all; say what is wrong on standard error."""
    # Where nothing can be written nothing else works, and would say so in worse words.
    found = faults([writes]) or faults([has_name, labels, java, horovod])
    for fault in found:
        print(f"health: {fault}", file=sys.stderr)
    if not found:
        print(f"healthy: labels, Java and Horovod; temporary files go to {gettempdir()}")
    return ExitCode.ERROR if found else ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
