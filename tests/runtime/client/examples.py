"""Every call of the client, with everything that may be said."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from runtime.client import calls, verbs
from runtime.client.call import Call

ITEM = uuid.UUID("0197c2d1-0000-7000-8000-000000000001")
THEN = dt.datetime(2030, 1, 31, 12, tzinfo=dt.UTC)
OPTIONS: calls.ItemOptions = {
    "namespace": "shop",
    "run_at": THEN,
    "delay": dt.timedelta(minutes=1),
    "priority": 5,
    "deadline": 60.0,
    "resources": ["repo", {"key": "db", "mode": "shared"}],
    "fair_key": "ann",
    "pool": "gpu",
    "parent": ITEM,
    "relation": "child",
    "max_attempts": 3,
    "max_steps": 10,
    "pause_after": 2,
    "step_timeout": 30.0,
    "item_timeout": dt.timedelta(hours=1),
}
VERB: verbs.VerbOptions = {"reason": "said so", "row_version": 7, "idempotency_key": "once"}

EXAMPLES: list[Call[Any]] = [
    calls.enqueue("counter", {"count_to": 3}, idempotency_key="order-7", **OPTIONS),
    calls.enqueue_many([{"engine": "counter", "payload": None, "idempotency_key": "a", **OPTIONS}]),
    calls.get(ITEM),
    calls.outcome(ITEM, wait=30),
    calls.items(
        state=["queued", "running"],
        reason="new",
        engine="counter",
        namespace="shop",
        key="order-7",
        fingerprint="f",
        parent=ITEM,
        page_size=20,
    ),
    calls.events(ITEM, page_size=20),
    calls.approvals(kind="approval", namespace="shop", page_size=20),
    calls.signals(name="paid", namespace="shop", item=ITEM, taken=True, page_size=20),
    calls.dead_letters(
        engine="counter",
        namespace="shop",
        reason="poison",
        fingerprint="f",
        category="transient",
        acknowledged=True,
        page_size=20,
    ),
    calls.stream(engine="counter", item=ITEM, namespace="shop", last_event_id="s1"),
    verbs.cancel(ITEM, **VERB),
    verbs.requeue(ITEM, **VERB),
    verbs.redrive(ITEM, from_version=1, max_steps=10, **VERB),
    verbs.redrive_many([ITEM], idempotency_key="once"),
    verbs.redrive_many(
        engine="counter", namespace="shop", fingerprint="f", category="transient", failed_because="poison", reason="go"
    ),
    verbs.pause(ITEM, now=True, **VERB),
    verbs.resume(ITEM, steps=3, **VERB),
    verbs.approve(ITEM, key="refund", **VERB),
    verbs.reject(ITEM, key="refund", **VERB),
    verbs.respond(ITEM, {"amount": 1}, key="refund", **VERB),
    verbs.signal("paid", {"amount": 1}, namespace="shop", delivery_id="d-1"),
    verbs.signal("paid", {"amount": 1}, item=ITEM, delivery_id="d-1"),
]
