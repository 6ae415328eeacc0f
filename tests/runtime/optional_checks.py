"""The tests of the checks of what a product may add; `test_checks` has them beside those of the others."""

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


def test_tracing_without_opentelemetry(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "is_there", lambda: False)
    assert surroundings.tracing_without_opentelemetry() == []
    settings.ROOST_TRACE_SHARE = 0.5
    [message] = surroundings.tracing_without_opentelemetry()
    assert (message.id, "roost-django[otel]" in str(message.hint)) == ("roost.W030", True)
