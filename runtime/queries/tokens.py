"""Read the tokens of the API, without what is kept of their secrets."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

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
    return [_view(dict(row), now) for row in rows]


def good_token(number: int, *, using: str | None = None) -> ApiToken | None:
    """Return the token with this number, None if there is none, or it is revoked or expired."""
    using = using or work_database()
    good = ApiToken.objects.using(using).filter(pk=number, revoked_at=None)
    found: ApiToken | None = good.annotate(over=is_over(using=using)).filter(over=False).first()
    return found


def is_over(*, using: str | None = None) -> Combinable:
    """Say of each token of a query whether its time is over."""
    over = Q(expires_at__lte=clock.before(using or work_database(), 0))
    return Coalesce(ExpressionWrapper(over, BooleanField()), False)


def standing(revoked_at: dt.datetime | None, *, over: bool) -> str:
    """Return whether a token is good, expired or revoked."""
    if revoked_at is not None:
        return "revoked"
    return "expired" if over else "good"


def _view(values: dict[str, Any], now: dt.datetime) -> TokenView:
    over = values["expires_at"] is not None and values["expires_at"] <= now
    return TokenView(values=values, standing=standing(values["revoked_at"], over=over))
