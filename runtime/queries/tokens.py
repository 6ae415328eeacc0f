"""Read the tokens of the API, without what is kept of their secrets."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from runtime import clock
from runtime.models import ApiToken
from runtime.store import work_database

SHOWN = (
    *("name", "prefix", "scopes", "namespaces", "expires_at", "revoked_at", "revoked_by", "last_used_at"),
    *("previous_until", "note", "created_at", "created_by", "row_version"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenView:
    """A token's columns, and whether it is "good", "expired" or "revoked"."""

    values: dict[str, Any]
    standing: str


def views(*, using: str | None = None) -> list[TokenView]:
    """Return all tokens by name."""
    using = using or work_database()
    now = clock.now(using)
    rows = ApiToken.objects.using(using).order_by("name").values(*SHOWN)
    return [TokenView(values=dict(row), standing=standing(row["revoked_at"], row["expires_at"], now)) for row in rows]


def standing(revoked_at: dt.datetime | None, expires_at: dt.datetime | None, now: dt.datetime) -> str:
    """Return whether a token is good, expired or revoked."""
    if revoked_at is not None:
        return "revoked"
    return "expired" if expires_at is not None and expires_at <= now else "good"
