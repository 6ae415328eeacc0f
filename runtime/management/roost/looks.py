"""`roost status`, `inspect`, `why`: look at one item."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.management.roost.printer import pretty
from runtime.models import Artifact, Event, Lease, ResourceClaim, Snapshot, WorkItem
from runtime.queries import timeline, waits
from runtime.queries.progress import told_by
from runtime.queries.why import Explanation
from runtime.queries.why import why as explain
from runtime.queries.words import for_people, moment, span, totals

LAST_EVENTS = 10


def register(commands: Commands) -> None:
    """Declare the commands."""
    item_argument(commands.add("status", status, about="Show an item's state, why, step, owner, events and snapshot."))
    item_argument(commands.add("inspect", inspect, about="Show everything that is stored about an item."))
    item_argument(commands.add("why", why, about="Say exactly why an item is not running."))


def status(call: Call) -> None:
    """Show what one wants to know first."""
    item = call.item()
    explained, lease = explain(item, using=call.using), _lease(item, call)
    told = timeline.last_events(item.pk, LAST_EVENTS, using=call.using)
    snapshot = timeline.snapshot(item.pk, using=call.using)
    call.printer.document(_document(item, explained, lease, told, snapshot))
    call.printer.facts(_facts(item, explained, lease))
    _events(call, told)
    _snapshot(call, snapshot)


def inspect(call: Call) -> None:
    """Show everything: also payload, configuration, result, claims, artifacts, children."""
    item = call.item()
    explained, lease = explain(item, using=call.using), _lease(item, call)
    told = timeline.last_events(item.pk, LAST_EVENTS, using=call.using)
    snapshot = timeline.snapshot(item.pk, using=call.using)
    claims = list(ResourceClaim.objects.using(call.using).filter(work_item=item).select_related("resource"))
    files = list(Artifact.objects.using(call.using).filter(work_item=item).order_by("id")[:100])
    children = WorkItem.objects.using(call.using).filter(parent=item).order_by("id").values_list("pk", flat=True)[:100]
    call.printer.document(
        {
            **_document(item, explained, lease, told, snapshot),
            "item": shapes.row(item, shapes.ITEM),
            "claims": [shapes.row(claim, shapes.CLAIM) | {"resource": claim.resource.key} for claim in claims],
            "artifacts": [shapes.row(file, shapes.ARTIFACT) for file in files],
            "children": shapes.plain(list(children)),
            "waits": [shapes.row(view.wait, shapes.WAIT) for view in waits.of_item(item, using=call.using)],
        }
    )
    call.printer.facts([*_facts(item, explained, lease), *_rest(item), ("children", ", ".join(map(str, children)))])
    for name in ("payload", "config", "result", "last_error"):
        if (value := getattr(item, name)) is not None:
            call.printer.line(f"\n{name}:\n{pretty(value)}")
    _claims(call, claims)
    _files(call, files)
    _events(call, told)
    _snapshot(call, snapshot)


def why(call: Call) -> None:
    """Say why, one cause a line."""
    explained = explain(call.item(), using=call.using)
    call.printer.document(
        {
            "id": str(explained.item),
            "state": explained.state,
            "at": shapes.plain(explained.at),
            "causes": shapes.plain(explained.causes),
        }
    )
    for cause in explained.causes:
        call.printer.line(f"{cause.code}: {cause.text}")


def _lease(item: WorkItem, call: Call) -> Lease | None:
    return Lease.objects.using(call.using).filter(pk=item.pk).select_related("worker").first()


def _document(
    item: WorkItem, explained: Explanation, lease: Lease | None, told: list[Event], snapshot: Snapshot | None
) -> dict[str, Any]:
    return {
        "item": shapes.row(item, shapes.HEAD),
        "why": [{"code": cause.code, "text": cause.text} for cause in explained.causes],
        "lease": None if lease is None else shapes.row(lease, shapes.LEASE),
        "events": [shapes.row(event, shapes.EVENT) for event in told],
        "snapshot": None if snapshot is None else shapes.row(snapshot, shapes.SNAPSHOT),
    }


def _facts(item: WorkItem, explained: Explanation, lease: Lease | None) -> Iterable[tuple[str, Any]]:
    yield "item", item.pk
    yield "state", f"{item.state} ({for_people(item.reason)})" if item.reason else item.state
    yield "why", explained.text
    yield "engine", f"{item.engine} {item.engine_version}"
    yield "step", item.step_label
    yield "version", item.version
    yield "attempt", f"{item.attempt} of {item.max_attempts} failed" if item.attempt else ""
    yield "deaths", item.deaths or ""
    if lease is not None:
        until = "revoked" if lease.revoked_at else f"until {moment(lease.expires_at)}"
        yield "owner", f"{getattr(lease, 'worker', None) or lease.worker_id}, epoch {lease.epoch}, {until}"
    told = told_by(lease, item)
    yield "progress", told.text if told else ""
    yield "resources", ", ".join(resource["key"] for resource in item.resources)
    yield "created", moment(item.created_at)
    yield "finished", moment(item.finished_at) if item.finished_at else ""


def _rest(item: WorkItem) -> Iterable[tuple[str, Any]]:
    yield "namespace", item.namespace
    yield "pool", item.pool
    yield "priority", item.priority
    yield "fair key", item.fair_key
    yield "key", item.idempotency_key
    yield "parent", item.parent_id
    yield "legal hold", "yes" if item.legal_hold else ""
    yield "deadline", moment(item.deadline_at) if item.deadline_at else ""
    yield "epoch", item.epoch
    yield "row version", item.row_version
    yield "totals", totals(item)
    yield "acknowledged", f"{moment(item.acknowledged_at)} by {item.acknowledged_by}" if item.acknowledged_at else ""


def _events(call: Call, told: list[Event]) -> None:
    call.printer.line("\nlast events:")
    call.printer.table(EVENT_HEADERS, (event_cells(event) for event in told), empty="none")


EVENT_HEADERS = ("seq", "at", "kind", "version", "epoch", "by", "reason", "took")


def event_cells(event: Event) -> tuple[Any, ...]:
    """Return an event as a row for people."""
    took = "" if event.duration is None else span(event.duration)
    by = event.actor or (str(event.worker)[-12:] if event.worker else "")
    return event.seq, moment(event.created_at), event.kind, event.version, event.epoch, by, event.reason_text, took


def _snapshot(call: Call, snapshot: Snapshot | None) -> None:
    if snapshot is None:
        call.printer.line("\nno snapshot yet: no step has committed")
        return
    restored = "" if snapshot.restored_from is None else f", restored from {snapshot.restored_from}"
    call.printer.line(f"\nsnapshot {snapshot.version}{restored}:\n{pretty(snapshot.data)}")


def _claims(call: Call, claims: list[ResourceClaim]) -> None:
    call.printer.line("\nclaims:")
    rows = (
        (claim.resource.key, claim.mode, claim.units, claim.scope, "held" if claim.held else "wanted")
        for claim in claims
    )
    call.printer.table(("resource", "mode", "units", "scope", "state"), rows, empty="none")


def _files(call: Call, files: list[Artifact]) -> None:
    call.printer.line("\nartifacts:")
    rows = ((file.name, file.kind, file.size, file.sha256, file.version) for file in files)
    call.printer.table(("name", "kind", "bytes", "sha256", "version"), rows, empty="none")
