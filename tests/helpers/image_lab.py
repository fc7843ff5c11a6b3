"""The image of docker/Dockerfile without an engine: buildah builds it, and a chroot is its container.

The base is a Debian 12 that debootstrap makes. It gets this machine's certificates, pip.conf and ways of
apt, so that the Dockerfile needs to know of none. All files lie in one folder.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT

SUITE = "bookworm"
"""Debian 12, as in the Dockerfile."""

USER = 54321
"""A user id that the image does not know."""

TOOLS = ("buildah", "debootstrap", "unshare", "apt-get")
BASE, IMAGE = "localhost/base:bookworm", "localhost/polynya"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# As an engine does it: the root read-only, a fresh /tmp, the user's folder at /mnt, and a name of its own.
CONTAINER = """
set -e
root=$1 data=$2 user=$3
shift 3
hostname image
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$data" "$root/mnt"
mount --bind "$data/.hosts" "$root/etc/hosts"
[ -n "$NO_TMP" ] || mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
exec chroot --userspec="$user:$user" "$root" env -i "$@"
"""


def why_not():
    """Say why no image can be built here; nothing if one can."""
    if os.geteuid() != 0:
        return "an image is built by root here: it mounts and changes its root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"needs {', '.join(lacking)}, which `make setup` installs as root on Debian"
    return "" if mirror() else "apt knows no mirror of Debian 12 here"


def mirror():
    """Address of the first of apt's mirrors that has the base's Debian; nothing where none does."""
    fields = ["Codename: " + SUITE, "Component: main"]
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *fields]
    return next(iter(subprocess.run(targets, capture_output=True, text=True, check=True).stdout.split()), "")


class Builder:
    """buildah, with all its files in `folder`, which may take 12 GB."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tmp").mkdir()

    def __call__(self, *arguments, log=None):
        """Run it; return what it printed, with line ends cut off."""
        command = ["buildah", "--root", self.folder / "store", "--runroot", self.folder / "run", *arguments]
        environment = os.environ | {"TMPDIR": str(self.folder / "tmp")}
        done = subprocess.run(
            list(map(str, command)), env=environment, stdout=log or subprocess.PIPE,
            stderr=subprocess.STDOUT if log else subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            told = Path(log.name).read_text() if log else done.stderr
            pytest.fail(f"buildah {arguments[0]} ended with {done.returncode}:\n{told[-6000:]}")
        return (done.stdout or "").strip()

    def base(self):
        """Make the base."""
        container = self("from", "scratch")
        place = Path(self("mount", container))
        command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, place, mirror()]
        with (self.folder / "debootstrap.log").open("w") as log:
            subprocess.run(list(map(str, command)), stdout=log, stderr=log, check=True)
        settings = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
        ways = re.findall(r"^Acquire::(?:https?|Check-\w+|Retries).*$", settings, re.MULTILINE)
        (place / "etc/apt/apt.conf.d/99here").write_text("\n".join(ways) + "\n")
        for file in (CERTIFICATES, Path("/etc/pip.conf")):
            if file.is_file():
                shutil.copy(file, place / file.relative_to("/"))
        self("umount", container)
        self("commit", "--quiet", "--rm", container, BASE)

    def image(self, log, file="docker/Dockerfile", **arguments):
        """Build an image on the base, with the Horovod that `make setup` built if it fits its Python."""
        self._hand_over_wheels()
        given = [f"--build-arg={name}={text}" for name, text in ({"BASE": BASE} | arguments).items()]
        options = ["--isolation=chroot", "--pull-never", "--format=docker", *given]
        self("build", *options, "-f", ROOT / file, "-t", IMAGE, ROOT, log=log)

    def _hand_over_wheels(self):
        """Put wheels where buildah 1.28 keeps what the Dockerfile mounts as a cache; another compiles."""
        kept = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "polynya"
        if kept.is_dir():
            shutil.copytree(kept, self.folder / "tmp/buildah-cache/root/.cache/polynya")

    def unpacked(self):
        """Return the image in a folder, as a container that has not started."""
        config = json.loads(self("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        return Image(Path(self("mount", self("from", "--pull-never", IMAGE))), config)

    def remove(self):
        """Remove all that was made."""
        for what in (("umount", "--all"), ("rm", "--all"), ("rmi", "--all", "--force")):
            self(*what)
        shutil.rmtree(self.folder)


class Image(NamedTuple):
    """An image in a folder, and what it says of itself."""

    root: Path
    config: dict

    @property
    def size(self):
        """Bytes of all files."""
        told = subprocess.run(["du", "-sb", self.root], capture_output=True, text=True, check=True).stdout
        return int(told.split()[0])

    def run(self, data, *command, user=USER, entry=True, tmp=True, variables=()):
        """Run a command in a container with the folder `data` at /mnt, as the image says; return its end.

        `entry`: by its entry point; `tmp`: with a /tmp that can be written.
        """
        (data / ".hosts").write_text("127.0.0.1 localhost image\n")
        start = self.config["Entrypoint"] if entry else []
        inside = [f"--chdir={self.config['WorkingDir']}", *self.config["Env"], *variables, *start, *command]
        namespaces = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
        return subprocess.run(
            [*namespaces, "sh", "-c", CONTAINER, "sh", self.root, data, str(user), *map(str, inside)],
            env={"PATH": os.environ["PATH"], "NO_TMP": "" if tmp else "1"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800, check=False,
        )  # fmt: skip
