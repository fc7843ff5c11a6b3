"""The place where ranks find each other: a server of the job's own, for the job's own.

Horovod's server listens on all addresses and believes everybody; its elastic one unpickles what it is sent
(CVE-2024-10190). Horovod's client can say nothing but an address, a port and a path, and puts them together
as `http://ADDRESS:PORT/SCOPE/KEY`. So the secret travels in the address: what a rank is told is
`127.0.0.1:4711/SECRET`, and what it asks for `/SECRET:4711/SCOPE/KEY`. It stands in the ranks' environment,
which Linux shows to their user alone, and on no command line. Values are bytes that nobody here looks into.
"""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Collection
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Final, NamedTuple, Self

from training.launch.store import VALUE_BYTES, Store

LOOPBACK: Final = "127.0.0.1"

PATIENCE_S: Final = 10.0
"""Seconds of silence after which a connection is closed."""

Address = tuple[str, int] | str


class Meeting(NamedTuple):
    """What a rank must know to find the others."""

    address: str
    """IPv4 address of the server."""
    port: int
    secret: str
    interface: str
    """Network interface over which ranks exchange gradients: `lo` on one machine."""

    def environment(self) -> dict[str, str]:
        """Return the variables that tell Horovod."""
        return {
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": f"{self.address}:{self.port}/{self.secret}",
            "HOROVOD_GLOO_RENDEZVOUS_PORT": str(self.port),
            "HOROVOD_GLOO_IFACE": self.interface,
            "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
            "NCCL_SOCKET_IFNAME": self.interface,
        }


class Rendezvous:
    """Serves a store while the block lasts, to those `hosts` (addresses) that know the secret."""

    def __init__(
        self, store: Store, *, address: str = LOOPBACK, interface: str = "lo", hosts: Collection[str] = ()
    ) -> None:
        """Listen on one address and a port that is free; OSError where the address is not this machine's."""
        secret = secrets.token_urlsafe(32)
        self._server = _Server(address, store, secret, frozenset([address, *hosts]))
        self.meeting = Meeting(address, self._server.server_port, secret, interface)

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024  # all ranks of a job come at once

    def __init__(self, address: str, store: Store, secret: str, hosts: frozenset[str]) -> None:
        super().__init__((address, 0), _Handler)
        self.store, self.hosts = store, hosts
        self.root = f"{secret}:{self.server_port}".encode()

    def server_bind(self) -> None:
        # HTTPServer's own asks the network for this machine's name.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def verify_request(self, request: object, client_address: Address) -> bool:
        """Hear only the job's hosts: others are hung up on before a byte is read."""
        return client_address[0] in self.hosts

    def handle_error(self, request: object, client_address: Address) -> None:
        """Say nothing where a client has gone, or sent what is no HTTP."""


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE_S
    server: _Server

    def do_PUT(self) -> None:
        if place := self._place():
            size = self.headers.get("Content-Length", "")
            if not (size.isdecimal() and int(size) <= VALUE_BYTES):
                return self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            value = self.rfile.read(int(size))
            if len(value) == int(size):  # else the client has gone in the middle of it
                self._say(self.server.store.put(*place, value))

    def do_GET(self) -> None:
        if place := self._place():
            value = self.server.store.get(*place)
            self._say(HTTPStatus.NOT_FOUND if value is None else HTTPStatus.OK, value or b"")

    def do_DELETE(self) -> None:
        if place := self._place():
            self.server.store.leave(*place)
            self._say(HTTPStatus.OK)

    def _place(self) -> tuple[str, str] | None:
        """Return scope and key; without the secret there is nothing here, and None is told so."""
        root, _, rest = self.path.removeprefix("/").partition("/")
        scope, _, key = rest.partition("/")
        if hmac.compare_digest(root.encode("utf-8", "surrogateescape"), self.server.root) and scope and key:
            return scope, key
        self._say(HTTPStatus.NOT_FOUND)
        return None

    def _say(self, status: HTTPStatus, value: bytes = b"") -> None:
        with suppress(ConnectionError):
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(value)))
            self.end_headers()
            self.wfile.write(value)

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing: a path has the secret in it."""
