"""Rows that the console's verbs would change, rows that they would not, and what is typed to confirm each."""

from __future__ import annotations

from itertools import count
from typing import Any

from runtime.journal.entries import question_key
from runtime.operations.schedule_moves import pause_schedule
from runtime.operations.schedules import set_schedule
from tests.factories import JournalEntryFactory, ResourceClaimFactory, WaitFactory, WorkItemFactory

STATES = {
    "redrive": "failed",
    "acknowledge": "failed",
    "requeue": "done",
    "follow_up": "done",
    "fork": "done",
    "resume": "paused",
    "release": "running",
    "unhold": "legal_hold",
}
"""What has to be true of an item for a verb to change it; any live item will do for the others."""

ENDED = frozenset({"redrive", "acknowledge", "pause", "signal", "prioritise", "cancel"})
"""Verbs that a done item refuses; the others refuse a queued one."""

numbers = count()

TYPED = {"value-name": "go", "value-priority": "3", "value-value": '"yes"', "reason": "because", "confirmed": "yes"}


def subject(model: str, verb: str) -> Any:
    """Make a row that the verb would change."""
    if model == "schedule":
        return _schedule(paused=verb == "resume")
    if model == "wait":
        return WaitFactory(kind="input" if verb == "respond" else "approval")
    if verb == "reset_call":
        return JournalEntryFactory(state="failed").work_item
    if verb == "release_claim":
        return ResourceClaimFactory(work_item=WorkItemFactory(limited=True)).work_item
    return WorkItemFactory(**{STATES[verb]: True} if verb in STATES else {})


def unfit(model: str, verb: str) -> Any:
    """Make a row that the verb would not change, which is known as late as can be."""
    if model == "schedule":
        return _refused() if verb == "run" else _schedule(paused=verb == "pause")
    if model == "wait":
        return WaitFactory(kind="input" if verb == "respond" else "approval", state="resolved", resolved_by="ann")
    if verb == "hold":
        return WorkItemFactory(legal_hold=True)
    if verb == "reset_call":
        return asked_about().work_item
    return WorkItemFactory(limited=True, **{"done": True} if verb in ENDED else {})


def chosen(verb: str, row: Any) -> dict[str, str]:
    """Return what has to be chosen for this row."""
    if verb == "reset_call":
        return {"value-key": row.journal.get().key}
    return {"value-resource": row.claims.get().resource.key} if verb == "release_claim" else {}


def asked_about(**values: Any) -> Any:
    """Make a call in doubt about which its item asks a person."""
    call = JournalEntryFactory(work_item=WorkItemFactory(waiting=True), state="started", **values)
    WaitFactory(work_item=call.work_item, key=question_key(call.key, call.attempts), kind="input")
    return call


def _schedule(*, paused: bool) -> Any:
    made = set_schedule(f"figures-{next(numbers)}", engine="counter", payload={"count_to": 3}, every=60)
    return pause_schedule(made.name) if paused else made


def _refused() -> Any:
    """Make a schedule whose engine has come to refuse its payload."""
    made = _schedule(paused=False)
    return made.compare_and_set(payload={"count_to": "many"})
