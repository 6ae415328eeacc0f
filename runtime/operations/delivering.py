"""What a delivery reads of its target, and what it writes there. Each is one short transaction of its own.

The counters are for people: a process that dies around a count leaves them one off, and a database that refuses one
costs the count alone, never a second call.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError
from django.db.models import F
from django.views.decorators.debug import sensitive_variables

from runtime import clock, faults
from runtime.conf import settings as roost
from runtime.exceptions import AccessDenied, Declined, InvalidInput
from runtime.jsondata import clean
from runtime.models import WebhookTarget
from runtime.operations import notifying
from runtime.operations.target_values import address, declared
from runtime.signatures import read_secret
from runtime.store import work_database
from runtime.store.transactions import transacted

logger = logging.getLogger("roost.webhooks")

MAX_ERROR = 500
GONE = "410 Gone"
"""Who has disabled a target whose server is gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where a delivery goes, and what signs it. `now` is the database's, in seconds since 1970."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    now: float


Target = int | str
"""A row's number, or the name of one in the settings, of which nothing is counted."""


@sensitive_variables()
def destination(target: Target) -> Destination:
    """Return the target as it is now. Raises `Declined` if it is removed or disabled, `AccessDenied` without a secret.

    Read for each attempt: a new secret, or another address, holds for deliveries that are under way.
    """
    using = work_database()
    row = _find(using, target)
    if row is None:
        raise Declined("The webhook target of this delivery was removed.", code="target_removed")
    if not row.enabled:
        told = f"The webhook target {row.name!r} is disabled. Enable it and redrive this item."
        raise Declined(told, code="target_disabled")
    secret = read_secret(row.secret)
    if not secret:
        told = f"The secret of the webhook target {row.name!r} is in a variable that is not set here, or too short."
        raise AccessDenied(told, code="target_without_secret")
    try:
        return Destination(url=address(row.url), secret=secret, now=clock.now(using).timestamp())
    except InvalidInput as error:
        raise AccessDenied(f"{row.name!r}: {error}", code="target_without_address") from None


def _find(using: str, target: Target) -> WebhookTarget | None:
    if isinstance(target, int):
        row: WebhookTarget | None = WebhookTarget.objects.using(using).filter(pk=target).first()
        return row
    given = roost.WEBHOOK_TARGETS.get(target)
    try:
        return None if given is None else WebhookTarget(**declared(target, given))
    except InvalidInput as error:
        raise Declined(f"ROOST_WEBHOOK_TARGETS[{target!r}] is wrong: {error}", code="target_wrong") from None


def delivered(target: Target, item: uuid.UUID) -> None:
    """Count a delivery that arrived; never raises for the database."""
    using = work_database()
    _count(
        using,
        target,
        lambda: {"delivered_total": F("delivered_total") + 1, "last_at": clock.now(using), "last_item": item},
    )


def not_delivered(target: Target, error: Exception) -> None:
    """Count an attempt that failed, and keep why; never raises for the database, whose error would hide the other."""
    using = work_database()
    told = {"failed_total": F("failed_total") + 1, "error": clean(f"{type(error).__name__}: {error}")[:MAX_ERROR]}
    _count(using, target, lambda: {"failed_at": clock.now(using), **told})


@sensitive_variables()
def gone(target: Target, url: str) -> None:
    """Disable a target whose server says that it is gone for good, unless it was given another address meanwhile.

    One that the settings declare stays, until somebody takes it out there.
    """
    if isinstance(target, str):
        logger.warning("ROOST_WEBHOOK_TARGETS[%r] answered 410: take it out", target)
        return
    using = work_database()

    def once() -> int:
        changes = {"enabled": False, "changed_by": GONE, "changed_at": clock.now(using)}
        row = WebhookTarget.objects.using(using).filter(pk=target, url=url, enabled=True)
        return row.update(row_version=F("row_version") + 1, **changes)

    with faults.around("notice"):
        disabled = transacted(using, once)
    if disabled:
        notifying.forget()
        logger.warning("webhook target %s answered 410 and is disabled", target)


def _count(using: str, target: Target, changes: Callable[[], dict[str, Any]]) -> None:
    if isinstance(target, str):
        return
    rows = WebhookTarget.objects.using(using).filter(pk=target)
    try:
        with faults.around("notice"):
            transacted(using, lambda: rows.update(**changes()))
    except DatabaseError:
        logger.warning("what became of a delivery to webhook target %s could not be counted", target, exc_info=True)
