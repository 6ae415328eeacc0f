"""Check what an imported document says in columns of JSON that Roost itself reads; what engines put in is theirs. Pure.

Whoever reads a stored row relies on these shapes, long after the import: lists of all items, the sweep, a person's
answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.choices import EventKind, WaitKind, WaitState
from runtime.exceptions import InvalidInput
from runtime.models import Wait, WorkItem
from runtime.schemas import check_schema

_TEXTS = ("type", "code", "category", "message", "traceback")
_ERRORS = (EventKind.RETRY, EventKind.FAILED)


def require_shapes(item: WorkItem, rows: Mapping[str, Sequence[Any]], *, redacted: bool) -> None:
    """Raise `InvalidInput`, naming the place, for what the readers of these rows would stumble over.

    The schema of a question that redaction has broken is left out: what it allowed is not known any more.
    """
    _require(_is_error(item.last_error), "item.last_error")
    for place, event in enumerate(rows["events"]):
        shaped = _is_error(event.data) if event.kind in _ERRORS else _is_object(event.data)
        _require(shaped, f"events[{place}].data")
    for place, entry in enumerate(rows["journal"]):
        _require(_is_error(entry.error), f"journal[{place}].error")
    for place, wait in enumerate(rows["waits"]):
        _wait(wait, f"waits[{place}]", redacted=redacted)


def _wait(wait: Wait, where: str, *, redacted: bool) -> None:
    _require(_all(wait.answers, _is_vote), f"{where}.answers")
    _require(_all(wait.spawned, _is_id), f"{where}.spawned")
    if wait.kind == WaitKind.CHILDREN:
        _require(_are_terms(wait.data), f"{where}.data")
        if wait.state in (WaitState.RESOLVED, WaitState.CONSUMED) and wait.resolution is not None:
            _require(_all(wait.resolution, _is_end), f"{where}.resolution")
    if wait.schema is not None:
        try:
            check_schema(wait.schema, f"{where}.schema")
        except InvalidInput:
            if not redacted:
                raise
            wait.schema = None


def _require(shaped: bool, where: str) -> None:
    if not shaped:
        raise InvalidInput(f"{where} is of another form than an export writes.", field=where)


def _all(value: Any, shaped: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(shaped, value))


def _is_object(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _is_error(value: Any) -> bool:
    return value is None or (_is_object(value) and all(isinstance(value.get(name, ""), str) for name in _TEXTS))


def _is_vote(value: Any) -> bool:
    return isinstance(value, Mapping) and "value" in value and _has_texts(value, "by", "reason", "at")


def _is_end(value: Any) -> bool:
    return isinstance(value, Mapping) and "result" in value and _has_texts(value, "id", "engine", "state")


def _has_texts(value: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(value.get(name), str) for name in names)


def _is_id(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False


def _are_terms(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    need = value.get("need")
    counted = isinstance(need, int) and not isinstance(need, bool) and need >= 1
    known = value.get("on_failure") in ("wait", "wake", "fail")
    return _all(value.get("children"), _is_id) and known and (counted or need in ("all", "any"))
