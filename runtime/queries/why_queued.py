"""Say why a queued item is not claimed, from what the claim itself looks at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from runtime import registry
from runtime.choices import PARKED, SUSPECT_DEATHS, Reason
from runtime.models import Lease, WorkItem
from runtime.queries import limits, resources, workers
from runtime.queries.causes import Cause, error_of
from runtime.queries.resources import Obstacle
from runtime.queries.words import for_people, moment, span
from runtime.sentences import ngettext, together
from runtime.sentences import say as _


def queued(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    """Yield what keeps a queued item from being claimed at this time, the most decisive first."""
    if item.reason in PARKED:
        yield from _parked(item, using)
    elif item.run_at > now:
        yield _not_due(item, now)
    else:
        waited = span((now - item.run_at).total_seconds())
        text = _("Due for %(waited)s (%(reason)s).", waited=waited, reason=for_people(item.reason))
        yield Cause(code="due", text=text, data={"run_at": item.run_at})
        yield from _resources(item, using)
        yield from _limits(item, using)
    if item.engine not in registry.paths():
        yield Cause(
            code="unknown_engine",
            text=_("The engine %(engine)r is not registered here: check ROOST_ENGINES.", engine=item.engine),
            data={"engine": item.engine},
        )
    yield from _workers(item, using)


def _not_due(item: WorkItem, now: dt.datetime) -> Cause:
    text = _(
        "Not due until %(at)s, in %(left)s: %(reason)s.",
        at=moment(item.run_at),
        left=span((item.run_at - now).total_seconds()),
        reason=for_people(item.reason),
    )
    if item.reason == Reason.RETRY:
        tried = _("Failed attempts of this step: %(failed)d of %(most)d.", failed=item.attempt, most=item.max_attempts)
        text = together([text, tried, error_of(item)])
    return Cause(code="not_due", text=text, data={"run_at": item.run_at, "reason": item.reason})


def _parked(item: WorkItem, using: str) -> Iterator[Cause]:
    blocked = list(_resources(item, using))
    yield from blocked
    if not blocked:
        yield Cause(
            code="parked",
            text=_(
                "Parked (%(reason)s), but nobody holds what it needs: the next sweep wakes it.",
                reason=for_people(item.reason),
            ),
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
            text=_(
                "It was taken from worker %(worker)s, whose step may still use its resources: at the latest at %(at)s "
                "they are free.",
                worker=getattr(old, "worker", None) or old.worker_id,
                at=moment(old.expires_at),
            ),
            data={"worker": old.worker_id, "until": old.expires_at},
        )


def _holders(obstacle: Obstacle) -> Iterator[Cause]:
    key = obstacle.key
    if not obstacle.holders:
        yield Cause(
            code="over_capacity",
            text=_(
                "It asks for %(units)d units of resource %(key)s, which has %(capacity)d: it cannot run before that "
                "capacity is raised.",
                units=obstacle.units,
                key=key,
                capacity=obstacle.capacity,
            ),
            data={"resource": key, "units": obstacle.units, "capacity": obstacle.capacity},
        )
    for holder in obstacle.holders:
        on = _(" on worker %(worker)s", worker=holder.worker_name or holder.worker) if holder.worker else ""
        yield Cause(
            code="resource",
            text=_(
                "Resource %(key)s is held by item %(item)s%(on)s since %(at)s.",
                key=key,
                item=holder.item,
                on=on,
                at=moment(holder.since),
            ),
            data={"resource": key, "item": holder.item, "worker": holder.worker, "since": holder.since},
        )


def _limits(item: WorkItem, using: str) -> Iterator[Cause]:
    found = limits.standing(item, using=using)
    for obstacle in found.obstacles:
        name, before = obstacle.limit.name, obstacle.before
        first = _(", and %(before)d due before it have the rest", before=before) if before else ""
        what = limits.covered(obstacle.limit)
        facts = {"limit": name, "covers": what, "running": obstacle.running, "before": before}
        if obstacle.full:
            most = obstacle.limit.concurrency
            some = _("%(most)d run at once", most=most) if most else _("nothing start")
            text = _(
                "The limit %(name)r (%(what)s) lets %(some)s: %(running)d run%(first)s.",
                name=name,
                what=what,
                some=some,
                running=obstacle.running,
                first=first,
            )
            yield Cause(code="limit", text=text, data={**facts, "concurrency": most})
        else:
            rate, period = obstacle.limit.rate, span(obstacle.limit.per_seconds)
            text = _(
                "The limit %(name)r (%(what)s) allows %(rate)s steps in %(period)s, the next in %(left)s%(first)s.",
                name=name,
                what=what,
                rate=rate,
                period=period,
                left=span(obstacle.next_step_in),
                first=first,
            )
            yield Cause(code="rate", text=text, data={**facts, "rate": rate, "next_in": obstacle.next_step_in})
    if found.behind:
        text = _("At least %(seen)d due items go before it: it has no key.", seen=limits.SEEN)
        if item.fair_key:
            text = _(
                "At least %(seen)d due items go before it: the fairness key %(key)r takes turns with the others.",
                seen=limits.SEEN,
                key=item.fair_key,
            )
        yield Cause(code="behind", text=text, data={"fair_key": item.fair_key, "before": limits.SEEN})


def _workers(item: WorkItem, using: str) -> Iterator[Cause]:
    found = workers.views(using=using)
    offering = workers.offering(item.engine, item.pool, among=found)
    wanted = _("engine %(engine)r in pool %(pool)r", engine=item.engine, pool=item.pool)
    if not offering:
        drained = [view.worker for view in found if view.drains and view.offers(item.engine, item.pool)]
        back = drained[0].pk if drained else ""
        go_on = _(", or let one that drains go on: `roost workers resume %(worker)s`", worker=back)
        yield Cause(
            code="no_worker",
            text=_(
                "No live worker offers %(wanted)s: start one with `manage.py runworker`%(instead)s.",
                wanted=wanted,
                instead=go_on if drained else "",
            ),
            data={"engine": item.engine, "pool": item.pool},
        )
    elif item.deaths >= SUSPECT_DEATHS and not any(view.running == 0 for view in offering):
        yield Cause(
            code="suspect",
            text=_(
                "It has lost %(deaths)d workers in a row, so it waits for a worker that runs nothing else.",
                deaths=item.deaths,
            ),
            data={"deaths": item.deaths},
        )
    elif not any(view.free for view in offering):
        yield Cause(
            code="at_capacity",
            text=ngettext(
                "The live worker for %(wanted)s is at capacity.",
                "All %(count)d live workers for %(wanted)s are at capacity.",
                len(offering),
                wanted=wanted,
            ),
            data={"workers": len(offering)},
        )
