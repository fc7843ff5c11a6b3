"""Buckets of an S3-compatible server as paths, and the file system of fsspec that these stand on.

The file system is obstore's, with three things added: it is set up from the environment (labeling/s3.py), a
server that is down is given up within seconds, and what goes wrong is a StorageError that says what to check
(or, where nothing is, a FileNotFoundError).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import fsspec
import obstore
from fsspec.spec import AbstractBufferedFile
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.fsspec import FsspecStore
from upath.implementations.cloud import S3Path
from upath.registry import register_implementation

from labeling import s3
from labeling.errors import StorageError
from labeling.redact import without_secrets
from labeling.uri import shown

if TYPE_CHECKING:
    from obstore import ObjectMeta

_CLIENT: Final[dict[str, Any]] = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=120)}
_RETRY: Final[Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_CREDENTIALS: Final = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, with temporary ones, AWS_SESSION_TOKEN"


class ObjectStore(FsspecStore):
    """The buckets of one server; paths are "bucket/key". Raises StorageError and FileNotFoundError."""

    protocol = "s3"

    def __init__(self, **options: Any) -> None:
        url = s3.endpoint()
        config: Any = {"region": s3.region(), "skip_signature": s3.unsigned()}
        if url is not None:
            config["endpoint"] = url
        client: Any = {**_CLIENT, "allow_http": (url or "").startswith("http://")}
        super().__init__("s3", config=config, client_options=client, retry_config=_RETRY, **options)

    def below(self, path: str) -> list[ObjectMeta]:
        """Return what the server says of each object below a path, ordered by name."""
        bucket, key = self._split_path(path)
        with _told(path):
            pages = obstore.list(self._construct_store(bucket), prefix=key)
            return sorted((entry for page in pages for entry in page), key=itemgetter("path"))

    def remove_all(self, path: str) -> None:
        """Delete an object, or all objects below a path; nothing happens where there are none."""
        bucket, key = self._split_path(path)
        names = [entry["path"] for entry in self.below(path)]
        with suppress(FileNotFoundError), _told(path):  # of what is not there; AWS says nothing then
            obstore.delete(self._construct_store(bucket), names or key)

    def _construct_store(self, bucket: str) -> Any:
        if not s3.has_credentials():
            raise StorageError(
                errno.EACCES,
                f"the environment holds no credentials; set {_CREDENTIALS}; for a public bucket "
                "AWS_NO_SIGN_REQUEST=YES. Profiles of ~/.aws are not read: "
                'eval "$(aws configure export-credentials --format env)"',
                f"s3://{bucket}",
            )
        return super()._construct_store(bucket)

    def write_if(self, path: str, content: bytes, etag: str | None) -> bool:
        """Write an object if its state is still `etag`, None: if there is none; return whether it was."""
        bucket, key = self._split_path(path)
        with _told(path):
            try:
                mode: Any = "create" if etag is None else {"e_tag": etag}
                obstore.put(self._construct_store(bucket), key, content, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def _open(  # type: ignore[override]  # obstore's reader tells errors its own way
        self, path: str, mode: str = "rb", block_size: Any = None, **options: Any
    ) -> AbstractBufferedFile:
        if mode != "rb":
            raise ValueError("an object appears whole: write a file of this machine and upload that")
        return _Reader(self, path, mode, block_size or "default", **options)

    async def _info(self, path: str, **options: Any) -> dict[str, Any]:
        with _told(path):
            if self._split_path(path)[1]:
                return dict(await super()._info(path, **options))
            await super()._ls(path)  # a bucket is no object that could be asked for
            return {"name": path, "type": "directory", "size": 0}

    async def _isfile(self, path: str) -> bool:
        return await self._kind(path) == "file"

    async def _isdir(self, path: str) -> bool:
        return await self._kind(path) == "directory"

    async def _kind(self, path: str) -> str | None:
        # fsspec's own answer no to everything where the server is down.
        try:
            return str((await self._info(path))["type"])
        except FileNotFoundError:
            return None

    async def _ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        with _told(path):
            found: Any = super()._ls
            return await found(path, detail=detail, **options)

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **options: Any
    ) -> bytes:
        with _told(path):
            return bytes(await super()._cat_file(path, start, end, **options))

    async def _pipe_file(self, path: str, value: Any, mode: str = "overwrite", **options: Any) -> Any:
        with _told(path):
            return await super()._pipe_file(path, value, mode, **options)

    async def _put_file(self, lpath: str, rpath: str, mode: str = "overwrite", **options: Any) -> None:
        with _told(rpath):
            await super()._put_file(lpath, rpath, mode, **options)

    async def _rm_file(self, path: str, **options: Any) -> None:
        with _told(path):
            await super()._rm_file(path, **options)


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


class _Reader(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """An open object; what is read is fetched in pieces."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(self.fs.cat_file(self.path, start, end))


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn errors of the client, which quote whole requests and answers, into ours with the way out."""
    place = f"s3://{path.removeprefix('s3://')}"
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT, "there is no such bucket or object; check the address", place
        ) from None
    except BaseError as error:
        raise _explained(str(error), place) from None


def _explained(text: str, place: str) -> StorageError | FileNotFoundError:
    status = re.search(r"status code: (\d{3} [A-Z][A-Za-z ]*)", text)
    code = re.search(r"<Code>(\w+)</Code>", text)
    if status is None:
        server = shown(s3.endpoint() or "AWS")
        reason = without_secrets(text.partition("\n")[0].rpartition(" - ")[2])
        return StorageError(
            errno.EIO, f"{server} does not answer ({reason}); check AWS_ENDPOINT_URL, and that it runs", place
        )
    answer = ", ".join(found[1].strip() for found in (status, code) if found)
    if answer.startswith(("401", "403")):
        return StorageError(
            errno.EACCES, f"the server refuses ({answer}); check {_CREDENTIALS}, and what they allow", place
        )
    if answer.startswith("404"):
        return FileNotFoundError(
            errno.ENOENT, f"there is no such bucket or object ({answer}); check the address", place
        )
    return StorageError(errno.EIO, f"the server answers {answer}; run again later", place)


fsspec.register_implementation("s3", ObjectStore, clobber=True)
register_implementation("s3", BucketPath, clobber=True)
