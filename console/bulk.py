"""Carry out a verb on all items that matched, as an item of its own: durable, with progress and a result for each.

    {"verb": "cancel", "items": ["0197…", …], "values": "{}", "reason": "…", "by": "7", "seal": "…"}

The console enqueues these items by itself; one that anybody else wrote is refused, since it acts in the name of `by`.
The items are those that matched when it was confirmed. What became of each is in the artifacts `results-00001.json`, …
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.signing import Signer
from django.db import connections
from django.utils.crypto import constant_time_compare

from console.actions import Confirmation, OperatorAction, Result
from console.item_actions import ACTIONS
from console.logged import log_results
from runtime.engine import Complete, Continue, Decision, Engine, Fail, Item, Snapshot
from runtime.exceptions import InvalidInput, RoostError
from runtime.models import Event, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.step import StepContext
from runtime.store import work_database

ENGINE = "bulk_verb"
MOST = 20_000
"""Items that one bulk verb covers."""
CHUNK = 50
"""Items of one step."""
LOOKED_BACK = 500
"""Events of an item among which a crashed step's own are looked for."""
FIELDS = ("verb", "items", "values", "reason", "by")

T = TypeVar("T")

_starting: ContextVar[bool] = ContextVar("roost_bulk_starting", default=False)
"""Whether the console enqueues just now: a sealed payload that somebody copied is worth nothing."""


def start(
    action: OperatorAction, items: Sequence[uuid.UUID], *, by: Any, reason: str, values: dict[str, Any], click: str
) -> WorkItem:
    """Enqueue the verb for these items and return the item that does it; a second start of one click is the first.

    Raises `InvalidInput` for a bad reason or value, and for no items or too many.
    """
    if not 1 <= len(items) <= MOST:
        raise InvalidInput(f"{len(items)} items match; a bulk verb covers 1 to {MOST}.", field="items")
    action.operation(items[0], by=by, reason=reason, click=click, **values)  # says what is wrong with what was typed
    payload: dict[str, Any] = {
        "verb": action.name,
        "items": [str(item) for item in items],
        "values": json.dumps(values),  # as text: a database may write its numbers in another way
        "reason": reason,
        "by": str(by.pk),
    }
    payload["seal"] = _signature(payload)
    starting = _starting.set(True)
    try:
        return enqueue(ENGINE, payload, actor=by.get_username(), idempotency_key=f"bulk:{click}")
    finally:
        _starting.reset(starting)


class BulkVerb(Engine):
    """Does one verb to many items, `CHUNK` of them in a step, each in a transaction of its own."""

    engine_id = ENGINE
    version = "1"
    snapshots = "compact"
    step_timeout = 300.0

    def check_payload(self, payload: Any) -> None:
        """Refuse a payload that the console did not write."""
        if not _starting.get() or not is_sealed(payload):
            raise InvalidInput("Bulk verbs are enqueued by the console, and by nobody else.", field="payload.seal")

    def init_snapshot(self, item: Item) -> dict[str, Any]:
        """Start at the first item."""
        return {"next": 0, "changed": 0, "skipped": 0}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Decision:
        """Do it to the next items. After a crash, what was done is known by its events and told as done."""
        payload, done = item.payload, snapshot.data
        if not is_sealed(payload):
            return Fail("This item was changed since it was enqueued.", code="not_sealed")
        total = len(payload["items"])
        wanted = payload["items"][done["next"] : done["next"] + CHUNK]
        told = await _in_database(lambda: _do(payload, wanted, click=str(item.id)))
        if isinstance(told, str):
            return Fail(told, code="forbidden")
        changed = sum(one["changed"] for one in told)
        state = {
            "next": done["next"] + len(wanted),
            "changed": done["changed"] + changed,
            "skipped": done["skipped"] + len(told) - changed,
        }
        await ctx.aartifact(f"results-{snapshot.version + 1:05}.json", told, kind="json")
        ctx.progress(state["next"] / total)
        label = f"{payload['verb']}: {state['next']} of {total}"
        if state["next"] < total:
            return Continue(state, label=label)
        return Complete({"changed": state["changed"], "skipped": state["skipped"]}, state, label=label)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """Who asks for what."""

    action: OperatorAction
    user: Any


def _do(payload: dict[str, Any], items: Sequence[str], *, click: str) -> list[dict[str, Any]] | str:
    """Do it to each item; return what became of them, or why nobody may do it any more."""
    asked = _asked(payload)
    if isinstance(asked, str):
        return asked
    # A fork takes over a sealed payload; `relation` stays when the original is pruned, `forked_from` does not.
    if not WorkItem.objects.using(work_database()).filter(pk=uuid.UUID(click), relation="").exists():
        return "A copy of a bulk verb does nothing. Ask for the verb again."
    results = [_one(asked, payload, uuid.UUID(item), click) for item in items]
    log_results(asked.user, WorkItem, asked.action, results, reason=payload["reason"], click=click)
    return [
        {
            "item": str(result.confirmation.subject),
            "changed": not result.skipped,
            **({"skipped": result.skipped} if result.skipped else {}),
            **({"made": str(result.item.pk)} if result.item is not None and asked.action.makes_new else {}),
        }
        for result in results
    ]


def _asked(payload: dict[str, Any]) -> _Asked | str:
    action = next((one for one in ACTIONS if one.name == payload["verb"]), None)
    user = get_user_model().objects.filter(pk=payload["by"], is_active=True).first()
    if action is None or user is None or not action.allowed(user):
        return f"Whoever asked for {payload['verb']} may not do it any more; the rest was left as it is."
    return _Asked(action=action, user=user)


def _one(asked: _Asked, payload: dict[str, Any], item: uuid.UUID, click: str) -> Result:
    confirmation = Confirmation(subject=item, row_version=0, event_seq=0)
    once = {"idempotency_key": f"{click}:{item}"} if asked.action.makes_new else {}
    told = {**json.loads(payload["values"]), **once, "by": asked.user, "reason": payload["reason"], "click": click}
    before = _done_before(asked, item, click)
    if before is not None:
        return Result(confirmation=confirmation, item=before)
    try:
        return Result(confirmation=confirmation, item=asked.action.operation(item, **told).execute())
    except RoostError as error:
        return Result(confirmation=confirmation, skipped=str(error))


def _done_before(asked: _Asked, item: uuid.UUID, click: str) -> WorkItem | None:
    """Return what an earlier try of this step came to: many verbs could be done twice, and must not be."""
    rows = WorkItem.objects.using(work_database())
    if asked.action.makes_new:
        return rows.filter(forked_from=item, idempotency_key=f"{click}:{item}").first()
    return rows.filter(pk=item).first() if _was_done(item, click) else None


def _was_done(item: uuid.UUID, click: str) -> bool:
    """Say whether an earlier try of this step, which was cut off, has done it."""
    rows = Event.objects.using(work_database()).filter(work_item_id=item)
    last = rows.order_by("-seq").values_list("seq", flat=True).first() or 0
    found = rows.filter(seq__gt=last - LOOKED_BACK).exclude(actor="").values_list("data", flat=True)
    return any(isinstance(data, dict) and data.get("click") == click for data in found)


def is_sealed(payload: Any) -> bool:
    """Say whether the console wrote this payload, and nobody changed it."""
    if not isinstance(payload, dict) or not isinstance(payload.get("seal"), str) or not {*FIELDS} <= payload.keys():
        return False
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(constant_time_compare(_signature(payload, key), payload["seal"]) for key in keys)


def _signature(payload: dict[str, Any], key: Any = None) -> str:
    text = json.dumps([payload[name] for name in FIELDS], sort_keys=True)
    return Signer(key=key, salt="roost.bulk").signature(text)


async def _in_database(work: Callable[[], T]) -> T:
    """Work in the database, beside the event loop."""

    def closing() -> T:
        try:
            return work()
        finally:
            # Nobody else tidies up in this thread. What a transaction holds, a test's, is not ours to close.
            for connection in connections.all(initialized_only=True):
                if not connection.in_atomic_block:
                    connection.close()

    return await sync_to_async(closing)()
