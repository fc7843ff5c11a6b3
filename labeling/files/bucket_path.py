"""Paths in buckets of an S3-compatible server, with what paths of this machine have no need for."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from upath.implementations.cloud import S3Path
from upath.registry import register_implementation

import labeling.files.object_store  # noqa: F401 - registers the file system that these paths stand on


class BucketPath(S3Path):
    """An object s3://bucket/key, or all that are below it. It carries no credentials to other processes."""

    def upload(self, file: Path) -> None:
        """Put a file of this machine here; it appears whole, or not at all."""
        self.fs.put_file(str(file), self.path)

    def write_bytes(self, data: bytes | memoryview) -> int:
        """Write the object; it appears whole, or not at all."""
        content = memoryview(data).cast("B")
        self.fs.pipe_file(self.path, content)
        return len(content)

    def check_writable(self) -> None:
        """Raise OSError when nothing can be written below."""
        probe = self / f".{uuid4().hex}"
        probe.write_bytes(b"")
        probe.unlink()

    def remove_all(self) -> None:
        """Delete the object, or all that are below; nothing happens where there are none."""
        self.fs.remove_all(self.path)

    def read_range(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on, less where the object ends before."""
        return bytes(self.fs.cat_file(self.path, start, start + count))

    def etag(self) -> str | None:
        """Return what the server calls this state of the object."""
        found: str | None = self.fs.info(self.path)["e_tag"]
        return found

    def state(self) -> tuple[int, str | None]:
        """Return the bytes of the object, or of all below, and what tells this state from another."""
        found = self.fs.info(self.path)
        if found["type"] == "file":
            return found["size"], found["e_tag"]
        objects = self.fs.below(self.path)
        marks = "\n".join(f"{entry['path']} {entry['e_tag']}" for entry in objects)
        return sum(entry["size"] for entry in objects), sha256(marks.encode()).hexdigest()

    def files_below(self) -> list[str]:
        """Return the names of all objects below, relative to this."""
        key = self.path.partition("/")[2]
        return [entry["path"].removeprefix(f"{key}/") for entry in self.fs.below(self.path)]

    def write_if(self, content: bytes, etag: str | None) -> bool:
        """Write the object if its state is still `etag`, None: if there is none; return whether it was."""
        return bool(self.fs.write_if(self.path, content, etag))


register_implementation("s3", BucketPath, clobber=True)
