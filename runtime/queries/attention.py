"""Find what somebody should look at: each question reads an index, and of large tables no more than a window.

Numbers count no further than `WINDOW`: whoever reads them wants to know that there is much to do, not how much.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Count, QuerySet

from runtime import clock
from runtime.choices import Reason, State, WaitKind, WaitState
from runtime.models import Lease, ResourceClaim, Wait, WorkItem
from runtime.queries.dead import DeadFilter, DeadGroup, groups
from runtime.queries.page import Page
from runtime.queries.waits import FOR_PEOPLE
from runtime.queries.windows import WINDOW, Figure, figure, newest
from runtime.queries.within import narrowed
from runtime.queries.workers import WorkerView, offering
from runtime.store import work_database

Within = Collection[str] | None
"""The namespaces that whoever asks reaches, None for all."""

SHOWN = 5
"""Groups of one kind that are named."""
SOON = dt.timedelta(hours=1)
"""How near the end of an open wait's time is when it counts as about to expire."""

# The oldest queued items and the newest: what nobody takes grows old, and what was just enqueued is seen at once.
LANES_SQL = """
SELECT engine, pool, count(*)
FROM (
    SELECT * FROM (
        SELECT id, engine, pool FROM roost_workitem WHERE state = 'queued' AND state > ''
        ORDER BY id LIMIT %(most)s
    ) AS oldest
    UNION
    SELECT * FROM (
        SELECT id, engine, pool FROM roost_workitem WHERE state = 'queued' AND state > ''
        ORDER BY id DESC LIMIT %(most)s
    ) AS newest
) AS queued
GROUP BY engine, pool
ORDER BY count(*) DESC, engine, pool
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Items that are alike: of one engine, and of one pool or one version of the engine."""

    engine: str
    count: int
    pool: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contested:
    """A resource that items wait for."""

    resource: int
    namespace: str
    key: str
    waiters: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAsks:
    """What people are asked and have not answered; `soon` counts open waits of any kind that are about to expire."""

    approvals: Figure
    inputs: Figure
    soon: Figure


def dead_groups(*, within: Within = None, limit: int = SHOWN, using: str | None = None) -> Page[DeadGroup]:
    """Return the largest groups among the newest dead letters that nobody has acknowledged."""
    wanted = DeadFilter(acknowledged=False, within=None if within is None else tuple(sorted(within)))
    return groups(wanted, limit=limit, newest_of=WINDOW, using=using)


def failing(*, within: Within = None, using: str | None = None) -> list[Group]:
    """Return the engines of items that failed and will be tried again."""
    rows = newest(_items(using, within).filter(state=State.QUEUED, attempt__gt=0)).rows.order_by()
    counted = rows.values_list("engine").annotate(count=Count("pk")).order_by("-count", "engine")
    return [Group(engine=engine, count=count) for engine, count in counted[:SHOWN]]


def stranded(workers: Iterable[WorkerView], *, using: str | None = None) -> list[Group]:
    """Return engines and pools of queued items that none of the workers takes."""
    alive = [view for view in workers if view.takes_work]
    with connections[using or work_database()].cursor() as cursor:
        cursor.execute(LANES_SQL, {"most": WINDOW})
        lanes = [Group(engine=engine, pool=pool, count=count) for engine, pool, count in cursor.fetchall()]
    return [lane for lane in lanes if not offering(lane.engine, lane.pool, among=alive)][:SHOWN]


def held(*, within: Within = None, using: str | None = None) -> list[Group]:
    """Return the engines and versions of items that wait for code which goes on with them."""
    rows = newest(_items(using, within).filter(state=State.PAUSED, reason=Reason.HELD)).rows.order_by()
    counted = rows.values_list("engine", "engine_version").annotate(count=Count("pk")).order_by("-count", "engine")
    return [Group(engine=engine, version=version, count=count) for engine, version, count in counted[:SHOWN]]


def contested(*, within: Within = None, using: str | None = None) -> list[Contested]:
    """Return the resources that most items wait for."""
    wanted = narrowed(ResourceClaim.objects.using(using or work_database()).filter(held=False), within)
    rows = newest(wanted).rows.order_by()
    names = ("resource", "resource__namespace", "resource__key")
    counted = rows.values_list(*names).annotate(count=Count("pk")).order_by("-count", "resource__key", "resource")
    return [
        Contested(resource=resource, namespace=namespace, key=key, waiters=count)
        for resource, namespace, key, count in counted[:SHOWN]
    ]


def expired_leases(*, within: Within = None, using: str | None = None) -> Figure:
    """Return how many leases are over and not yet swept."""
    using = using or work_database()
    over = Lease.objects.using(using).filter(expires_at__lt=clock.now(using), revoked_at=None)
    return figure(narrowed(over, within))


def open_asks(*, within: Within = None, using: str | None = None) -> OpenAsks:
    """Return what people are asked, and what is about to expire."""
    using = using or work_database()
    still: QuerySet[Wait] = narrowed(Wait.objects.using(using).filter(state=WaitState.OPEN), within)
    approvals, inputs = (figure(still.filter(kind=kind)) for kind in FOR_PEOPLE)
    ringing = still.filter(expires_at__lt=clock.now(using) + SOON).exclude(kind=WaitKind.TIMER)
    return OpenAsks(approvals=approvals, inputs=inputs, soon=figure(ringing))


def _items(using: str | None, within: Within) -> QuerySet[Any]:
    return narrowed(WorkItem.objects.using(using or work_database()), within)
