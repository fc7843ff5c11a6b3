"""What Horovod is built with for GPUs: a CUDA toolkit of this machine, and the NCCL that TensorFlow brings.

    python docker/gpu_build.py check                  is there a toolkit? asked before gigabytes are fetched
    python docker/gpu_build.py variables SITE FOLDER  what the build is told, as a shell reads it

Run by docker/setup.sh. SITE is the site-packages that hold NCCL; FOLDER gets the names that a linker looks
for. Needs nothing but Python. Exit code 2, with one sentence, where something is missing.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Final, NamedTuple

FITTING: Final = 12
"""CUDA's major version that TensorFlow 2.18 is built with."""

ARCHITECTURES: Final = ("70", "80", "90")
"""Compute capabilities of V100, A100 and H100."""

CHOSEN: Final = "HOROVOD_BUILD_CUDA_CC_LIST"
"""Variable that names others."""


class MissingError(Exception):
    """Something that the build needs is not there; the message says the way out."""


class Toolkit(NamedTuple):
    """A CUDA toolkit."""

    home: Path
    version: tuple[int, int]
    """As in (12, 4)."""

    @property
    def nvcc(self) -> Path:
        """Its compiler."""
        return self.home / "bin/nvcc"


def find_toolkit(variables: Mapping[str, str], root: Path = Path("/")) -> Toolkit:
    """Return the toolkit that CUDA_HOME names, else the best on PATH and in /usr/local below `root`.

    The best is of CUDA 12; of those it is the one on PATH, then the newest. MissingError: there is none.
    """
    named = variables.get("CUDA_HOME")
    if named:
        toolkit = _toolkit(Path(named))
        if toolkit is None:
            raise MissingError(
                f"CUDA_HOME is {named}, which holds no bin/nvcc that runs, or no include/cuda_runtime.h; "
                "name the folder of a CUDA toolkit, or unset CUDA_HOME and one is looked for"
            )
        return toolkit
    nvcc = shutil.which("nvcc", path=variables.get("PATH", ""))
    on_path = [Path(nvcc).resolve().parent.parent] if nvcc else []
    installed = {path.resolve() for path in root.glob("usr/local/cuda*")}
    newest = sorted(filter(None, map(_toolkit, installed)), key=lambda each: each.version, reverse=True)
    found = [*filter(None, map(_toolkit, on_path)), *newest]
    if not found:
        raise MissingError(
            "no CUDA toolkit with nvcc in CUDA_HOME, on PATH or in /usr/local/cuda*, which it takes to build "
            "Horovod for GPUs: install or load one (12.4 and later of CUDA 12 fit best; no driver is needed) "
            "or set CUDA_HOME=/path/to/it; `make setup` without GPU=1 needs none"
        )
    return next((each for each in found if each.version[0] == FITTING), found[0])


def _toolkit(home: Path) -> Toolkit | None:
    if not (home / "include/cuda_runtime.h").is_file():
        return None
    version = re.search(r"release (\d+)\.(\d+)", _output(home / "bin/nvcc", "--version"))
    return Toolkit(home, (int(version[1]), int(version[2]))) if version else None


def _output(*command: str | Path) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def architectures(toolkit: Toolkit, variables: Mapping[str, str]) -> str:
    """Return for which GPUs code is made: the variable's, or those of ours that this nvcc knows.

    Newer GPUs take what was made for the newest of them. nvcc 13 does not know V100 any more.
    """
    known = _output(toolkit.nvcc, "--list-gpu-arch").split()
    chosen = variables.get(CHOSEN) or ",".join(each for each in ARCHITECTURES if f"compute_{each}" in known)
    if not chosen:
        raise MissingError(
            f"{toolkit.nvcc} makes code for none of the compute capabilities {', '.join(ARCHITECTURES)}; "
            f"take another toolkit (CUDA_HOME), or say for which in {CHOSEN}, as in 75,86"
        )
    return chosen


def linkable_nccl(site: Path, folder: Path) -> str:
    """Make `folder` a place with NCCL's include/ and lib/libnccl.so, and return NCCL's version.

    The package lacks that name: it has libnccl.so.2, which is what programs load.
    """
    package = site / "nvidia/nccl"
    library = package / "lib/libnccl.so.2"
    version = {each.name: each.version for each in distributions(path=[str(site)])}.get("nvidia-nccl-cu12")
    if version is None or not library.is_file():
        raise MissingError(f"no package nvidia-nccl-cu12 in {site}; make setup GPU=1 installs it")
    (folder / "lib").mkdir(parents=True, exist_ok=True)
    for link, target in ((folder / "lib/libnccl.so", library), (folder / "include", package / "include")):
        link.unlink(missing_ok=True)
        link.symlink_to(target.resolve())
    return version


def build_variables(
    variables: Mapping[str, str], site: Path, folder: Path, root: Path = Path("/")
) -> dict[str, str]:
    """Return what the environment of the build gets, and BUILT_WITH, a name for all that decides it."""
    toolkit = find_toolkit(variables, root)
    chosen = architectures(toolkit, variables)
    cuda = ".".join(map(str, toolkit.version))
    return {
        "BUILT_WITH": f"nccl-{linkable_nccl(site, folder)}-cuda-{cuda}-sm-{chosen.replace(',', '.')}",
        "HOROVOD_GPU_OPERATIONS": "NCCL",
        "HOROVOD_CUDA_HOME": str(toolkit.home),
        "HOROVOD_NCCL_HOME": str(folder),
        "HOROVOD_NCCL_LINK": "SHARED",
        CHOSEN: chosen,
        # From horovod/tensorflow/ to the NCCL of the same environment, wherever that lies.
        "LDFLAGS": "-Wl,-rpath,$ORIGIN/../../nvidia/nccl/lib",
        # Whatever it is told, Horovod asks the nvcc on PATH for its version.
        "PATH": f"{toolkit.home}/bin:{variables.get('PATH', '')}",
    }


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code."""
    try:
        if arguments[0] == "check":
            toolkit = find_toolkit(os.environ)
            print(f"building Horovod with CUDA {'.'.join(map(str, toolkit.version))} in {toolkit.home}")
            if toolkit.version[0] != FITTING:
                print(
                    f"that is not CUDA {FITTING}, which TensorFlow is built with: it compiles, but was never "
                    "tried on a GPU; CUDA_HOME=/path/to/a/toolkit chooses another"
                )
        else:
            for name, text in build_variables(os.environ, *map(Path, arguments[1:3])).items():
                print(f"export {name}={shlex.quote(text)}")
    except MissingError as error:
        print(f"setup: {error}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
