"""Another user of this machine: runs Python as nobody, who may look at and connect to what anybody may."""

import os
import shutil
import subprocess
import sys

import pytest

NOBODY = 65534


def as_stranger(code, *arguments):
    """Run Python code as nobody and return what it printed; skips where this user cannot become another."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can act as another user of the machine (with setpriv of util-linux)")
    nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = subprocess.run(
        [*nobody, sys.executable, "-S", "-c", code, *map(str, arguments)],
        cwd="/", env={"PATH": os.defpath}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "Permission denied" in done.stderr and not done.stdout:
        pytest.skip(f"nobody cannot run {sys.executable}: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout


ASK = """
import sys
from http.client import HTTPConnection
def ask(port, method, path, body=None):
    link = HTTPConnection("127.0.0.1", int(port), timeout=10)
    try:
        link.request(method, path, body)
        answer = link.getresponse()
        return answer.status, answer.read()
    except OSError as error:
        return type(error).__name__, b""
    finally:
        link.close()
"""
"""Python code of a function that asks a server on loopback."""
