"""What workers remember of items, what they make of them, and what an operator does to them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from runtime.choices import TERMINAL, EventKind, Reason, State
from runtime.models import Lease, WorkItem
from runtime.store.values import Claimed, Move, NewEvent
from tests.contracts.builders import Hand, new_item

KEYS = ["a", "b", "c"]
RESOURCES = st.lists(
    st.builds(
        lambda key, mode, scope: {"key": key, "mode": mode, "scope": scope},
        st.sampled_from(KEYS),
        st.sampled_from(["exclusive", "shared", "counted"]),
        st.sampled_from(["step", "item"]),
    ),
    max_size=2,
    unique_by=lambda entry: entry["key"],
)


class Grip:
    """What a worker remembers of an item that it has claimed, rightly or not."""

    def __init__(self, hand: Hand, claimed: Claimed) -> None:
        self.hand = hand
        self.claimed = claimed
        self.version = claimed.version
        self.data = claimed.data
        self.over = False


def decide(verb: str, found: WorkItem) -> Move | None:
    """Return how an operator's verb moves the item; None where it does not."""
    running = found.state == State.RUNNING
    match verb:
        case "cancel":
            return Move(kind=EventKind.CANCELLED, state=State.CANCELLED, reason="", fence=running)
        case "requeue" if found.state in {State.RUNNING, State.QUEUED}:
            return Move(kind=EventKind.REQUEUED, state=State.QUEUED, reason=Reason.REQUEUED, fence=running)
        case "pause" if running:
            return Move(kind=EventKind.PAUSED, changes={"pause_requested": True})
        case "pause" | "pause now":
            return Move(kind=EventKind.PAUSED, state=State.PAUSED, reason=Reason.OPERATOR, fence=running)
        case "resume" if found.state == State.PAUSED:
            return Move(kind=EventKind.RESUMED, state=found.paused_from, reason=Reason.CONTINUE, delay=None)
        case "redrive" if found.state in TERMINAL:
            restore = found.version if found.version else None
            return Move(
                kind=EventKind.REDRIVEN, state=State.QUEUED, reason="redriven", restore=restore, clear_errors=True
            )
        case "priority":
            return Move(kind=EventKind.PRIORITY, changes={"priority": found.priority + 1})
    return None


def outcome(grip: Grip, end: str, children: int) -> dict[str, Any]:
    """Return what a step that ends so commits."""
    advances = end in {"go on", "delay", "done", "signal"}
    states = {"go on": State.RUNNING, "done": State.DONE, "fail": State.FAILED, "signal": State.WAITING}
    reasons = {"delay": Reason.DELAY, "wait": Reason.DELAY, "retry": Reason.RETRY, "signal": Reason.SIGNAL}
    values: dict[str, Any] = {
        "state": states.get(end, State.QUEUED),
        "reason": reasons.get(end, Reason.PERMANENT_ERROR if end == "fail" else ""),
        "version": grip.version,
        "advance": advances,
        "initial": '{"count": 0}' if grip.data is None else None,
        "delay": 3.0 if end == "delay" else 0.0,
        "events": (NewEvent(kind=EventKind.STEP if advances else EventKind.WAITED), NewEvent(kind=EventKind.LOG)),
        "children": tuple(new_item(parent_id=grip.claimed.id) for _ in range(children)),
    }
    if end in {"retry", "fail"}:
        values |= {"error": '{"message": "no"}', "fingerprint": "f", "attempt": grip.claimed.attempt + 1}
    return values


def is_blocked(item: WorkItem) -> bool:
    """Say whether something that the item wants is held, told in another way than the store tells it."""
    if Lease.objects.filter(pk=item.pk).exists():
        return True
    for wanted in item.claims.filter(held=False).select_related("resource"):
        others = wanted.resource.claims.filter(held=True).exclude(work_item=item.pk)
        modes = list(others.values_list("mode", flat=True))
        if modes and ("exclusive" in modes or wanted.mode == "exclusive"):
            return True
        used = sum(other.units for other in others if other.mode == "counted")
        if wanted.mode == "counted" and used + wanted.units > wanted.resource.capacity:
            return True
    return False
