"""Count what a webhook got. Whoever knows no secret can make it write once a second, and no more.

A refusal is written at once if none was written within the last second of this process, else with the next one that is
written. So the count is a lower bound: what is waiting when a process ends is lost.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F

from runtime import clock, faults
from runtime.exceptions import DeliveryRefused
from runtime.jsondata import clean
from runtime.models import Webhook

logger = logging.getLogger("roost.webhooks")

REFUSED_SECONDS = 1.0
MAX_ERROR = 500

_waiting: dict[tuple[str, int], int] = {}
_written: dict[tuple[str, int], float] = {}
_guard = threading.Lock()


def forget() -> None:
    """Have the next refusal written at once. For tests."""
    with _guard:
        _waiting.clear()
        _written.clear()


def count(using: str, webhook: Webhook, column: str, *, item: uuid.UUID | None = None) -> None:
    """Count a delivery that was believed; joins the caller's transaction. Webhooks of the settings are not counted."""
    if webhook._state.adding:
        return
    changes: dict[str, Any] = {column: F(column) + 1, "last_at": clock.now(using)}
    if item is not None:
        changes["last_item"] = item
    Webhook.objects.using(using).filter(pk=webhook.pk).update(**changes)


def refused(using: str, webhook: Webhook, error: DeliveryRefused) -> None:
    """Count a refusal and keep why; never raises for the database, because the sender's answer is the same."""
    logger.warning("webhook %s refused a request: %s", webhook.name, error.code)
    if webhook._state.adding:
        return
    many = _due((using, webhook.pk))
    if not many:
        return
    told = clean(f"{error.code}: {error}")[:MAX_ERROR]
    try:
        with faults.around("deliver"), transaction.atomic(using=using):
            Webhook.objects.using(using).filter(pk=webhook.pk).update(
                refused_total=F("refused_total") + many, refused_at=clock.now(using), error=told
            )
    except DatabaseError:
        logger.warning("refusals of webhook %s could not be counted", webhook.name, exc_info=True)


def _due(key: tuple[str, int]) -> int:
    """Return how many refusals to write now, this one among them; 0 to let it wait."""
    with _guard:
        _waiting[key] = _waiting.get(key, 0) + 1
        if time.monotonic() < _written.get(key, float("-inf")) + REFUSED_SECONDS:
            return 0
        _written[key] = time.monotonic()
        return _waiting.pop(key)
