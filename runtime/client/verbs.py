"""Decide what becomes of an item: the API's verbs, one function a call. No IO.

With `row_version`, that of the item as it was read, a verb is refused (`StaleVersion`) if the item was written since.
A verb is done once for its `idempotency_key`; where none is given one is made, so that the call may be sent again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict, Unpack

from runtime.client.call import Call, ItemId, key_of, request, said
from runtime.client.shapes import Item, SignalSent, Treated


class VerbOptions(TypedDict, total=False):
    """What may be said with every verb: why, about which version of the item, and under which key."""

    reason: str
    row_version: int
    idempotency_key: str


def cancel(item: ItemId, **options: Unpack[VerbOptions]) -> Call[Item]:
    """End an item that has not ended, and its children; a running step is thrown away."""
    return _verb("cancelWorkItem", "cancel", item, options)


def requeue(item: ItemId, **options: Unpack[VerbOptions]) -> Call[Item]:
    """Make an item due at once, from its last state."""
    return _verb("requeueWorkItem", "requeue", item, options)


def redrive(
    item: ItemId,
    *,
    from_version: int | None = None,
    max_steps: int | None = None,
    **options: Unpack[VerbOptions],
) -> Call[Item]:
    """Bring a dead letter back; steps that committed are not repeated."""
    return _verb("redriveWorkItem", "redrive", item, options, from_version=from_version, max_steps=max_steps)


def redrive_many(
    ids: Iterable[ItemId] = (),
    *,
    engine: str = "",
    namespace: str = "",
    fingerprint: str = "",
    category: str = "",
    failed_because: str = "",
    reason: str = "",
    idempotency_key: str | None = None,
) -> Call[Treated]:
    """Bring dead letters back, those with these ids or all that match, up to 500 at once."""
    filters = {"engine": engine, "namespace": namespace, "fingerprint": fingerprint, "category": category}
    filters |= {"failed_because": failed_because, "reason": reason}
    body: dict[str, Any] = {name: value for name, value in filters.items() if value}
    named = [str(one) for one in ids]
    body |= {"ids": named} if named else {}
    headers = key_of(idempotency_key)
    return request("redriveDeadLetters", "/dead-letters/redrive", Treated, body, headers=headers)


def pause(item: ItemId, *, now: bool = False, **options: Unpack[VerbOptions]) -> Call[Item]:
    """Keep an item from going on, from its step's end or, with `now`, at once."""
    return _verb("pauseWorkItem", "pause", item, options, now=now)


def resume(item: ItemId, *, steps: int | None = None, **options: Unpack[VerbOptions]) -> Call[Item]:
    """Let a paused item go on where it was; after `steps` it pauses again."""
    return _verb("resumeWorkItem", "resume", item, options, steps=steps)


def approve(item: ItemId, *, key: str | None = None, **options: Unpack[VerbOptions]) -> Call[Item]:
    """Say yes to what an item wants approved; `key` says to which, where several are open."""
    return _verb("approveWorkItem", "approve", item, options, key=key)


def reject(item: ItemId, *, key: str | None = None, **options: Unpack[VerbOptions]) -> Call[Item]:
    """Say no to what an item wants approved; `key` says to which, where several are open."""
    return _verb("rejectWorkItem", "reject", item, options, key=key)


def respond(item: ItemId, value: Any, *, key: str | None = None, **options: Unpack[VerbOptions]) -> Call[Item]:
    """Give an item the input that it waits for; `key` says which, where several are open."""
    return _verb("respondToWorkItem", "respond", item, options, key=key, value=value)


def signal(
    name: str,
    payload: Any = None,
    *,
    item: ItemId | None = None,
    namespace: str | None = None,
    delivery_id: str | None = None,
) -> Call[SignalSent]:
    """Send a signal to an item, or to whoever waits for its name in a namespace; kept until it is taken.

    A second signal with the same `delivery_id` is the first.
    """
    headers = key_of(delivery_id)
    if item is None:
        body = said(name=name, payload=payload, namespace=namespace)
        return request("sendSignal", "/signals", SignalSent, body, headers=headers)
    if namespace is not None:
        raise ValueError("A signal goes to an item or to a namespace, not to both.")
    body, path = said(name=name, payload=payload), "/work-items/{item_id}/signals"
    return request("signalWorkItem", path, SignalSent, body, item=item, headers=headers)


def _verb(name: str, path: str, item: ItemId, options: VerbOptions, **more: Any) -> Call[Item]:
    body = said(reason=options.get("reason"), **more)
    headers = key_of(options.get("idempotency_key"))
    if (seen := options.get("row_version")) is not None:
        headers["If-Match"] = f'"{seen}"'
    return request(name, f"/work-items/{{item_id}}/{path}", Item, body, item=item, headers=headers)
