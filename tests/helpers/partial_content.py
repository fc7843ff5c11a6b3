"""A way to rclone's S3 server that answers requests for a range with 206, as S3 does; rclone says 200.

    python tests/helpers/partial_content.py PORT RCLONE_PORT

With 200, clients must take the piece for the whole. What is signed passes unchanged.
"""

import sys
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Way(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server_side = HTTPConnection("127.0.0.1", int(sys.argv[2]))

    def finish(self):
        self.server_side.close()
        super().finish()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server_side.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                self.server_side.putheader(name, value)
        self.server_side.endheaders(body)
        response = self.server_side.getresponse()
        content = response.read()
        partial = response.status == 200 and response.getheader("Content-Range")
        self.send_response_only(206 if partial else response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        size = response.getheader("Content-Length") if self.command == "HEAD" else len(content)
        if size is not None and response.status != 204:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names it is called by


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 64
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Way).serve_forever()
