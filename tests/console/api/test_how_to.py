"""The how-to's curl commands do what they say, against a server that runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runtime.models import WorkItem
from runtime.operations.tokens import create_token
from tests.console.api.conftest import ROOT
from tests.programs import program

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "api.md"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("S10")]


def commands() -> list[str]:
    """Return the commands of the page, but for those that make a token."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found = [command.strip() for block in blocks for command in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    return [command for command in found if command and not command.startswith("export ")]


def test_every_command_of_the_page_works(live_server: Any, tmp_path: Path) -> None:
    program("curl")
    scopes = ["read", "payload", "enqueue", "operate", "upload", "import"]
    token = create_token("orders", scopes=scopes, namespaces=["default"]).text
    script = "\n".join(["set -e", f"export ROOST={live_server.url}{ROOT} TOKEN={token}", *commands()])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(commands()) >= 10
    assert {item.state for item in WorkItem.objects.all()} == {"queued", "cancelled"}
    assert WorkItem.objects.get(idempotency_key="order-7").state == "cancelled"
