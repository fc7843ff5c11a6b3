"""Where everything lies in a run folder, and the marks that say a scene is finished.

RUN/
  catalog.parquet                 one row a scene
  labels/<scene_id>/labels.tif    classes (also status.tif, shadow.tif, clouds.tif, quicklook.png, item.json,
                                  done.json; names and colours of codes in *.tif.aux.xml and *.qml)
  chips/                          see labeling/chips/card.py
  model/                          see training/folder/card.py
  maps/<scene_id>/classes.tif     classes from the model or labels (also status.tif, quicklook.png, item.json,
                                  done.json, and names as above)
  products/<product>/             what maps say together: mosaic, concentration, statistics, … and done.json
  products/parts/<product>/       what each is made of, by scene or block, so that a rerun makes what changed
  failures.jsonl                  scene, step, reason of whatever could not be done
  jobs/<job>.json                 what ran: configuration, versions, seconds
  evaluation.json                 agreement and accuracy
  report/index.html               all of it, for a person (scenes.csv: all scenes, where they are too many)
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, NamedTuple

import labeling
from labeling.errors import ConfigError, SceneError, StorageError
from labeling.files.atomic import PARTS, remove, replacing, write_json
from labeling.files.marks import FileMark, is_done_mark, is_intact, mark_of
from labeling.files.redact import without_secrets
from labeling.files.storage import AnyPath
from labeling.scene_id import is_scene_id
from labeling.text import encodable

LABELS: Final = "labels.tif"
"""Name of the class raster in the folder of a scene's labels."""

CLASSES: Final = "classes.tif"
"""Name of the class raster in the folder of a scene's map."""

STATUS: Final = "status.tif"
"""Name of the raster beside either that says why a pixel has a class or none (labeling/status.py)."""

FAILURE_KEYS: Final = ("job", "scene", "step", "reason")
"""What a line of failures.jsonl says."""

DONE: Final = "done.json"
"""Name of the mark in a finished folder."""


_ANEW: Final = "Delete catalog.parquet, and run jobs.label again: ids are made anew."


class Run(NamedTuple):
    """Paths of a run folder."""

    root: AnyPath

    @property
    def catalog(self) -> AnyPath:
        """The catalogue of scenes."""
        return self.root / "catalog.parquet"

    @property
    def chips(self) -> AnyPath:
        """The chips folder."""
        return self.root / "chips"

    @property
    def model(self) -> AnyPath:
        """The model folder."""
        return self.root / "model"

    @property
    def failures(self) -> AnyPath:
        """One JSON line for each scene that a step could not do."""
        return self.root / "failures.jsonl"

    @property
    def evaluation(self) -> AnyPath:
        """The figures of `jobs.evaluate`."""
        return self.root / "evaluation.json"

    @property
    def report(self) -> AnyPath:
        """The page a person opens."""
        return self.root / "report" / "index.html"

    @property
    def report_table(self) -> AnyPath:
        """All its scenes, where these are more than a page shows."""
        return self.root / "report" / "scenes.csv"

    @property
    def scratch(self) -> AnyPath:
        """Blocks between map and reduce; every worker must see it, as it must see the outputs."""
        return self.root / ".scratch"

    def labels(self, scene_id: str) -> AnyPath:
        """Folder of a scene's labels; SceneError for an id that is none."""
        return scene_folder(self.root / "labels", scene_id)

    def maps(self, scene_id: str) -> AnyPath:
        """Folder of a scene's map; SceneError for an id that is none."""
        return scene_folder(self.root / "maps", scene_id)

    @property
    def products(self) -> AnyPath:
        """The folder of what `jobs.products` makes."""
        return self.root / "products"

    def product(self, name: str) -> AnyPath:
        """Folder of a product."""
        return self.products / name

    def product_parts(self, name: str) -> AnyPath:
        """Folder of a product's parts, a folder each."""
        return self.products / "parts" / name

    def job(self, name: str) -> AnyPath:
        """Record of the last run of a job."""
        return self.root / "jobs" / f"{name}.json"


ROOMS: Final = ("labels", "maps", "chips", "products", "jobs", "report", ".scratch")
"""Folders of a run that jobs write to."""


def scene_folder(folder: AnyPath, scene_id: str) -> AnyPath:
    """Return the folder of a scene in one of the run's, to read from; SceneError for an id that is none.

    Such a name could lead anywhere.
    """
    if not is_scene_id(scene_id):
        raise SceneError(f"{scene_id!r} is no scene's id, so it has no folder in {folder}. {_ANEW}")
    return folder / scene_id


def own_folder(folder: AnyPath, scene_id: str) -> AnyPath:
    """Return the folder of a scene, to write to; SceneError where it is a link.

    What is written for a scene, and deleted before it is written anew, belongs to that scene alone.
    """
    found = scene_folder(folder, scene_id)
    if isinstance(found, Path) and found.is_symlink():
        raise SceneError(
            f"{found} is a link to {os.path.realpath(found)}, and results are written into the run's own "
            "folders alone. Remove the link, or put what it leads to in its place, and run again."
        )
    return found


def make_run(root: AnyPath) -> Run:
    """Create the run folder, or raise ConfigError when nothing can be written there, or a link leads out."""
    make_folder(root, "run", ROOMS)
    return Run(root.absolute())


def make_folder(root: AnyPath, what: str, rooms: Iterable[str]) -> None:
    """Create a folder of a run or a site, as `what` says, to write to.

    ConfigError when nothing can be written there, or one of its `rooms` is a link: it would lead writing and
    deleting elsewhere.
    """
    try:
        if isinstance(root, Path):
            root.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=root, buffering=0) as probe:
                probe.write(bytes(4096))  # a full disk may still have room for a name
        else:
            root.check_writable()
    except OSError as error:
        raise ConfigError(
            f"cannot write to the {what} folder {root}: {error.strerror}. Make room there, or choose another "
            "with --out."
        ) from None
    for path in [root / room for room in rooms] if isinstance(root, Path) else []:
        if path.is_symlink():
            raise ConfigError(
                f"{path} is a link to {os.path.realpath(path)}, and a job writes below its "
                f"{what} folder alone. Remove the link; where the disk is small, put the whole {what} "
                "elsewhere: --out."
            )


def run_of(chips: Path) -> Run | None:
    """Return the run folder that a chips folder is part of, None when it lies by itself."""
    run = Run(chips.absolute().parent)
    return run if run.chips == chips.absolute() and run.catalog.is_file() else None


def remove_leftovers(run: Run, folder: AnyPath, scratch: AnyPath) -> None:
    """Remove what killed jobs and tasks left of a job that writes `folder`: half files, and all its scratch.

    Half files are looked for there and beside the run's own files; in a bucket there are none. No other job
    may be working in the run.
    """
    if isinstance(run.root, Path):
        for path in [*run.root.glob(PARTS), *(run.root / "jobs").glob(PARTS), *folder.rglob(PARTS)]:
            remove(path)
    remove(scratch)


def is_done(folder: AnyPath, inputs: dict[str, Any], files: Iterable[str]) -> bool:
    """Tell whether `files` in a folder were finished from exactly these inputs, and are still what they were.

    Sizes are always compared; content where a file was touched after the mark was written. A mark of an older
    version, which says neither, is no mark of a finished folder.
    """
    return finished_mark(folder, inputs, files) is not None


def finished_mark(
    folder: AnyPath, inputs: dict[str, Any], files: Iterable[str] | None = None
) -> dict[str, Any] | None:
    """Return the mark of a folder of which `is_done` holds, else None; no `files` are all that it names."""
    done = read_done(folder)
    if done is None or not _names(done, inputs):
        return None
    outputs, wanted = done.get("outputs", {}), done["files"] if files is None else files
    return done if _are_intact(folder, outputs, wanted) else None


def _are_intact(folder: AnyPath, outputs: dict[str, FileMark], files: Iterable[str]) -> bool:
    if not isinstance(folder, Path):
        return all(name in outputs and is_intact(folder / name, outputs[name]) for name in files)
    # As text: to make paths takes longer than to look at the files, of which there may be a million.
    place, since = str(folder), (folder / DONE).stat().st_ctime_ns
    return all(name in outputs and is_intact(f"{place}/{name}", outputs[name], since=since) for name in files)


def has_inputs(folder: AnyPath, inputs: dict[str, Any]) -> bool:
    """Tell whether a folder's completion mark names exactly these inputs."""
    done = read_done(folder)
    return done is not None and _names(done, inputs)


def _names(done: dict[str, Any], inputs: dict[str, Any]) -> bool:
    # What JSON has made of them already need not be made again.
    return bool(done["inputs"] == inputs or done["inputs"] == json.loads(json.dumps(inputs)))


def finished_file(folder: AnyPath, name: str) -> AnyPath:
    """Return a finished file that is about to be read; SceneError unless its content is what was written."""
    mark = ((read_done(folder) or {}).get("outputs") or {}).get(name)
    if mark is None or is_intact(folder / name, mark):
        return folder / name
    raise SceneError(
        f"{folder / name} is not the file that was finished there: its size or content differs from what "
        f"{DONE} beside it says. Run the job that made it again; it makes the file anew."
    )


def read_done(folder: AnyPath) -> dict[str, Any] | None:
    """Return the completion mark of a scene's folder, None when it is not finished, or the mark is none."""
    try:
        done = json.loads((folder / DONE).read_text(encoding="utf-8"))
    except StorageError:  # a server that is down is no reason to do all of it again
        raise
    except (OSError, ValueError, RecursionError):
        return None
    return done if is_done_mark(done) else None


def write_done(folder: AnyPath, inputs: dict[str, Any], files: list[str], **facts: Any) -> None:
    """Mark a scene's folder as finished, its `files` with size and digest; write this last."""
    outputs = {name: mark_of(folder / name) for name in files if (folder / name).is_file()}
    write_mark(folder, inputs, files, outputs, facts)


def write_mark(
    folder: AnyPath,
    inputs: dict[str, Any],
    files: list[str],
    outputs: Mapping[str, FileMark],
    facts: Mapping[str, Any],
) -> None:
    """Mark a folder as finished whose files' marks are known, from who wrote them, without reading any."""
    content = {"inputs": inputs, "files": files, "outputs": outputs, "versions": versions(), **facts}
    write_json(folder / DONE, content)


def record_failures(run: Run, job: str, failures: list[dict[str, str]]) -> None:
    """Replace this job's lines in failures.jsonl; the file is absent when nothing failed."""
    kept = [line for line in read_failures(run) if line["job"] != job]
    told = [
        {name: encodable(without_secrets(value)) for name, value in failure.items()} for failure in failures
    ]
    lines = kept + [{"job": job, **failure} for failure in told]
    if not lines:
        run.failures.unlink(missing_ok=True)
        return
    with replacing(run.failures) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read_failures(run: Run) -> list[dict[str, str]]:
    """Return the recorded failures of all jobs; lines that are no such record are left out."""
    if not run.failures.is_file():
        return []
    found = []
    for line in run.failures.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            failure = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(failure, dict):
            told = {key: failure.get(key, "") for key in FAILURE_KEYS}
            if told["job"] and all(isinstance(value, str) for value in told.values()):
                found.append(told)
    return found


def record_job(run: Run, job: str, started: float, config: dict[str, Any], summary: dict[str, Any]) -> None:
    """Write what a job did: `started` in seconds since the epoch, its whole configuration and a summary."""
    content = {
        "job": job,
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 2),
        "config": config,
        "summary": summary,
        "versions": versions(),
    }
    write_json(run.job(job), content)


@cache
def versions() -> dict[str, str]:
    """Return the versions that can change a result."""
    found = {"polynya": labeling.__version__, "python": platform.python_version()}
    for package in ("numpy", "opencv-python-headless", "rasterio", "pyspark"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
