"""A receiver of deliveries on loopback: checks signatures, keeps what it got, and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runtime.deliveries import Delivery, receive

SECRET = "a secret of thirty-two characters"


class Receiver(ThreadingHTTPServer):
    """Answers each delivery with the next of `statuses`, the last one for ever; `headers` go with each answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.guard = threading.Lock()
        self.statuses = [200]
        self.headers: dict[str, str] = {}
        self.body = b""
        self.got: list[Delivery] = []
        self.wrong: list[str] = []

    @property
    def url(self) -> str:
        """Where deliveries go."""
        return f"http://127.0.0.1:{self.server_address[1]}/hook?token=hidden"

    @property
    def ids(self) -> list[str]:
        """The delivery id of each request, in order."""
        return [one.id for one in self.got]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a worker is killed before its answer."""


class _Hook(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.guard:
            try:
                self.server.got.append(receive(dict(self.headers.items()), content, SECRET))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
                self.server.wrong.append(repr(error))
            left = self.server.statuses
            status = left.pop(0) if len(left) > 1 else left[0]
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver while the block runs."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()
