"""A web server on 127.0.0.1 for tests: files with ranges, as object stores serve them, counted and sabotaged.

with FileServer(folder) as server:
    server.fail("B04.tif", 503, times=1)
    read(server.url("item.json"))
    assert server.sent("B04.tif") < 10_000
"""

import re
import threading
from collections import Counter
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class FileServer(ThreadingHTTPServer):
    """Serves files with ranges while the block runs, as object stores do. Names are paths in `folder`."""

    daemon_threads = True

    def __init__(self, folder: Path, *, ranges=True, etags=True, address="127.0.0.1"):
        super().__init__((address, 0), _Handler)
        self.folder, self.ranges, self.etags = folder, ranges, etags
        self.asked: list[tuple[str, str, str | None]] = []
        """(method, path with its query, Range) of every request, in order."""
        self.closing = threading.Event()
        self._sent: Counter[str] = Counter()
        self._failures: dict[str, tuple[int, float]] = {}
        self._limits: dict[str, int] = {}
        self._redirects: dict[str, tuple[str, int]] = {}

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Say nothing: clients that give up are part of the tests."""

    @property
    def host(self):
        return f"{self.server_address[0]}:{self.server_port}"

    def url(self, name):
        return f"http://{self.host}/{name}"

    def sent(self, name):
        """Return how many bytes of a file were sent."""
        return self._sent[name]

    def requests(self, name):
        """Return how often a file was asked for."""
        return sum(unquote(urlsplit(path).path) == f"/{name}" for _, path, _ in self.asked)

    def fail(self, name, code, times=float("inf")):
        """Answer the next requests for a file with an error."""
        self._failures[name] = code, times

    def redirect(self, name, url, after=0):
        """Send who asks for a file on to a URL, once it was asked for so often."""
        self._redirects[name] = url, after + self.requests(name)

    def target(self, name):
        """Return where this request for a file is sent on to, or None."""
        url, after = self._redirects.get(name, (None, 0))
        return url if self.requests(name) > after else None

    def stall(self, name, after=0):
        """Send no more than `after` bytes of each answer about a file, and then nothing."""
        self._limits[name] = after

    def failure(self, name):
        code, times = self._failures.get(name, (None, 0))
        self._failures[name] = code, times - 1
        return code if times > 0 else None

    def count(self, name, content):
        """Return what is sent of an answer."""
        part = content[: self._limits.get(name, len(content))]
        self._sent[name] += len(part)
        return part


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def log_message(self, *_):
        """Be quiet."""

    def do_HEAD(self):
        self._answer(send=False)

    def do_GET(self):
        self._answer(send=True)

    def _answer(self, *, send):
        name = unquote(urlsplit(self.path).path).removeprefix("/")
        self.server.asked.append((self.command, self.path, self.headers["Range"]))
        file = self.server.folder / name
        if target := self.server.target(name):
            self._head(302, 0, {"Location": target})
            return
        code = self.server.failure(name) or (None if file.is_file() else 404)
        if code is not None:
            self._head(code, 0, {})
            return
        content = file.read_bytes()
        start, end = self._range(len(content))
        headers = {"Accept-Ranges": "bytes"} if self.server.ranges else {}
        if self.server.etags:
            changed = file.stat().st_mtime_ns
            headers |= {"ETag": f'"{changed:x}"', "Last-Modified": formatdate(changed / 1e9, usegmt=True)}
        part = content[start:end]
        if len(part) < len(content):
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        self._head(206 if len(part) < len(content) else 200, len(part), headers)
        if send:
            self._send(name, part)

    def _range(self, size):
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        if asked is None or not self.server.ranges:
            return 0, size
        return int(asked[1]), min(int(asked[2] or size) + 1, size)

    def _head(self, code, length, headers):
        self.send_response(code)
        for key, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(key, value)
        self.end_headers()

    def _send(self, name, content):
        part = self.server.count(name, content)
        with suppress(ConnectionError):
            self.wfile.write(part)
            self.wfile.flush()
            if len(part) < len(content):
                self.server.closing.wait()
                self.close_connection = True
