"""A web server on loopback whose pages do what pages do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Site(ThreadingHTTPServer):
    """Answers by path, counts requests, and holds slow answers back until `released` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.released = threading.Event()
        self.requests: list[str] = []
        self.up = True

    def url(self, path: str = "/") -> str:
        """Return the address of a page."""
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a client goes away in the middle of an answer: that is what some tests are about."""


class _Page(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        name, _, argument = self.path.lstrip("/").partition("/")
        getattr(self, f"page_{name or 'index'}")(argument)

    def page_index(self, argument: str) -> None:
        self.answer(200, b"hello")

    def page_status(self, argument: str) -> None:
        self.answer(int(argument), b"")

    def page_flip(self, argument: str) -> None:
        self.answer(200 if self.server.up else 503, b"up" if self.server.up else b"down")
        self.server.up = not self.server.up

    def page_big(self, argument: str) -> None:
        self.answer(200, b"x" * int(argument))

    def page_endless(self, argument: str) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.released.is_set():
            self.wfile.write(b"x" * 65536)

    def page_hops(self, argument: str) -> None:
        left = int(argument)
        self.redirect(f"/hops/{left - 1}" if left else "/")

    def page_to(self, argument: str) -> None:
        self.redirect(argument)

    def page_slow(self, argument: str) -> None:
        self.released.wait(30)

    def page_drip(self, argument: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"first")
        self.wfile.flush()
        self.released.wait(30)

    def page_garbage(self, argument: str) -> None:
        self.wfile.write(b"\x00\xff not http \x00\r\n\r\n")

    @property
    def released(self) -> threading.Event:
        return self.server.released

    def redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass


@contextmanager
def serving() -> Iterator[Site]:
    """Serve the site while the block runs."""
    site = Site()
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.released.set()
        site.shutdown()
        thread.join()
        site.server_close()
