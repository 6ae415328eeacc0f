"""Nobody waits for a client that has gone: its place is free for the next one."""

from __future__ import annotations

import http.client
import json
import select
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from tests.factories import WorkItemFactory
from tests.fuzz.world import token
from tests.processes.fleet import database_url
from tests.processes.tree import eventually
from tests.serving import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.django_db(transaction=True),
    pytest.mark.scenario("S10"),
]
LONG, SHORT = 60, 1
PATIENCE = 20.0


class Server:
    """A server with one place for those who wait."""

    def __init__(self, url: str) -> None:
        self.where = urlsplit(url)
        self.item = WorkItemFactory().pk
        self.headers = {"Authorization": f"Bearer {token()}"}

    def ask(self, seconds: int) -> http.client.HTTPConnection:
        """Ask for the item's result, and do not wait for the answer."""
        connection = http.client.HTTPConnection(str(self.where.netloc), timeout=PATIENCE)
        self.send(connection, seconds)
        return connection

    def send(self, connection: http.client.HTTPConnection, seconds: int) -> None:
        """Ask over this connection."""
        path = f"{self.where.path}/work-items/{self.item}/result?wait={seconds}"
        connection.request("GET", path, headers=self.headers)

    def takes_the_place(self, connection: http.client.HTTPConnection) -> bool:
        """Say whether it is who asked over this connection that waits; who was too late for that asks again."""
        if select.select([connection.sock], [], [], 0)[0]:
            connection.getresponse().read()
            self.send(connection, LONG)
        return not self.waits()

    def waits(self) -> bool:
        """Say whether the server lets us wait now."""
        began, connection = time.monotonic(), self.ask(SHORT)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["ended"]) == (202, False)
        connection.close()
        return time.monotonic() - began >= SHORT


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Serve, in a process of its own."""
    environment = {
        "ROOST_PROCESS_DATABASE_URL": database_url(),
        "ROOST_PROCESS_ARTIFACTS": str(settings.STORAGES["roost_artifacts"]["OPTIONS"]["location"]),
        "ROOST_PROCESS_SET_API_WAITERS": "1",
        "ROOST_PROCESS_SET_API_WAIT_SECONDS": str(LONG),
    }
    with serving(tmp_path / "server.log", **environment) as (url, _process):
        yield Server(url)


def test_the_place_of_who_went_away_is_the_next_ones(server: Server) -> None:
    leaving = server.ask(LONG)
    eventually(PATIENCE, lambda: server.takes_the_place(leaving), "a wait that takes the only place")
    leaving.close()
    eventually(PATIENCE, server.waits, "a place for the next one, long before the first wait would have ended")
