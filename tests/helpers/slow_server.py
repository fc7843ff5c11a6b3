"""A server on 127.0.0.1 that keeps its clients waiting: silent, or a byte now and then.

with SlowServer(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1000\\r\\n\\r\\n") as server:
    fetch(server.url("item.json"))
"""

import socket
import threading
from contextlib import suppress

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


class SlowServer:
    """Answers with `head` at once, and then with a byte each `pause` seconds, None: with nothing more."""

    def __init__(self, head=b"", pause=None):
        self.head, self.pause = head, pause
        self.asked = 0
        """How many requests came."""
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def url(self, name):
        return f"http://{self.host}/{name}"

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._closing.set()
        self._socket.close()

    def _serve(self):
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self.asked += 1
                threading.Thread(target=self._keep_waiting, args=(client,), daemon=True).start()

    def _keep_waiting(self, client):
        with client, suppress(OSError):
            client.recv(65536)
            client.sendall(self.head)
            while not self._closing.wait(self.pause):
                client.sendall(b"x")
