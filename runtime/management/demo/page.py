"""Serve a page on this machine that takes its time, so that a step can be caught in the middle."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

SECONDS = 0.7
BODY = b"<!doctype html><title>Roost's demo page</title><p>This page is reachable, if slow.</p>"


class Page:
    """A web server on a free port of the loopback interface. Use it as a context manager."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.hits = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805 - the base class's names; self is the page
                self.hits += 1
                time.sleep(seconds)
                handler.send_response(200)
                handler.send_header("Content-Type", "text/html; charset=utf-8")
                handler.send_header("Content-Length", str(len(BODY)))
                handler.end_headers()
                handler.wfile.write(BODY)

            def log_message(handler, *args: Any) -> None:  # noqa: N805
                """Stay silent: the demo tells what is worth telling."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo-page", daemon=True)

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a visitor is killed before the answer: that is what the demo is about."""
