"""A server on 127.0.0.1 that answers nothing and tells what it was asked, to show that nobody asked.

It is a process of its own: GDAL holds Python's lock during some requests, so that no thread could answer.
"""

import json
import subprocess
import sys
import urllib.request

ASKED = "/_asked"


class CountingServer:
    """Serves while the block runs; `asked` are method, path and Authorization of the requests so far."""

    def __enter__(self):
        self._process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    @property
    def asked(self):
        with urllib.request.urlopen(self.url + ASKED) as answer:
            return json.load(answer)


def main():
    """Serve until killed."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            told = self.path == ASKED
            if not told:
                asked.append([self.command, self.path, self.headers.get("Authorization")])
            self.send_response(200 if told else 404)
            self.end_headers()
            if told:
                self.wfile.write(json.dumps(asked).encode())

        do_HEAD = do_GET  # noqa: N815 - named by the library

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
