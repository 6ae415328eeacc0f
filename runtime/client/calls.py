"""Enqueue and look: what can be asked of the API, one function a call. No IO.

Where an Idempotency-Key is possible and none is given, one is made, so that the call may be sent again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Required, TypedDict, Unpack

from runtime.client.call import Call, ItemId, key_of, listing, query_of, question, read_as, request, said
from runtime.client.shapes import (
    DeadLetter,
    Enqueued,
    EnqueuedItems,
    Event,
    Item,
    ItemHead,
    Outcome,
    Page,
    Signal,
    Wait,
)

LONGEST_WAIT = 30.0

Moment = dt.datetime
Seconds = float | dt.timedelta


class ItemOptions(TypedDict, total=False):
    """How an item is to be treated; what is left out has the default of its engine or of the settings."""

    namespace: str
    delay: Seconds
    run_at: Moment
    priority: int
    deadline: Moment | Seconds
    resources: list[str | dict[str, Any]]
    fair_key: str
    pool: str
    parent: ItemId
    relation: str
    max_attempts: int
    max_steps: int
    pause_after: int
    step_timeout: Seconds
    item_timeout: Seconds


class NewItem(ItemOptions, total=False):
    """An item of a bulk."""

    engine: Required[str]
    payload: Any
    idempotency_key: str


# Enqueue ------------------------------------------------------------------------------------------------------------


def enqueue(
    engine: str, payload: Any = None, *, idempotency_key: str | None = None, **options: Unpack[ItemOptions]
) -> Call[Item]:
    """Enqueue an item, once for each idempotency key; a key that was used before gives the item it made.

    Raises `IdempotencyConflict` for a key that was used with another engine or payload.
    """
    body = said(engine=engine, payload=payload, **options)
    return request("enqueueWorkItem", "/work-items", Item, body, headers=key_of(idempotency_key))


def enqueue_many(items: Iterable[NewItem], *, idempotency_key: str | None = None) -> Call[tuple[Enqueued, ...]]:
    """Enqueue up to 1,000 items, all or none; an item without a key has `<idempotency_key>:<place>`."""
    return Call(
        name="enqueueWorkItems",
        method="POST",
        path="/work-items/bulk",
        read=lambda told: read_as(EnqueuedItems, told).items,
        body={"items": [said(**item) for item in items]},
        headers=key_of(idempotency_key),
    )


# Look ---------------------------------------------------------------------------------------------------------------


def get(item: ItemId) -> Call[Item]:
    """Read an item as it is."""
    return question("getWorkItem", "/work-items/{item_id}", Item, item)


def outcome(item: ItemId, *, wait: float = 0.0) -> Call[Outcome]:
    """Read what came of an item, at its end or after `wait` seconds, 30 at most."""
    query = query_of(wait=f"{min(wait, LONGEST_WAIT):g}" if wait > 0 else None)
    return question("getResult", "/work-items/{item_id}/result", Outcome, item, query=query, seconds=wait)


def items(
    *,
    state: str | Iterable[str] = (),
    reason: str | None = None,
    engine: str | None = None,
    namespace: str | None = None,
    key: str | None = None,
    fingerprint: str | None = None,
    parent: ItemId | None = None,
    page_size: int | None = None,
) -> Call[Page[ItemHead]]:
    """List items, newest first."""
    states = (state,) if isinstance(state, str) else tuple(state)
    query = query_of(reason=reason, engine=engine, namespace=namespace, key=key, fingerprint=fingerprint, parent=parent)
    query += (*(("state", one) for one in states), *query_of(limit=page_size))
    return listing("listWorkItems", "/work-items", "items", ItemHead, query)


def events(item: ItemId, *, page_size: int | None = None) -> Call[Page[Event]]:
    """List what happened to an item, oldest first, up to now."""
    return listing("listEvents", "/work-items/{item_id}/events", "events", Event, query_of(limit=page_size), item=item)


def approvals(
    *, kind: str | None = None, namespace: str | None = None, page_size: int | None = None
) -> Call[Page[Wait]]:
    """List what people are asked, newest first: approvals and inputs that are open."""
    query = query_of(kind=kind, namespace=namespace, limit=page_size)
    return listing("listApprovals", "/approvals", "waits", Wait, query)


def signals(
    *,
    name: str | None = None,
    namespace: str | None = None,
    item: ItemId | None = None,
    taken: bool = False,
    page_size: int | None = None,
) -> Call[Page[Signal]]:
    """List signals that nobody has taken yet, newest first; with `taken` the others too."""
    query = query_of(name=name, namespace=namespace, item=item, taken="true" if taken else None, limit=page_size)
    return listing("listSignals", "/signals", "signals", Signal, query)


def dead_letters(
    *,
    engine: str | None = None,
    namespace: str | None = None,
    reason: str | None = None,
    fingerprint: str | None = None,
    category: str | None = None,
    acknowledged: bool = False,
    page_size: int | None = None,
) -> Call[Page[DeadLetter]]:
    """List dead letters, newest first; those that nobody acknowledged, unless said otherwise."""
    query = query_of(engine=engine, namespace=namespace, reason=reason, fingerprint=fingerprint, category=category)
    query += query_of(acknowledged="true" if acknowledged else None, limit=page_size)
    return listing("listDeadLetters", "/dead-letters", "items", DeadLetter, query)


def stream(
    *,
    engine: str | None = None,
    item: ItemId | None = None,
    namespace: str | None = None,
    last_event_id: str | None = None,
) -> Call[None]:
    """Follow what happens, from now on or from where another stream was."""
    return Call(
        name="streamEvents",
        method="GET",
        path="/events/stream",
        read=lambda told: None,
        query=query_of(engine=engine, item=item, namespace=namespace),
        headers={"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {}),
    )
