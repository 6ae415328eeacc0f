"""Write a line of the log for an item that has moved, after the commit that moved it.

The logger is `roost.items`. A dead letter is an ERROR, an attempt that will be made again and an item that is held are
WARNINGs, a pause that took effect is INFO; steps and ends, of which there are thousands a second, are DEBUG. What the
error says is not told: it may quote the payload; the item has it, where it is masked and takes a permission to read.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction

from runtime.choices import State

if TYPE_CHECKING:
    from runtime.models import WorkItem

logger = logging.getLogger("roost.items")


def failed(using: str, item: WorkItem, worker: uuid.UUID | None = None) -> None:
    """Say after the commit of this transaction that an item whose step did not say so itself is a dead letter now."""
    error: Mapping[str, Any] = item.last_error if isinstance(item.last_error, dict) else {}
    told = {
        "work_item": str(item.pk),
        "namespace": item.namespace,
        "engine": item.engine,
        "engine_version": item.engine_version,
        "step_label": item.step_label,
        "version": item.version,
        "attempt": item.attempt,
        "worker": "" if worker is None else str(worker),
        "state": State.FAILED.value,
        "reason": item.reason,
        "code": str(error.get("code") or ""),
        "error_type": str(error.get("type") or ""),
        "fingerprint": item.fingerprint,
    }
    transaction.on_commit(partial(_dead, told), using=using, robust=True)


def _dead(told: Mapping[str, Any]) -> None:
    logger.error("item %s failed: %s", told["work_item"], told["reason"], extra=told)
