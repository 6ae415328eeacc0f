"""A service on loopback that counts what is asked of it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from runtime.deliveries import DELIVERY


class Service(ThreadingHTTPServer):
    """Answers every POST with an id, after `seconds`; counts requests by path, and keeps their idempotency keys.

    The key of a delivery is its id.

    A path in `refused` is answered with that status.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Effect)
        self.guard = threading.Lock()
        self.seconds = 0.0
        self.refused: dict[str, int] = {}
        self.requests: Counter[str] = Counter()
        self.effects: dict[str, set[str]] = {}

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of callers that were killed before they heard the answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """The service's address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def made(self, path: str) -> int:
        """Return how many effects there were: requests with the same idempotency key are one."""
        return len(self.effects.get(path, ()))


class _Effect(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"] or self.headers[DELIVERY]
        with self.server.guard:
            self.server.requests[self.path] += 1
            self.server.effects.setdefault(self.path, set()).add(key)
        time.sleep(self.server.seconds)
        body = json.dumps({"id": f"{self.path.strip('/')}-1"}).encode()
        self.send_response(self.server.refused.get(self.path, 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Say how many effects a path had, to whoever cannot look into this process."""
        body = str(self.server.made(self.path)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it that
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Service]:
    """Run a service while the block runs."""
    service = Service()
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        service.server_close()
