"""The checks of webhook targets find what they are for, and say what to type."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from runtime.checks import configuration, databases
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
    settings.ROOST_WEBHOOK_TARGETS = {
        "ops": {"url": "http://ops.example/hidden", "events": ["done"], "secret": "a secret of some length"},
        "odd": {"url": "nonsense"},
    }
    [(code, text)] = found()
    assert (code, "by http" in text, "ROOST_WEBHOOK_TARGETS['ops']" in text) == ("roost.W022", True, True)


def senseless(name: str, word: str) -> None:
    """Assert that one target of the settings is told, with this word, and without its address."""
    [message] = configuration.webhook_target_makes_no_sense()
    told = f"{message.msg} {message.hint}"
    assert (message.id, repr(name) in told, word in told, "hidden" in told) == ("roost.E022", True, True, False), told


def test_webhook_target_makes_no_sense(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "a secret of some length")
    good = {"url": "https://ops.example/hidden", "events": ["done"], "secret": "env:HOOK_SECRET"}
    for wrong, word in (
        ("https://ops.example", "mapping"),
        ({**good, "events": ["dreams"]}, "events"),
        ({**good, "url": "env:ROOST_TESTS_HAVE_NO_SUCH_URL"}, "url"),
        ({**good, "engine": "nobody"}, "nobody"),
        ({**good, "secret": "short"}, "secret"),
        ({**good, "secret": None}, "secret"),
        ({**good, "secret": "env:ROOST_TESTS_HAVE_NO_SUCH_SECRET"}, "ROOST_TESTS_HAVE_NO_SUCH_SECRET"),
        ({**good, "colour": "red"}, "colour"),
    ):
        settings.ROOST_WEBHOOK_TARGETS = {"good": good, "odd": wrong}
        senseless("odd", word)
    settings.ROOST_WEBHOOK_TARGETS = {"good": good, "off": {**good, "engine": "nobody", "enabled": False}}
    assert configuration.webhook_target_makes_no_sense() == []
    monkeypatch.setattr(configuration.registry, "paths", dict)
    senseless("good", "webhook_delivery")
