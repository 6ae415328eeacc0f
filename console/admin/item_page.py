"""Gather what an item's page shows: bounded sections, a fixed number of queries however long the story is."""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from console.actions import Confirmation, OperatorAction
from console.admin import display
from console.admin.base import may_read_payload, may_view
from console.admin.journal import JournalEntryAdmin
from console.admin.waits import WaitAdmin, answers_to
from console.item_actions import ACTIONS
from console.wait_actions import WaitAction
from runtime import reach
from runtime.choices import JournalState
from runtime.journal.entries import question_key
from runtime.models import Artifact, Event, JournalEntry, Lease, ResourceClaim, Snapshot, Wait, Worker, WorkItem
from runtime.queries import feed
from runtime.queries.items import HEAVY
from runtime.queries.journal import RecordedCall, may_be_reset, recorded, resettable
from runtime.queries.progress import told_by
from runtime.queries.redaction import shown
from runtime.queries.why import Explanation, why
from runtime.queries.within import narrowed
from runtime.queries.words import spent
from runtime.store import work_database

EVENTS = 30
ROWS = 10
RESET = next(action for action in ACTIONS if action.name == "reset_call")


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """The last rows of a table that belong to the item; `all_url` leads to all of them when there are `more`.

    `allowed` is false when the user may not see that table; then there are no rows.
    """

    rows: tuple[Any, ...] = ()
    more: bool = False
    all_url: str = ""
    allowed: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldEvent:
    """An event with what its row on the page says."""

    event: Event
    after: str
    by: SafeString | str
    data: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldWait:
    """A wait with what the user may answer to it."""

    wait: Wait
    token: str
    answers: tuple[WaitAction, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldCall:
    """A recorded call; `resets` says whether the user may have it forgotten now, `question` is who decides else."""

    call: RecordedCall
    resets: bool
    question: ToldWait | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemPage:
    """All that an item's page shows beside the item's columns. `cursor` was taken before anything was read."""

    item: WorkItem
    cursor: str
    watched: str
    confirmation: str
    verbs: tuple[OperatorAction, ...]
    why: Explanation
    error: dict[str, Any] | None
    state: Snapshot | None
    events: Section
    snapshots: Section
    artifacts: Section
    claims: Section
    waits: Section
    calls: Section
    children: Section
    forks: Section
    lease: Lease | None
    owner: SafeString | str
    progress: str
    reads_payload: bool

    @property
    def used(self) -> str:
        """What the item's steps say that they have used."""
        return spent(self.item.tokens_total, self.item.cost_total)


def item_page(request: HttpRequest, item: WorkItem) -> ItemPage:
    """Return the page of an item, as far as the user may see it."""
    using = work_database()
    cursor = feed.start(using=using)
    reads = may_read_payload(request)
    seen = _seen(item, reads=reads)
    lease = _lease(request, item, using)
    told = told_by(lease, item) if reads else None
    children = _others(request, "parent", item, using)
    forks = _others(request, "forked_from", item, using)
    waits = _waits(request, item, using)
    watched = [item.pk, *(other.pk for other in (*children.rows, *forks.rows))]
    return ItemPage(
        item=item,
        cursor=cursor,
        watched=" ".join(map(str, watched)),
        confirmation=str(Confirmation.of(item)),
        verbs=_verbs(request, item),
        why=why(seen, using=using),
        error=seen.last_error if isinstance(seen.last_error, dict) else None,
        state=_state(request, item, using) if reads else None,
        events=_events(request, item, using, reads=reads),
        snapshots=_section(request, Snapshot, _of(Snapshot, item, using).defer("data").order_by("-version"), item),
        artifacts=_section(request, Artifact, _of(Artifact, item, using).order_by("-version", "name"), item),
        claims=_section(
            request, ResourceClaim, _of(ResourceClaim, item, using).select_related("resource").order_by("id"), item
        ),
        waits=waits,
        calls=_calls(request, item, waits, using),
        children=children,
        forks=forks,
        lease=lease,
        owner=display.worker_link(lease.worker_id, getattr(lease, "worker", None)) if lease else "",
        progress=str(shown(told.text)) if told else "",
        reads_payload=reads,
    )


def _of(model: type[Any], item: WorkItem, using: str) -> QuerySet[Any]:
    found: QuerySet[Any] = model.objects.using(using).filter(work_item_id=item.pk)
    return found


def _lately(model: type[Any], item: WorkItem, using: str) -> QuerySet[Any]:
    """Return what steps wrote under keys, that of the last steps first, in the order of the index that finds it."""
    return _of(model, item, using).order_by("-base_version", "-key")


def _section(
    request: HttpRequest, model: type[Model], rows: QuerySet[Any], item: WorkItem, size: int = ROWS
) -> Section:
    if not may_view(request, model):
        return Section(allowed=False)
    found = tuple(rows[: size + 1])
    url = display.list_url(str(model._meta.model_name), work_item__id__exact=item.pk)
    return Section(rows=found[:size], more=len(found) > size, all_url=url)


def _waits(request: HttpRequest, item: WorkItem, using: str) -> Section:
    section = _section(request, Wait, _lately(Wait, item, using).defer(*WaitAdmin.secret_fields), item)
    told = (
        ToldWait(wait=wait, token=str(Confirmation.of(wait)), answers=answers_to(request, wait))
        for wait in section.rows
    )
    return replace(section, rows=tuple(told))


def _calls(request: HttpRequest, item: WorkItem, waits: Section, using: str) -> Section:
    rows = _lately(JournalEntry, item, using).defer(*JournalEntryAdmin.secret_fields)
    section = _section(request, JournalEntry, rows, item)
    questions = {told.wait.key: told for told in waits.rows if told.answers}
    asked = {entry.pk: questions.get(question_key(entry.key, entry.attempts)) for entry in section.rows}
    may = {entry.pk for entry in section.rows if may_be_reset(entry, item)} if RESET.allowed(request.user) else set()
    if may:
        may &= set(resettable([item.pk], using=using).filter(pk__in=may).values_list("pk", flat=True))
    told = (
        ToldCall(
            call=recorded(entry, item),
            resets=entry.pk in may,
            question=asked[entry.pk] if entry.state == JournalState.STARTED else None,
        )
        for entry in section.rows
    )
    return replace(section, rows=tuple(told))


def _others(request: HttpRequest, relation: str, item: WorkItem, using: str) -> Section:
    """Return the last items that name this one as their parent, or as what they were forked from."""
    others = WorkItem.objects.using(using).filter((f"{relation}_id", item.pk)).defer(*HEAVY).order_by("-id")
    rows = narrowed(others, reach.of(request.user))
    found = tuple(rows[: ROWS + 1])
    url = display.list_url("workitem", **{f"{relation}__id__exact": item.pk})
    return Section(rows=found[:ROWS], more=len(found) > ROWS, all_url=url)


def _lease(request: HttpRequest, item: WorkItem, using: str) -> Lease | None:
    if not may_view(request, Lease):
        return None
    # Not by a join: the lease of a worker whose row is gone would be hidden by it.
    return Lease.objects.using(using).filter(pk=item.pk).prefetch_related("worker").first()


def _state(request: HttpRequest, item: WorkItem, using: str) -> Snapshot | None:
    if not may_view(request, Snapshot):
        return None
    found: Snapshot | None = _of(Snapshot, item, using).order_by("-version").first()
    return found


def _verbs(request: HttpRequest, item: WorkItem) -> tuple[OperatorAction, ...]:
    allowed = [action for action in ACTIONS if action.allowed(request.user)]
    return tuple(action for action in allowed if not action.judge([item], by=request.user)[0].skipped)


def _seen(item: WorkItem, *, reads: bool) -> WorkItem:
    """Return the item with its error as the user may see it: redacted, or not at all."""
    seen = copy.copy(item)
    seen.last_error = shown(item.last_error) if reads else None
    return seen


def _events(request: HttpRequest, item: WorkItem, using: str, *, reads: bool) -> Section:
    rows = _of(Event, item, using).order_by("-seq")
    section = _section(request, Event, rows if reads else rows.defer("data"), item, EVENTS)
    workers = Worker.objects.using(using).in_bulk({row.worker for row in section.rows if row.worker})
    earlier = [*section.rows[1:], None]
    told = (_told(row, before, workers, reads=reads) for row, before in zip(section.rows, earlier, strict=False))
    return Section(rows=tuple(told), more=section.more, all_url=section.all_url, allowed=section.allowed)


def _told(event: Event, before: Event | None, workers: dict[uuid.UUID, Worker], *, reads: bool) -> ToldEvent:
    after = "" if before is None else "+" + display.seconds((event.created_at - before.created_at).total_seconds())
    by: SafeString | str = event.actor
    if not by and event.worker is not None:
        by = display.worker_link(event.worker, workers.get(event.worker))
    return ToldEvent(event=event, after=after, by=by, data=_brief(event.data) if reads else "")


def _brief(data: Any) -> str:
    """Return an event's data on one line. The traceback stands with the last error, and on the event's own page."""
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key != "traceback"} or None
    return display.brief(data)
