"""Count what there is: items by state with the age of the oldest, cheap on a table of any size."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connections

from runtime import clock
from runtime.choices import State
from runtime.models import WorkItem
from runtime.queries.windows import COUNTED, Figure, estimated, figure
from runtime.queries.within import narrowed
from runtime.store import work_database

# One entry of the index on (state, id) for each item counted, and one for the oldest. `state > ''` always holds: it is
# how SQLite learns that it may use that index.
STATE_SQL = """
SELECT %s, (SELECT count(*) FROM (
        SELECT 1 FROM roost_workitem WHERE state = %s AND state > '' LIMIT %s
    ) AS few), (SELECT id FROM roost_workitem WHERE state = %s AND state > '' ORDER BY id LIMIT 1)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How many items are in a state, and the seconds since the `first` of them was made; None if there is none."""

    state: str
    count: Figure
    oldest: float | None
    first: uuid.UUID | None


def standings(*, within: Collection[str] | None = None, using: str | None = None) -> list[Standing]:
    """Return all states in their order. Two queries, one more for each state with over `COUNTED` items, and a clock.

    For who reaches the namespaces `within` alone it is two queries for each state.
    """
    using = using or work_database()
    if within is not None:
        return _within(within, using)
    rows = _counted(using)
    made: dict[Any, dt.datetime] = dict(
        WorkItem.objects.using(using).filter(pk__in=[first for _, _, first in rows]).values_list("pk", "created_at")
    )
    now = clock.now(using)
    return [
        Standing(state=state, count=_figure(state, count, using), oldest=_age(now, made.get(first)), first=first)
        for state, count, first in rows
    ]


def _within(namespaces: Collection[str], using: str) -> list[Standing]:
    now, items = clock.now(using), narrowed(WorkItem.objects.using(using), namespaces)
    found = []
    for state in State.values:
        rows = items.filter(state=state)
        first, made = rows.order_by("pk").values_list("pk", "created_at").first() or (None, None)
        found.append(Standing(state=state, count=figure(rows), oldest=_age(now, made), first=first))
    return found


def _counted(using: str) -> list[tuple[str, int, Any]]:
    params = [value for state in State.values for value in (state, state, COUNTED + 1, state)]
    with connections[using].cursor() as cursor:
        cursor.execute(" UNION ALL ".join([STATE_SQL] * len(State.values)), params)
        rows = cursor.fetchall()
    key = WorkItem._meta.pk
    return [(state, count, key.to_python(first)) for state, count, first in rows]


def _figure(state: str, count: int, using: str) -> Figure:
    if count <= COUNTED:
        return Figure(value=count)
    return estimated(WorkItem.objects.using(using).filter(state=state), count)


def _age(now: dt.datetime, made: dt.datetime | None) -> float | None:
    return None if made is None else max(0.0, (now - made).total_seconds())
