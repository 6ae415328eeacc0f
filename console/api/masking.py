"""Mask in answers what looks like a secret, as the admin does.

Programs get what people get: a session's answers would be a way around the admin's masks else. `ROOST_API_REDACT` set
to False leaves the masks to whoever calls.
"""

from __future__ import annotations

import json
from typing import Any

from runtime.conf import settings as roost
from runtime.queries import redaction


def masked(value: Any) -> Any:
    """Return a value as it is told: as it is where the product leaves the masks to its callers, else cleaned."""
    return cleaned(value) if roost.API_REDACT else value


def cleaned(value: Any) -> Any:
    """Return a value without secrets: redacted, and then as `ROOST_REDACT` leaves it."""
    told = redaction.shown(value)
    if roost.REDACT:
        try:
            json.dumps(told)
        except (TypeError, ValueError, RecursionError):  # the product's callable returned what is no JSON
            return redaction.HOOK_FAILED
    return told


def masked_text(text: str) -> str:
    """Return a text as it is told."""
    return str(masked(text))
