"""A sender that repeats itself after the web process died gets one item, whenever that was."""

from __future__ import annotations

import hashlib
import hmac
import socket
import subprocess

import httpx
import pytest

from runtime.models import WorkItem
from runtime.operations.webhooks import set_webhook
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet
from tests.processes.tree import eventually

SECRET = "a secret of some length"
BODY = b'{"n": 3}'


@pytest.mark.slow
@pytest.mark.scenario("S10")
@pytest.mark.parametrize(("point", "answers"), [("deliver.before", [202, 200]), ("deliver.after", [200, 200])])
def test_a_delivery_during_which_the_server_is_killed_makes_one_item(
    fleet: StartFleet, point: str, answers: list[int]
) -> None:
    set_webhook("pushes", engine="counter", verifier="github", secret=SECRET, payload={"count_to": "$body.n"})
    servers = fleet()
    servers.environment["ROOST_FAULT"] = f"{point}:kill:1:{servers.folder}/killed"
    server, port = serve(servers)
    with pytest.raises(httpx.TransportError):
        deliver(port)
    assert server.wait(10) == -9
    _server, port = serve(servers)
    assert deliver(port, "sha256=" + "0" * 64).status_code == 401
    told = [deliver(port) for _ in range(2)]
    assert [answer.status_code for answer in told] == answers
    assert {answer.json()["item"] for answer in told} == {str(WorkItem.objects.get().pk)}


def serve(servers: Fleet) -> tuple[subprocess.Popen[bytes], int]:
    """Start the demo product's web server on a free port, and wait until it answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    server = servers.launch("runserver", "--noreload", "--skip-checks", f"127.0.0.1:{port}")
    eventually(20, lambda: answers_at(port), f"server: {servers.log.read_text()}")
    return server, port


def answers_at(port: int) -> bool:
    """Say whether a server answers, whatever."""
    try:
        return bool(httpx.get(f"http://127.0.0.1:{port}/roost/hooks/default/x", trust_env=False).status_code)
    except httpx.TransportError:
        return False


def deliver(port: int, signature: str = "") -> httpx.Response:
    """Send the one delivery."""
    right = "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": signature or right, "X-GitHub-Delivery": "d-1"}
    url = f"http://127.0.0.1:{port}/roost/hooks/default/pushes"
    return httpx.post(url, content=BODY, headers=headers, trust_env=False, timeout=20)
