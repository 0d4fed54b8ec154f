"""A time stamping authority over HTTP for tests: real messages of RFC 3161, and ways to fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from quanmin.base.timestamps import Stamper


class StampOffice:
    """Where it is, what it was asked, and what is wrong with it."""

    def __init__(self, stamper: Stamper) -> None:
        self.stamper = stamper
        self.address = ""
        self.asked: list[bytes] = []
        self.status = 200
        self.kind = "application/timestamp-reply"
        self.replayed: bytes | None = None

    def answer(self, request: bytes) -> bytes:
        self.asked.append(request)
        return self.replayed or self.stamper.answer(request)


@contextmanager
def running_office(stamper: Stamper) -> Iterator[StampOffice]:
    """One on a port of its own, ended on leaving."""
    office = StampOffice(stamper)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            content = office.answer(asked)
            self.send_response(office.status)
            self.send_header("Content-Type", office.kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        office.address = f"http://127.0.0.1:{server.server_address[1]}/stamp"
        try:
            yield office
        finally:
            server.shutdown()
            thread.join()
