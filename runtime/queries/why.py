"""Say exactly why an item is not running, or where it is running, in words and as codes.

The causes come from what the claim itself looks at: the due time, the parking, the resources, the limits and whose
turn it is, the workers that offer the item's engine and pool, and the rule that suspects are claimed alone. The most
decisive cause comes first.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from runtime import clock, registry
from runtime.choices import LIVE, PARKED, SUSPECT_DEATHS, TERMINAL, EventKind, Reason, State
from runtime.models import Event, Lease, WorkItem
from runtime.queries import journal, limits, resources, waits, workers
from runtime.queries.resources import Obstacle
from runtime.queries.words import for_people, moment, span
from runtime.store import work_database
from runtime.store.going import is_going


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One reason. `code` is stable and meant for machines, `text` is for people, `data` has the facts."""

    code: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why an item is where it is, as of `at` (the database's clock)."""

    item: uuid.UUID
    state: str
    at: dt.datetime
    causes: tuple[Cause, ...]

    @property
    def text(self) -> str:
        """The causes in one line."""
        return " ".join(cause.text for cause in self.causes)

    @property
    def codes(self) -> tuple[str, ...]:
        """The causes' codes."""
        return tuple(cause.code for cause in self.causes)


def why(item: WorkItem, *, using: str | None = None) -> Explanation:
    """Return why the item, as it was read, is where it is. Makes a handful of queries and changes nothing."""
    using = using or work_database()
    now = clock.now(using)
    causes = (
        *_overdue(item, now),
        *_BY_STATE[item.state](item, now, using),
        *_doubts(item, using),
        *_hold(item, using),
        *_going(item, using),
    )
    return Explanation(item=item.pk, state=item.state, at=now, causes=causes)


def _overdue(item: WorkItem, now: dt.datetime) -> Iterator[Cause]:
    """Tell what the next sweep will do, from the sweep's own conditions."""
    if item.deadline_at is not None and item.deadline_at <= now and item.state in LIVE - {State.RUNNING}:
        text = f"Its deadline passed at {moment(item.deadline_at)}: the next sweep fails it."
        yield Cause(code="deadline", text=text, data={"deadline": item.deadline_at})
    if item.timeout_at is not None and item.timeout_at <= now and item.state in {State.QUEUED, State.RUNNING}:
        text = f"Its time was up at {moment(item.timeout_at)}: the next sweep fails it."
        yield Cause(code="timeout", text=text, data={"timeout": item.timeout_at})


def _doubts(item: WorkItem, using: str) -> Iterator[Cause]:
    """Name the calls of the item's step that were cut off."""
    doubted = journal.in_doubt(item, using=using)
    asked = journal.asked_about(item, doubted, using=using)
    for entry in doubted:
        question = asked.get(entry.pk)
        mend = f"`roost journal reset {item.pk} {entry.key}` has it made again."
        if question is not None:
            mend = f"`roost respond {item.pk} {question}` decides."
        yield Cause(
            code="in_doubt",
            text=f"The call {entry.key!r} ({entry.name}) began at {moment(entry.started_at)} and was cut off: nobody "
            f"knows whether it happened. {mend}",
            data={"key": entry.key, "name": entry.name, "since": entry.started_at, "attempts": entry.attempts},
        )


def _hold(item: WorkItem, using: str) -> Iterator[Cause]:
    """Tell who has put the item on legal hold, which keeps it in no state."""
    if item.legal_hold:
        rows = Event.objects.using(using).filter(work_item=item, kind=EventKind.LEGAL_HOLD)
        told = rows.order_by("-seq").first()
        by = f" by {told.actor}" if told and told.actor else ""
        since = f" since {moment(told.created_at)}" if told else ""
        note = f" ({told.reason})" if told and told.reason else ""
        text = f"On legal hold{by}{since}{note}: it is never pruned. `roost unhold {item.pk}` lifts it."
        yield Cause(code="legal_hold", text=text, data={"actor": told.actor if told else ""})


def _going(item: WorkItem, using: str) -> Iterator[Cause]:
    """Tell that pruning has begun to take the item away."""
    if item.state in TERMINAL and is_going(item.pk, using=using):
        text = "It was kept for as long as it had to be, and is being removed now: the next rounds of pruning end it."
        yield Cause(code="being_removed", text=text)


def _queued(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    if item.reason in PARKED:
        yield from _parked(item, using)
    elif item.run_at > now:
        yield _not_due(item, now)
    else:
        waited = span((now - item.run_at).total_seconds())
        yield Cause(code="due", text=f"Due for {waited} ({for_people(item.reason)}).", data={"run_at": item.run_at})
        yield from _resources(item, using)
        yield from _limits(item, using)
    if item.engine not in registry.paths():
        yield Cause(
            code="unknown_engine",
            text=f"The engine {item.engine!r} is not registered here: check ROOST_ENGINES.",
            data={"engine": item.engine},
        )
    yield from _workers(item, using)


def _not_due(item: WorkItem, now: dt.datetime) -> Cause:
    left = span((item.run_at - now).total_seconds())
    text = f"Not due until {moment(item.run_at)}, in {left}: {for_people(item.reason)}."
    if item.reason == Reason.RETRY:
        text += f" Failed attempts of this step: {item.attempt} of {item.max_attempts}. {_error(item)}"
    return Cause(code="not_due", text=text.strip(), data={"run_at": item.run_at, "reason": item.reason})


def _parked(item: WorkItem, using: str) -> Iterator[Cause]:
    blocked = list(_resources(item, using))
    yield from blocked
    if not blocked:
        yield Cause(
            code="parked",
            text=f"Parked ({for_people(item.reason)}), but nobody holds what it needs: the next sweep wakes it.",
            data={"reason": item.reason, "resources": [resource["key"] for resource in item.resources]},
        )


def _resources(item: WorkItem, using: str) -> Iterator[Cause]:
    if not item.limited:
        return
    for obstacle in resources.obstacles(item, using=using):
        yield from _holders(obstacle)
    old = Lease.objects.using(using).filter(pk=item.pk, revoked_at__isnull=False).select_related("worker").first()
    if old is not None:
        yield Cause(
            code="letting_go",
            text=f"It was taken from worker {getattr(old, 'worker', None) or old.worker_id}, whose step may still use "
            f"its resources: at the latest at {moment(old.expires_at)} they are free.",
            data={"worker": old.worker_id, "until": old.expires_at},
        )


def _holders(obstacle: Obstacle) -> Iterator[Cause]:
    key = obstacle.key
    if not obstacle.holders:
        yield Cause(
            code="over_capacity",
            text=f"It asks for {obstacle.units} units of resource {key}, which has {obstacle.capacity}: "
            f"it cannot run before that capacity is raised.",
            data={"resource": key, "units": obstacle.units, "capacity": obstacle.capacity},
        )
    for holder in obstacle.holders:
        on = f" on worker {holder.worker_name or holder.worker}" if holder.worker else ""
        yield Cause(
            code="resource",
            text=f"Resource {key} is held by item {holder.item}{on} since {moment(holder.since)}.",
            data={"resource": key, "item": holder.item, "worker": holder.worker, "since": holder.since},
        )


def _limits(item: WorkItem, using: str) -> Iterator[Cause]:
    found = limits.standing(item, using=using)
    for obstacle in found.obstacles:
        name, before = obstacle.limit.name, obstacle.before
        first = f", and {before} due before it have the rest" if before else ""
        what = limits.covered(obstacle.limit)
        facts = {"limit": name, "covers": what, "running": obstacle.running, "before": before}
        if obstacle.full:
            most = obstacle.limit.concurrency
            some = f"{most} run at once" if most else "nothing start"
            text = f"The limit {name!r} ({what}) lets {some}: {obstacle.running} run{first}."
            yield Cause(code="limit", text=text, data={**facts, "concurrency": most})
        else:
            rate, period = obstacle.limit.rate, span(obstacle.limit.per_seconds)
            text = (
                f"The limit {name!r} ({what}) allows {rate} steps in {period}, "
                f"the next in {span(obstacle.next_step_in)}{first}."
            )
            yield Cause(code="rate", text=text, data={**facts, "rate": rate, "next_in": obstacle.next_step_in})
    if found.behind:
        text = f"At least {limits.SEEN} due items go before it: "
        text += (
            f"the fairness key {item.fair_key!r} takes turns with the others." if item.fair_key else "it has no key."
        )
        yield Cause(code="behind", text=text, data={"fair_key": item.fair_key, "before": limits.SEEN})


def _workers(item: WorkItem, using: str) -> Iterator[Cause]:
    offering = workers.offering(item.engine, item.pool, among=workers.views(using=using))
    wanted = f"engine {item.engine!r} in pool {item.pool!r}"
    if not offering:
        yield Cause(
            code="no_worker",
            text=f"No live worker offers {wanted}: start one with `manage.py runworker`.",
            data={"engine": item.engine, "pool": item.pool},
        )
    elif item.deaths >= SUSPECT_DEATHS and not any(view.running == 0 for view in offering):
        yield Cause(
            code="suspect",
            text=f"It has lost {item.deaths} workers in a row, so it waits for a worker that runs nothing else.",
            data={"deaths": item.deaths},
        )
    elif not any(view.free for view in offering):
        yield Cause(
            code="at_capacity",
            text=f"All {len(offering)} live workers for {wanted} are at capacity.",
            data={"workers": len(offering)},
        )


def _running(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    lease = Lease.objects.using(using).filter(pk=item.pk).select_related("worker").first()
    if lease is None:
        yield Cause(code="no_lease", text=f"Running without a lease: `roost verify {item.pk}` tells more.")
        return
    worker = getattr(lease, "worker", None)
    facts = {"worker": lease.worker_id, "since": lease.acquired_at, "until": lease.expires_at, "epoch": lease.epoch}
    yield Cause(
        code="running",
        text=f"Running on worker {worker or lease.worker_id} since {moment(lease.acquired_at)}, "
        f"lease until {moment(lease.expires_at)}.",
        data=facts,
    )
    if lease.expires_at <= now:
        yield Cause(code="lease_expired", text="The lease has expired: the next sweep takes the item back.", data=facts)
    if item.pause_requested:
        yield Cause(code="pause_requested", text="It pauses at the end of the running step.")
    if item.pause_at_step is not None:
        text = f"It pauses after {item.pause_at_step} steps; it has made {item.steps_total}."
        yield Cause(code="pause_after", text=text, data={"pause_at_step": item.pause_at_step})


def _waiting(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    since = f" since {moment(item.away_since)}" if item.away_since else ""
    yield Cause(
        code="waiting",
        text=f"Waiting{since}: {for_people(item.reason)}.",
        data={"reason": item.reason, "since": item.away_since},
    )
    yield from _waits(item, using)


def _waits(item: WorkItem, using: str) -> Iterator[Cause]:
    found = [view for view in waits.of_item(item, using=using) if view.holds]
    for view in found:
        yield Cause(code=view.wait.kind, text=view.text, data=view.facts)
    if len(found) > 1 and found[0].wait.needed == "any":
        yield Cause(code="any", text="Any one of these is enough.")


def _paused(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    if item.reason == Reason.HELD:
        yield _held(item, using)
        return
    told = Event.objects.using(using).filter(work_item=item, kind=EventKind.PAUSED).order_by("-seq").first()
    by = f" by {told.actor}" if told and told.actor else ""
    note = f" ({told.reason})" if told and told.reason and told.reason != item.reason else ""
    since = f" since {moment(item.away_since)}" if item.away_since else ""
    yield Cause(
        code="paused",
        text=f"Paused{by}{since}: {for_people(item.reason)}{note}. `roost resume {item.pk}` lets it go on.",
        data={"reason": item.reason, "since": item.away_since, "actor": told.actor if told else ""},
    )
    if item.paused_from == State.WAITING:
        yield from _waits(item, using)


def _held(item: WorkItem, using: str) -> Cause:
    """Tell what the worker that held it said: the code here may be other code."""
    told = Event.objects.using(using).filter(work_item=item, kind=EventKind.HELD).order_by("-seq").first()
    facts = (told.data if told else None) or {}
    return Cause(
        code="held",
        text=f"Held since {moment(item.away_since)}: {facts.get('message', 'its code does not fit.')} "
        f"A worker with code that fits takes it up; `roost preflight` says whether the code here does.",
        data={"since": item.away_since, "engine_version": item.engine_version, "objection": facts.get("code", "")},
    )


def _ended(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    at = f" at {moment(item.finished_at)}" if item.finished_at else ""
    because = f": {for_people(item.reason)}" if item.reason else ""
    error = f" {_error(item)}" if item.state == State.FAILED else ""
    yield Cause(
        code=item.state,
        text=f"Ended as {item.state}{at}{because}.{error}".rstrip(),
        data={"reason": item.reason, "error": item.last_error if item.state == State.FAILED else None},
    )


def _error(item: WorkItem) -> str:
    error = item.last_error
    if not isinstance(error, dict) or not error.get("message"):
        return ""
    return f"{error.get('type', 'Error')}: {error['message']}"


_BY_STATE: dict[str, Callable[[WorkItem, dt.datetime, str], Iterator[Cause]]] = {
    State.QUEUED: _queued,
    State.RUNNING: _running,
    State.WAITING: _waiting,
    State.PAUSED: _paused,
    State.DONE: _ended,
    State.FAILED: _ended,
    State.CANCELLED: _ended,
}
