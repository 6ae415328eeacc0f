"""Carry out a verb on all items that matched, as an item of its own: durable, with progress and a result for each.

    {"verb": "cancel", "items": ["0197…", …], "values": "{}", "reason": "…", "by": "7", "seal": "…"}

`by` is the number of a user, or "token:" with that of a token, which is looked at again before each step.

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
from django.core.signing import Signer
from django.db import connections
from django.utils.crypto import constant_time_compare

from console.actions import Confirmation, OperatorAction, Result
from console.callers import DEFAULT_NAMESPACE, Caller, TokenHolder
from console.item_actions import ACTIONS
from console.logged import log_results
from runtime.engine import Complete, Continue, Decision, Engine, Fail, Item, Snapshot
from runtime.exceptions import InvalidInput, RoostError
from runtime.models import Event, WorkItem
from runtime.operations.base import locked_is_conflict
from runtime.operations.enqueue import enqueue
from runtime.operations.spec import ItemOptions
from runtime.step import StepContext
from runtime.store import work_database
from runtime.store.transactions import impatiently, transacted

ENGINE = "bulk_verb"
MOST = 20_000
"""Items that one bulk verb covers."""
PARTS = 10
"""Bulk verbs that are started at once, for as many items as they cover together."""
MOST_STARTED = 100
"""Bulk verbs that are started at once, since each namespace has its own."""
PRIORITY = 32_767
"""Of bulk verbs: the highest, since what they are to stop may lie in front of them."""
CHUNK = 50
"""Items of one step."""
LOCK_MS = 1_000
"""How long a row that somebody else keeps locked is waited for, so that a step with many of them ends in its time."""
LOOKED_BACK = 500
"""Events of an item among which a crashed step's own are looked for."""
FIELDS = ("verb", "items", "values", "reason", "by")

T = TypeVar("T")

_starting: ContextVar[bool] = ContextVar("roost_bulk_starting", default=False)
"""Whether the console enqueues just now: a sealed payload that somebody copied is worth nothing."""


def start(
    action: OperatorAction,
    items: Sequence[uuid.UUID],
    *,
    by: Any,
    reason: str,
    values: dict[str, Any],
    click: str,
    part: int = 0,
    caller: Caller | None = None,
    namespace: str = DEFAULT_NAMESPACE,
) -> WorkItem:
    """Enqueue the verb for these items and return the item that does it; a second start of one part is the first.

    It lies in the namespace, and tells whoever reaches that which items it is about. Nothing has a higher priority.
    It acts in the name of the user `by`, or of the `caller`, who is `by` then: a token does not act where it does not
    reach. Raises `InvalidInput` for a bad reason or value, and for no items or too many.
    """
    if not 1 <= len(items) <= MOST:
        raise InvalidInput(f"{len(items)} items match; a bulk verb covers 1 to {MOST}.", field="items")
    action.asking(items[0], by=by, reason=reason, click=click, **values)  # says what is wrong with what was typed
    payload: dict[str, Any] = {
        "verb": action.name,
        "items": [str(item) for item in items],
        "values": json.dumps(values),  # as text: a database may write its numbers in another way
        "reason": reason,
        "by": str(by.pk) if caller is None else caller.key,
    }
    payload["seal"] = _signature(payload)
    key = f"bulk:{click}:{part}" if part else f"bulk:{click}"
    starting = _starting.set(True)
    try:
        options: ItemOptions = {"idempotency_key": key, "namespace": namespace, "priority": PRIORITY}
        return enqueue(ENGINE, payload, actor=by.get_username(), **options)
    finally:
        _starting.reset(starting)


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """An item that does a verb, and to how many it does it."""

    work: WorkItem
    count: int


def start_all(action: OperatorAction, items: Sequence[tuple[uuid.UUID, str]], **asked: Any) -> list[Started]:
    """Enqueue the verb for these items, each with its namespace; all of the items that do it, or none.

    Each lies in the namespace of the items that it covers, `MOST` at the most: who reads its payload and results there
    is told of no others. `asked` is what `start` takes besides; a second start of one click is the first. Raises
    `InvalidInput` as it does, and for more than `MOST_STARTED` of them.
    """
    if not 1 <= len(items) <= MOST * PARTS:
        raise InvalidInput(f"{len(items)} items match; 1 to {MOST * PARTS} are taken at once.", field="items")
    shares: dict[str, list[uuid.UUID]] = {}
    for item, namespace in items:
        shares.setdefault(namespace, []).append(item)
    parts = [
        (namespace, number, share[first : first + MOST])
        for namespace, share in shares.items()
        for number, first in enumerate(range(0, len(share), MOST))
    ]
    if len(parts) > MOST_STARTED:
        told = (
            f"What matches lies in {len(shares)} namespaces, and takes {len(parts)} bulk verbs; at most {MOST_STARTED} "
            "are started at once. Narrow it by namespace."
        )
        raise InvalidInput(told, field="namespace")

    def once() -> list[Started]:
        return [
            Started(work=start(action, some, part=number, namespace=namespace, **asked), count=len(some))
            for namespace, number, some in parts
        ]

    return transacted(work_database(), once)


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
    caller: Caller

    @property
    def user(self) -> Any:
        """What operations ask for permissions."""
        return self.caller.by


def _do(payload: dict[str, Any], items: Sequence[str], *, click: str) -> list[dict[str, Any]] | str:
    """Do it to each item; return what became of them, or why nobody may do it any more."""
    asked = _asked(payload)
    if isinstance(asked, str):
        return asked
    # A fork takes over a sealed payload; `relation` stays when the original is pruned, `forked_from` does not.
    if not WorkItem.objects.using(work_database()).filter(pk=uuid.UUID(click), relation="").exists():
        return "A copy of a bulk verb does nothing. Ask for the verb again."
    wanted = [uuid.UUID(item) for item in items]
    reached = _reached(asked.caller, wanted)
    results = [_one(asked, payload, item, click) if item in reached else _out_of_reach(item) for item in wanted]
    if not isinstance(asked.user, TokenHolder):  # whose name stands in the events; Django's log is of users
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
    by = payload["by"]
    caller = Caller.of_key(by if ":" in by else f"user:{by}")
    if action is None or caller is None or not action.allowed(caller.by):
        return f"Whoever asked for {payload['verb']} may not do it any more; the rest was left as it is."
    return _Asked(action=action, caller=caller)


def _reached(caller: Caller, items: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of the items that the caller reaches now: a token's namespaces may have changed meanwhile."""
    if caller.namespaces is None:
        return set(items)
    rows = WorkItem.objects.using(work_database()).filter(pk__in=items, namespace__in=caller.namespaces)
    return set(rows.values_list("pk", flat=True))


def _out_of_reach(item: uuid.UUID) -> Result:
    confirmation = Confirmation(subject=item, row_version=0, event_seq=0)
    return Result(confirmation=confirmation, skipped=f"There is no work item {item}.")


def _one(asked: _Asked, payload: dict[str, Any], item: uuid.UUID, click: str) -> Result:
    confirmation = Confirmation(subject=item, row_version=0, event_seq=0)
    once = {"idempotency_key": f"{click}:{item}"} if asked.action.makes_new else {}
    told = {**json.loads(payload["values"]), **once, "by": asked.user, "reason": payload["reason"], "click": click}
    before = _done_before(asked, item, click)
    if before is not None:
        return Result(confirmation=confirmation, item=before)
    try:
        with locked_is_conflict(item), impatiently(LOCK_MS):
            return Result(confirmation=confirmation, item=asked.action.asking(item, **told).execute())
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
