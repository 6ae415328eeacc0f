"""Write what a webhook target is told of an item, bounded, and without what looks like a secret."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.core.signing import Signer
from django.utils.crypto import constant_time_compare

from runtime import jsondata, offload
from runtime.choices import WaitState
from runtime.conf import settings as roost
from runtime.exceptions import NotJSON
from runtime.models import Wait, WorkItem
from runtime.queries.redaction import redacted

CONTENTS = ("result", "error", "payload", "waits")
DEFAULT_CONTENTS = ("result", "error", "waits")
MAX_BODY = 256 * 1024
"""Bytes of a notice; the parts that make it larger are left out, and named, and so is what was moved out of its row."""
MOST_WAITS = 50

_TOLD = ("engine", "engine_version", "namespace", "state", "reason", "step_label")
_ERROR = ("type", "code", "message", "category")


def event_of(item: WorkItem) -> str:
    """Return the name of what has happened to the item, as receivers read it."""
    return f"item.{item.state}"


def body_of(using: str, item: WorkItem, contents: Collection[str], now: dt.datetime, *, redact: bool) -> str:
    """Return the notice as JSON text of at most `MAX_BODY` bytes."""
    told: dict[str, Any] = {"event": event_of(item), "at": _iso(now), "item": _item(item)}
    parts = {name: value for name, value in _parts(using, item).items() if name in contents and value is not None}
    # What was moved to the artifact storage is large, and reading it would hold up the transaction.
    references = {name: offload.in_value(value) for name, value in parts.items()}
    moved = {name: _moved(found, redact=redact) for name, found in references.items() if found is not None}
    left_out = list(moved)
    told |= {"moved": moved} if moved else {}
    parts = {name: value for name, value in parts.items() if name not in moved}
    shown = redacted(parts) if redact else parts
    most = min(MAX_BODY, roost.MAX_PAYLOAD_BYTES // 2)
    while True:
        whole = {**told, **shown, **({"left_out": left_out} if left_out else {})}
        try:
            return jsondata.dumps(whole, what="notice", max_bytes=most)
        except NotJSON:
            largest = max(shown, key=lambda name: len(repr(shown[name])), default="")
            if not largest:
                raise
            left_out.append(largest)
            shown = {name: value for name, value in shown.items() if name != largest}


def _moved(found: offload.Reference, *, redact: bool) -> dict[str, Any]:
    """Return what is told of a value that was moved: enough to fetch it by the item's id, and to know it is the one.

    Where secrets are to be taken out the hash is too: whoever knows all of a value but a short secret could find that.
    """
    return {"bytes": found.size} if redact else {"bytes": found.size, "sha256": found.sha256}


def _item(item: WorkItem) -> dict[str, Any]:
    return {
        "id": str(item.pk),
        # State and reason may be members of an enumeration here, which are no JSON.
        **{name: str(getattr(item, name)) for name in _TOLD},
        "version": item.version,
        "attempt": item.attempt,
        "parent": None if item.parent_id is None else str(item.parent_id),
        "created_at": _iso(item.created_at),
        "finished_at": _iso(item.finished_at),
    }


def _parts(using: str, item: WorkItem) -> dict[str, Any]:
    """Return the parts that a target may ask for; of an error, never the traceback."""
    error = item.last_error
    kept = {name: error[name] for name in _ERROR if name in error} if isinstance(error, dict) else None
    return {
        "result": item.result,
        "error": kept,
        "payload": item.payload,
        "waits": _waits(using, item) if item.asked else None,
    }


def _waits(using: str, item: WorkItem) -> list[dict[str, Any]] | None:
    rows = Wait.objects.using(using).filter(work_item=item.pk, state=WaitState.OPEN).exclude(needed="")
    names = ("key", "kind", "prompt", "signal_name", "quorum", "expires_at")
    found = rows.order_by("created_at", "pk").values(*names)[:MOST_WAITS]
    return [{**wait, "expires_at": _iso(wait["expires_at"])} for wait in found] or None


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).isoformat(timespec="milliseconds")


def sealed(target: int | str, event: str, body: str) -> dict[str, Any]:
    """Return the payload of a delivery: an item of any other payload is signed for nobody."""
    told = {"target": target, "event": event, "body": body}
    return {**told, "seal": _signer().signature(_text(told))}


def is_sealed(payload: Any) -> bool:
    """Say whether Roost itself wrote this payload, and nobody changed it: not who may enqueue items, or fork them."""
    text = _text(payload)
    return any(constant_time_compare(_signer(key).signature(text), payload["seal"]) for key in _keys())


def _text(payload: Any) -> str:
    # A number is a row, a text a name in the settings: 7 and "7" are not the same target.
    return f"{payload['target']!r}:{payload['event']}:{payload['body']}"


def _signer(key: str | bytes | None = None) -> Signer:
    return Signer(key=key, salt="roost.delivery")


def _keys() -> list[str | bytes]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
