"""A web server on loopback, in a process of its own: files with ranges, and answers sent as they lie there.

python -m benchmarks.fuzzing.server FOLDER      serves until killed, and prints its port
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ANSWER: Final = ".http"
"""Ending of a file, after the name that is asked for, with a whole answer: head and body."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder while the block runs; yield the server's URL."""
    # Not a thread: GDAL holds Python's lock during some requests, and the process that asks is forked.
    command = [sys.executable, "-m", __name__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def _answer(self, *, send: bool) -> None:
        file = self._asked()
        with suppress(OSError):
            if file is not None and (raw := file.with_name(file.name + ANSWER)).is_file():
                self.close_connection = True
                self.wfile.write(raw.read_bytes())
            elif file is not None and file.is_file():
                self._send(file.read_bytes(), send=send)
            else:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

    def _asked(self) -> Path | None:
        """Return the file in the folder that is asked for; None where no file can be called so."""
        with suppress(ValueError, OSError):
            file = (self.folder / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
            return file if file.is_relative_to(self.folder) else None
        return None

    def _send(self, content: bytes, *, send: bool) -> None:
        asked = re.fullmatch(r"bytes=(\d{1,15})-(\d{0,15})", self.headers["Range"] or "")
        start, end = (int(asked[1]), int(asked[2] or len(content)) + 1) if asked else (0, len(content))
        part = content[start:end]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.end_headers()
        if send:
            self.wfile.write(part)


def main() -> None:
    """Serve until killed."""
    _Handler.folder = Path(sys.argv[1]).resolve()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
