"""The checks of what a product may add find what they are for, and say what to type."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import tracing
from runtime.checks import configuration, surroundings

HERE = "tests.console.test_redaction"


def test_redact_not_found(settings: Any) -> None:
    for path in (None, "", f"{HERE}.shout"):
        settings.ROOST_REDACT = path
        assert configuration.redact_not_found() == []
    for path in ("nowhere.redact", f"{HERE}.nothing", f"{HERE}.SECRET", "x"):
        settings.ROOST_REDACT = path
        [message] = configuration.redact_not_found()
        assert (message.id, path in message.msg) == ("roost.E025", True)
        assert "dotted path" in str(message.hint)


def test_scan_not_found(settings: Any) -> None:
    for path in (None, "", f"{HERE}.shout"):
        settings.ROOST_SCAN_UPLOADS = path
        assert configuration.scan_not_found() == []
    for path in ("nowhere.scan", f"{HERE}.nothing", f"{HERE}.SECRET"):
        settings.ROOST_SCAN_UPLOADS = path
        [message] = configuration.scan_not_found()
        assert (message.id, path in message.msg) == ("roost.E026", True)
        assert "dotted path" in str(message.hint)


def test_namespaces_of_not_found(settings: Any) -> None:
    for path in (None, "", f"{HERE}.shout"):
        settings.ROOST_NAMESPACES_OF = path
        assert configuration.namespaces_of_not_found() == []
    for path in ("nowhere.namespaces_of", f"{HERE}.nothing", f"{HERE}.SECRET", "x"):
        settings.ROOST_NAMESPACES_OF = path
        [message] = configuration.namespaces_of_not_found()
        assert (message.id, path in message.msg) == ("roost.E027", True)
        assert "dotted path" in str(message.hint)


def test_link_key_too_short(settings: Any) -> None:
    for key in (None, "", "k" * 32):
        settings.ROOST_API_LINK_KEY = key
        assert configuration.link_key_too_short() == []
    settings.ROOST_API_LINK_KEY = "swordfish"
    [message] = configuration.link_key_too_short()
    assert (message.id, "9 characters" in message.msg, "secrets.token_urlsafe" in str(message.hint)) == (
        "roost.W026",
        True,
        True,
    )
    assert "swordfish" not in f"{message.msg} {message.hint}"


def test_tracing_without_opentelemetry(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "is_there", lambda: False)
    assert surroundings.tracing_without_opentelemetry() == []
    settings.ROOST_TRACE_SHARE = 0.5
    [message] = surroundings.tracing_without_opentelemetry()
    assert (message.id, "roost-django[otel]" in str(message.hint)) == ("roost.W030", True)
