"""The test of the check of the product's hook for redaction; `test_checks` has it beside those of the others."""

from __future__ import annotations

from typing import Any

from runtime.checks import configuration

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
