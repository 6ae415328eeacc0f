"""A web server on loopback that tells what it was asked, redirects, and misbehaves by path."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BOMB = gzip.compress(b"x" * 8_000_000)


class Echo(ThreadingHTTPServer):
    """Keeps the requests it got, as (method, path, headers with small letters, body)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.released = threading.Event()
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Return the address of a page."""
        return f"{scheme}://{host}:{self.port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a client goes away: that is what some tests are about."""


class _Page(BaseHTTPRequestHandler):
    server: Echo
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, body))
        name, _, argument = self.path.partition("?")[0].lstrip("/").partition("/")
        getattr(self, f"page_{name or 'index'}")(argument)

    def do_POST(self) -> None:
        self.do_GET()

    def page_index(self, argument: str) -> None:
        self.answer(200, json.dumps({"method": self.command}).encode())

    def page_status(self, argument: str) -> None:
        self.answer(int(argument), b"busy", {"Retry-After": "7"})

    def page_to(self, argument: str) -> None:
        status, _, target = argument.partition("/")
        self.answer(int(status), b"", {"Location": target})

    def page_big(self, argument: str) -> None:
        self.answer(200, b"x" * int(argument))

    def page_bomb(self, argument: str) -> None:
        self.answer(200, BOMB, {"Content-Encoding": "gzip"})

    def page_packed(self, argument: str) -> None:
        packed = {"gzip": gzip.compress(b"hello"), "torn": gzip.compress(b"hello")[:-4], "no": b"no gzip"}
        more = {"tail": gzip.compress(b"hello") + b"more", "br": b"hello"}
        encoding = "br" if argument == "br" else "gzip"
        self.answer(200, (packed | more)[argument], {"Content-Encoding": encoding})

    def page_gone(self, argument: str) -> None:
        self.close_connection = True

    def page_slow(self, argument: str) -> None:
        self.server.released.wait(30)

    def page_drip(self, argument: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        while not self.server.released.wait(0.02):
            self.wfile.write(b"x")
            self.wfile.flush()

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass


@contextmanager
def echoing(tls: ssl.SSLContext | None = None) -> Iterator[Echo]:
    """Serve while the block runs, over TLS if a context is given."""
    echo = Echo()
    if tls is not None:
        echo.socket = tls.wrap_socket(echo.socket, server_side=True)
    thread = threading.Thread(target=echo.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield echo
    finally:
        echo.released.set()
        echo.shutdown()
        thread.join()
        echo.server_close()


def nobody() -> str:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])
