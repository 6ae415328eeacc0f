"""Look at this installation as `roost doctor` does: at its settings, and at what it works with."""

from __future__ import annotations

from django.core.checks import ERROR, run_checks

from runtime.queries import doctor
from runtime.queries.finding import Finding

TAG = "roost"


def examine(*, using: str | None = None) -> list[Finding]:
    """Return what Django's checks say about Roost, and what `runtime.queries.doctor` finds."""
    return [*_system_checks(), *doctor.findings(using=using)]


def _system_checks() -> list[Finding]:
    found = [
        Finding(
            check=message.id or "check",
            level="problem" if message.level >= ERROR else "warning",
            text=message.msg,
            hint=message.hint or "",
        )
        for message in run_checks(tags=[TAG])
        if not message.is_silenced()
    ]
    return found or [Finding(check="checks", level="ok", text="Django's system checks find nothing about Roost.")]
