"""The secret that Spark's processes of several machines share, with what has them use it, in one file.

    python -m pipelines.secure.properties spark.conf

Master, workers and jobs take it with `--properties-file spark.conf`: who does not know the secret is not
heard, and what goes over the network or to a local disk is encrypted. The file is its user's alone (0600).
Spark hands the secret on to executors in their environment; on a command line `ps` would show it.
"""

from __future__ import annotations

import os
import secrets
import shlex
import stat
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from labeling.errors import ConfigError

OPEN: Final = "none"
"""In the place of a file: the cluster asks for no secret."""

GUARDED: Final = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.io.encryption.enabled": "true",
    # The pages of Master and Worker ask for no secret, so they must not end anything either.
    "spark.ui.killEnabled": "false",
    "spark.master.ui.decommission.allow.mode": "DENY",
}
"""Nobody is heard without the secret, and neither network nor local disks show what they carry."""

LOCAL: Final = {"spark.authenticate": "true"}
"""The same for a session on one machine, whose secret Spark makes up itself; it listens on loopback only."""


def write_properties(file: Path, more: Mapping[str, str] | None = None) -> None:
    """Write a file with a new secret, and `more` settings; ConfigError: it is there, or cannot be written."""
    lines = {**(more or {}), **GUARDED, "spark.authenticate.secret": secrets.token_hex(32)}
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        way = "A cluster that uses it would have to start anew with another: remove it first, or use it."
        raise ConfigError(f"cannot write {file}: {error.strerror}. {way}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.writelines(f"{name} {value}\n" for name, value in lines.items())


def submit_arguments(master: str, file: str | None) -> str | None:
    """Return what PySpark must start Java with to reach a cluster; None where that needs no secret.

    ConfigError when there is no file and it was not said that none is needed, or others can read it.
    """
    if file == OPEN:
        return None
    if file is None:
        raise ConfigError(
            f"spark.properties names no file with the secret of {master}. Give the one that its master and "
            "workers were started with (python -m pipelines.secure.properties FILE makes one), or "
            f"`properties: {OPEN}` where everybody who reaches the cluster may use it."
        )
    try:
        found = Path(file).stat()
    except OSError as error:
        raise ConfigError(f"spark.properties: {file} cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
        raise ConfigError(f"spark.properties: others can read the secret in {file}; chmod 600 {file}")
    return f"--properties-file {shlex.quote(file)} pyspark-shell"


def main(arguments: list[str] | None = None) -> int:
    """Write the file that the command line names and return the exit code."""
    options = ArgumentParser("pipelines.secure.properties", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("file", type=Path)
    try:
        write_properties(options.parse_args(arguments).file)
    except ConfigError as error:
        print(f"properties: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
