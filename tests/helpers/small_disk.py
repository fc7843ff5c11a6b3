"""A small disk that can be filled: a tmpfs in a mount namespace of its own, reached through /proc.

No mount of this machine changes, and it is gone with its process.
"""

import shutil
import subprocess
from pathlib import Path

import pytest


class Disk:
    """A small disk at `root`."""

    def __init__(self, shell, folder):
        self._shell = shell
        self._folder = folder
        self.root = Path(f"/proc/{shell.pid}/root{folder}")

    def do(self, options):
        """Mount or remount it; skip the test where that is not allowed."""
        self._shell.stdin.write(f"mount -t tmpfs -o {options} none '{self._folder}' 2>&1; echo $?\n")
        self._shell.stdin.flush()
        said = self._shell.stdout.readline().strip()
        if said != "0":
            pytest.skip(f"cannot mount a small disk here: {said}")

    def fill(self, leave):
        """Leave so many bytes free."""
        free = shutil.disk_usage(self.root).free
        (self.root / "filler").write_bytes(bytes(free - leave))

    def files(self):
        """Return when each file was changed, but for the lock: a full disk may keep that of an ended job."""
        files = [path for path in self.root.rglob("*") if path.is_file() and path.name != ".lock"]
        return {path.relative_to(self.root): path.stat().st_mtime_ns for path in files}


@pytest.fixture
def disk(tmp_path):
    """An empty disk of 64 MiB."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, of util-linux")
    (tmp_path / "disk").mkdir()
    # -r: also for users who may not mount, where the kernel lets them be root of a namespace.
    command = ["unshare", "--mount", "--map-root-user", "sh"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        disk = Disk(shell, tmp_path / "disk")
        disk.do("size=64m")
        yield disk
        shell.stdin.close()
