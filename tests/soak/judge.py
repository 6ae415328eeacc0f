"""Say what is lost, doubled or stuck: by what was accepted, by the tables, and by what the outside has seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from django.db.models import Count

from runtime.choices import TERMINAL, State
from runtime.exceptions import RoostError
from runtime.models import Artifact, Event, JournalEntry, Schedule, WorkItem
from runtime.queries import verify
from runtime.queries.why import why
from runtime.store import blobs
from tests.ledger.models import Entry
from tests.processes.service import Service
from tests.soak.load import SCHEDULE, Piece

CALLS = {"rating": "/ratings", "pay": "/payments"}
CALLERS = {"refund": 2, "letter": 1}
"""How many recorded calls each makes until it is done."""
STEPPED = ("counter", "hop", "write")


class Wrong(NamedTuple):
    """Something that must not be."""

    what: Literal["lost", "doubled", "stuck", "invalid"]
    text: str


def judge(pieces: Iterable[Piece], service: Service) -> list[Wrong]:
    """Look at everything once all is over."""
    found = [*_stuck(), *_items(pieces), *_steps(), *_rows(), *_calls(service), *_files(), *_firings()]
    return [*found, *(Wrong("invalid", f"{one.item}: {one.code}: {one.text}") for one in verify.everything())]


def _stuck() -> Iterator[Wrong]:
    for item in WorkItem.objects.exclude(state__in=TERMINAL):
        yield Wrong("stuck", f"{item.engine} {item.pk} {item.state} ({item.reason}): {why(item).text}")


def _items(pieces: Iterable[Piece]) -> Iterator[Wrong]:
    items = {item.idempotency_key: item for item in WorkItem.objects.filter(idempotency_key__isnull=False)}
    kids = Counter(WorkItem.objects.filter(parent__isnull=False).values_list("parent", flat=True))
    for piece in pieces:
        item = items.get(piece.key)
        if item is None:
            yield Wrong("lost", f"{piece.key} was accepted and is not there")
        elif item.state in TERMINAL:
            yield from _item(piece, item, kids[item.pk])
    for item in WorkItem.objects.filter(state__in=[State.FAILED, State.CANCELLED], parent__isnull=False):
        yield Wrong("lost", f"child {item.pk} of {item.parent_id} is {item.state}: {item.last_error}")


def _item(piece: Piece, item: WorkItem, kids: int) -> Iterator[Wrong]:
    if item.state != State.DONE:
        yield Wrong("lost", f"{piece.key} ({item.pk}) is {item.state} ({item.reason}): {item.last_error}")
        return
    wanted = _result(piece, item)
    if item.result != wanted:
        yield Wrong("lost", f"{piece.key} ({item.pk}) came to {item.result}, not to {wanted}")
    children = {"gather": piece.payload.get("kids"), "refund": 1}.get(piece.kind, 0)
    if kids != children:
        yield Wrong("doubled" if kids > children else "lost", f"{piece.key} ({item.pk}) has {kids} children")


def _result(piece: Piece, item: WorkItem) -> Any:
    """Return what the piece must come to."""
    if piece.kind == "gather":
        return {"kids": ["done"] * piece.payload["kids"], "word": piece.key}
    if piece.kind == "refund":
        return {**(item.result or {}), "refunded": piece.payload["amount"]}
    return {"count" if piece.engine == "counter" else "n": piece.steps}


def _steps() -> Iterator[Wrong]:
    """Every step of what counts its steps is there, once: as version and as event."""
    done = WorkItem.objects.filter(state=State.DONE)
    told = Counter(Event.objects.filter(kind="step", work_item__engine__in=STEPPED).values_list("work_item", flat=True))
    for pk, engine, version, payload in done.filter(engine__in=STEPPED).values_list(
        "pk", "engine", "version", "payload"
    ):
        steps = payload["count_to" if engine == "counter" else "steps"]
        for name, count in (("versions", version), ("steps in its history", told[pk])):
            if count != steps:
                yield Wrong("doubled" if count > steps else "lost", f"{engine} {pk} has {count} {name}, not {steps}")


def _rows() -> Iterator[Wrong]:
    """Every atomic step has left its row, once."""
    for row in Entry.objects.values("item", "number").annotate(count=Count("pk")).filter(count__gt=1).order_by():
        yield Wrong("doubled", f"write {row['item']} has row {row['number']} {row['count']} times")
    rows = dict(Entry.objects.values_list("item").annotate(Count("pk")).order_by())
    done = WorkItem.objects.filter(engine="write", state=State.DONE)
    for pk, payload in done.values_list("pk", "payload"):
        if rows.get(pk, 0) < payload["steps"]:
            yield Wrong("lost", f"write {pk} has {rows.get(pk, 0)} rows, not {payload['steps']}")


def _calls(service: Service) -> Iterator[Wrong]:
    """Every call has had one effect; no request went out that the journal does not know of."""
    entries = JournalEntry.objects.filter(work_item__engine__in=CALLERS, work_item__state=State.DONE)
    made = Counter(entries.values_list("work_item", flat=True))
    for pk, engine in WorkItem.objects.filter(engine__in=CALLERS, state=State.DONE).values_list("pk", "engine"):
        if made[pk] != CALLERS[engine]:
            yield Wrong("doubled" if made[pk] > CALLERS[engine] else "lost", f"{engine} {pk} made {made[pk]} calls")
    for name, attempts, order in entries.values_list("key", "attempts", "work_item__payload__order"):
        path = f"/{order}{CALLS.get(name, '/letters')}"
        effects, requests = service.made(path), service.requests[path]
        if effects != 1:
            yield Wrong("doubled" if effects > 1 else "lost", f"{path} had {effects} effects")
        if requests > attempts:
            yield Wrong("doubled", f"{path} was asked {requests} times, and the journal knows of {attempts}")


def _files() -> Iterator[Wrong]:
    """Every file that a row names is there, whole, and every refund has left one."""
    for artifact in Artifact.objects.order_by("pk"):
        try:
            blobs.read_artifact(artifact)
        except RoostError as error:
            yield Wrong("lost", f"{artifact.name} of {artifact.work_item_id} cannot be read: {error}")
    kept = Counter(Artifact.objects.values_list("work_item", flat=True))
    for pk in WorkItem.objects.filter(engine="refund", state=State.DONE).values_list("pk", flat=True):
        if kept[pk] != 1:
            yield Wrong("doubled" if kept[pk] else "lost", f"refund {pk} has left {kept[pk]} files")


def _firings() -> Iterator[Wrong]:
    """Every second of the schedule has one item."""
    schedule = Schedule.objects.get(name=SCHEDULE)
    moments = Counter(
        WorkItem.objects.filter(idempotency_key__startswith=f"schedule:{schedule.pk}:").values_list(
            "payload__at", flat=True
        )
    )
    for moment, count in moments.items():
        if count > 1:
            yield Wrong("doubled", f"the schedule fired {count} times for {moment}")
    if len(moments) != schedule.fired_total:
        yield Wrong("lost", f"the schedule fired {schedule.fired_total} times and left {len(moments)} items")
