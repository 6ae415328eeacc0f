"""The test of the check of webhook targets; `test_checks` has it beside those of the others."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from runtime.checks import databases
from runtime.operations.targets import set_target


def found() -> list[tuple[str, str]]:
    """Run the check; return id and text of what it finds."""
    told = databases.webhook_target_not_told(databases=["default"])
    return [(str(message.id), f"{message.msg} {message.hint}") for message in told]


def says(word: str) -> None:
    """Assert that it finds this one thing and names the target."""
    [(code, text)] = found()
    assert (code, "'ops'" in text, word in text, "hidden" in text) == ("roost.W022", True, True, False), text
    assert "webhook-targets set ops --no-enabled" in text


@pytest.mark.django_db
def test_webhook_target_not_told(settings: Any) -> None:
    set_target("ops", url="https://ops.example:8443/hidden", events=["done"])
    settings.ROOST_OUTGOING_ALLOW = []
    says("port 8443")
    assert databases.webhook_target_not_told() == []
    settings.ROOST_OUTGOING_ALLOW = ["ops.example"]
    assert found() == []
    settings.ROOST_OUTGOING_ALLOW = []
    set_target("ops", url="http://ops.example/hidden")
    says("by http")
    set_target("ops", url="https://ops.example/")
    assert found() == []
    with mock.patch.object(databases.registry, "paths", return_value={}):
        says("ROOST_ENGINES")
        set_target("ops", enabled=False)
        assert found() == []
