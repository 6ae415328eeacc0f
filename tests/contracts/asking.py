"""Ask, answer and send signals through the store's contract alone."""

from __future__ import annotations

import json
import uuid
from typing import Any

from runtime.choices import EventKind, Reason, State, WaitState
from runtime.models import Wait
from runtime.models.workitem import new_id
from runtime.store.values import Claimed, NewSignal, NewWait, WaitAnswer
from tests.contracts.builders import Hand, moved, new_item, put


def wait_for(key: str = "go", kind: str = "signal", **values: Any) -> NewWait:
    """Return something to wait for; `children` has the usual terms."""
    if kind == "signal":
        values.setdefault("signal_name", key)
    if kind == "children":
        terms = {"children": [], "need": "all", "on_failure": "wait", **values.pop("terms", {})}
        values["data"] = json.dumps(terms)
    return NewWait(key=key, kind=kind, **values)


def park(hand: Hand, claimed: Claimed, *waits: NewWait, **values: Any) -> str | None:
    """Commit the outcome of a step that asks."""
    values.setdefault("advance", False)
    if not values["advance"]:
        values["initial"] = '{"count": 0}' if claimed.data is None else None
    return hand.commit(claimed, State.WAITING, reason=waits[0].kind, waits=waits, **values)


def waiting(hand: Hand, *waits: NewWait, **values: Any) -> uuid.UUID:
    """Return an item that waits."""
    pk = put(**values)
    assert park(hand, hand.take(), *waits) == State.WAITING
    return pk


def signal(name: str = "go", payload: Any = None, **values: Any) -> NewSignal:
    """Return a signal."""
    return NewSignal(**{"id": new_id(), "namespace": "default", "name": name, "payload": payload, **values})


def told(claimed: Claimed) -> dict[str, Any]:
    """Return the values that a claimed item's step is told, by key."""
    assert claimed.answers is not None
    return {answer["key"]: answer["value"] for answer in json.loads(claimed.answers)["answers"]}


def answer(pk: uuid.UUID, value: Any = True) -> Any:
    """Answer the only open wait of an item as a person would."""
    found = Wait.objects.get(work_item=pk, state=WaitState.OPEN)
    given = WaitAnswer(wait=found.pk, by="ann", reason="", value=value, final=True)
    return moved(pk, EventKind.APPROVED, answer=given)


def with_children(hand: Hand, count: int, **terms: Any) -> tuple[uuid.UUID, list[Claimed]]:
    """Return an item that waits for that many children, and these, running."""
    pk = put()
    claimed = hand.take()
    children = tuple(new_item(parent_id=pk, relation="child") for _ in range(count))
    assert park(hand, claimed, wait_for("kids", "children", terms=terms), children=children) == State.WAITING
    return pk, hand.claim()


def ends(hand: Hand, child: Claimed, state: str = State.DONE, **values: Any) -> str | None:
    """Commit the end of a child."""
    if state == State.FAILED:
        values |= {"error": '{"type": "E", "message": "m", "code": "c"}', "reason": Reason.PERMANENT_ERROR}
    return hand.commit(child, state, has_parent=True, **values)
