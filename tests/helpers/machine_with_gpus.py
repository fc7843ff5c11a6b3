"""A machine whose /dev has GPUs that no driver answers for, as after an update that waits for a restart."""

import os
import shutil
import subprocess

import pytest

NVIDIA = 195
"""Number of its devices, Documentation/admin-guide/devices.txt of Linux."""

SCRIPT = """set -e
folder=$1 count=$2
shift 2
mount -t tmpfs none "$folder"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty "$folder"
mkdir "$folder/shm"
ln -s /proc/self/fd "$folder/fd"
for number in $(seq 0 $((count - 1))); do mknod -m 666 "$folder/nvidia$number" c NUMBER "$number"; done
mount --bind "$folder" /dev
exec "$@"
""".replace("NUMBER", str(NVIDIA))


def on_machine_with_gpus(folder, count, command, **options):
    """Run a command where /dev has so many GPUs, and nothing else is another; skips where that cannot be.

    `folder` is empty, and the new /dev.
    """
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can give a process another /dev (with unshare of util-linux)")
    inside = ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", folder, count]
    done = subprocess.run(
        list(map(str, [*inside, *command])),
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        **options,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr or "mknod" in done.stderr:
        pytest.skip(f"this machine gives no process another /dev: {done.stderr}")
    return done
