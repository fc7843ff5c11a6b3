"""Buckets of an S3-compatible server as a file system for fsspec; obstore is the client.

It is set up from the environment (s3.py), a server that is down is given up within seconds, and what
goes wrong is a StorageError that says what to check (or, where nothing is, a FileNotFoundError).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import fsspec
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from labeling.errors import StorageError
from labeling.files import s3
from labeling.files.redact import without_secrets
from labeling.files.uri import shown

if TYPE_CHECKING:
    from obstore import ObjectMeta

_CLIENT: Final[dict[str, Any]] = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=120)}
_RETRY: Final[Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}
_CREDENTIALS: Final = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, with temporary ones, AWS_SESSION_TOKEN"


class ObjectStore(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The buckets of one server; paths are "bucket/key". Raises StorageError and FileNotFoundError.

    The client is called in the caller's thread. Its asynchronous half, on which obstore's own file system for
    fsspec stands, ends the process with SIGABRT now and then: a thread of it wants Python back while the
    interpreter shuts down.
    """

    protocol = "s3"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._buckets: dict[str, S3Store] = {}

    def below(self, path: str) -> list[ObjectMeta]:
        """Return what the server says of each object below a path, ordered by name."""
        store, key = self._locate(path)
        with _told(path):
            pages = store.list(prefix=key)
            return sorted((entry for page in pages for entry in page), key=itemgetter("path"))

    def remove_all(self, path: str) -> None:
        """Delete an object, or all objects below a path; nothing happens where there are none."""
        store, key = self._locate(path)
        names = [entry["path"] for entry in self.below(path)]
        with suppress(FileNotFoundError), _told(path):  # of what is not there; AWS says nothing then
            if not names:
                store.head(key)  # asked first: some servers keep empty folders, and refuse to delete those
            store.delete(names or key)

    def write_if(self, path: str, content: bytes, etag: str | None) -> bool:
        """Write an object if its state is still `etag`, None: if there is none; return whether it was."""
        store, key = self._locate(path)
        with _told(path):
            try:
                mode: Any = "create" if etag is None else {"e_tag": etag}
                store.put(key, content, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    # What fsspec asks of a file system

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size and type of an object or of what is above some; its state as e_tag."""
        path = self._strip_protocol(path)
        store, key = self._locate(path)
        with suppress(FileNotFoundError), _told(path):
            if key:
                return _described(path, store.head(key))
        if self.ls(path, detail=True) or not key:
            return {"name": path, "type": "directory", "size": 0}
        raise FileNotFoundError(
            errno.ENOENT, "there is no such bucket or object; check the address", f"s3://{path}"
        )

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return what lies directly below a path, names or descriptions; a path without a key is a bucket."""
        store, key = self._locate(path)
        bucket = self._strip_protocol(path).partition("/")[0]
        with _told(path):
            listed = store.list_with_delimiter(key)
        found = [_described(f"{bucket}/{entry['path']}", entry) for entry in listed["objects"]]
        found += [
            {"name": f"{bucket}/{prefix}", "type": "directory", "size": 0}
            for prefix in listed["common_prefixes"]
        ]
        return found if detail else sorted(entry["name"] for entry in found)

    def exists(self, path: str, **_: Any) -> bool:
        """Tell whether there is such an object, or one below."""
        return self._kind(path) is not None

    def isfile(self, path: str) -> bool:
        """Tell whether there is such an object."""
        return self._kind(path) == "file"

    def isdir(self, path: str) -> bool:
        """Tell whether there are objects below."""
        return self._kind(path) == "directory"

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return an object's bytes, all or from `start` to before `end`."""
        store, key = self._locate(path)
        with _told(path):
            if start is None or end is None:
                return bytes(store.get(key).bytes())[start:end]
            return bytes(store.get_range(key, start=start, end=end))

    def pipe_file(self, path: str, value: Any, **_: Any) -> None:
        """Write an object from memory."""
        store, key = self._locate(path)
        with _told(path):
            store.put(key, value)

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        """Write an object from a file of this machine."""
        store, key = self._locate(rpath)
        with _told(rpath):
            store.put(key, Path(lpath))

    def rm_file(self, path: str) -> None:
        """Delete an object."""
        store, key = self._locate(path)
        with _told(path):
            store.delete(key)

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **options: Any) -> _Reader:
        if mode != "rb":
            raise ValueError("an object appears whole: write a file of this machine and upload that")
        return _Reader(self, path, mode, block_size or "default", **options)

    def _kind(self, path: str) -> str | None:
        # fsspec's own answer no to everything where the server is down.
        try:
            return str(self.info(path)["type"])
        except FileNotFoundError:
            return None

    def _locate(self, path: str) -> tuple[S3Store, str]:
        bucket, _, key = self._strip_protocol(path).partition("/")
        if bucket not in self._buckets:
            self._buckets[bucket] = _connect(bucket)
        return self._buckets[bucket], key


def _connect(bucket: str) -> S3Store:
    if not s3.has_credentials():
        raise StorageError(
            errno.EACCES,
            f"the environment holds no credentials; set {_CREDENTIALS}; for a public bucket "
            "AWS_NO_SIGN_REQUEST=YES. Profiles of ~/.aws are not read: "
            'eval "$(aws configure export-credentials --format env)"',
            f"s3://{bucket}",
        )
    url = s3.endpoint()
    config: Any = {"region": s3.region(), "skip_signature": s3.unsigned()}
    if url is not None:
        config["endpoint"] = url
    client: Any = {**_CLIENT, "allow_http": (url or "").startswith("http://")}
    return S3Store(bucket, config=config, client_options=client, retry_config=_RETRY)


def _described(path: str, entry: ObjectMeta) -> dict[str, Any]:
    return {
        "name": path,
        "type": "file",
        "size": entry["size"],
        "e_tag": entry["e_tag"],
        "last_modified": entry["last_modified"],
    }


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
    # Deletions of many objects say what went wrong in an answer of status 200.
    code = re.search(r"<Code>(\w+)</Code>", text) or re.search(r"\(code: (\w+)\)", text)
    if status is None and code is None:
        server = shown(s3.endpoint() or "AWS")
        reason = without_secrets(text.partition("\n")[0].rpartition(" - ")[2])
        return StorageError(
            errno.EIO, f"{server} does not answer ({reason}); check AWS_ENDPOINT_URL, and that it runs", place
        )
    answer = ", ".join(found[1].strip() for found in (status, code) if found)
    if answer.startswith(("401", "403", "AccessDenied")):
        return StorageError(
            errno.EACCES, f"the server refuses ({answer}); check {_CREDENTIALS}, and what they allow", place
        )
    if answer.startswith("404"):
        return FileNotFoundError(
            errno.ENOENT, f"there is no such bucket or object ({answer}); check the address", place
        )
    return StorageError(errno.EIO, f"the server answers {answer}; run again later", place)


fsspec.register_implementation("s3", ObjectStore, clobber=True)
