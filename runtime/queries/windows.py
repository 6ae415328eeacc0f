"""Keep reads small on tables of any size: counts that end somewhere, windows over the newest rows, distinct names.

Ids are UUIDv7, so the newest rows of anything that an index finds in the order of ids are found without a sort.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connections
from django.db.models import QuerySet

from runtime.store import work_database

WINDOW = 10_000
"""Rows that a question without an index looks through at most."""
COUNTED = 10_000
"""Rows that are counted one by one; what lies beyond is estimated."""
MOST_NAMESPACES = 200
DEFAULT_NAMESPACE = "default"

# Goes from one name to the next through the index roost_item_namespace: a look for each name, however many items.
NAMESPACES_SQL = """
WITH RECURSIVE known(namespace) AS (
    SELECT (SELECT min(w.namespace) FROM roost_workitem w WHERE NOT (w.namespace = 'default'))
    UNION ALL
    SELECT (SELECT min(w.namespace) FROM roost_workitem w
            WHERE NOT (w.namespace = 'default') AND w.namespace > known.namespace)
    FROM known WHERE known.namespace IS NOT NULL
)
SELECT namespace FROM known WHERE namespace IS NOT NULL LIMIT %s
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number of rows: exact, about that many by the database's statistics, or at least that many."""

    value: int
    kind: Literal["exact", "about", "at least"] = "exact"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The newest rows; `cut` says that there are older ones which it leaves out."""

    rows: QuerySet[Any]
    cut: bool


def newest(rows: QuerySet[Any], size: int = WINDOW) -> Window:
    """Return the newest `size` of the rows, by their ids. One query, which reads that many entries of an index."""
    edge = list(rows.order_by("-pk").values_list("pk", flat=True)[size : size + 1])
    return Window(rows=rows.filter(pk__gt=edge[0]) if edge else rows, cut=bool(edge))


def figure(rows: QuerySet[Any], most: int = COUNTED) -> Figure:
    """Return how many rows there are: counted up to `most`, estimated beyond (PostgreSQL), or at least so many."""
    counted = rows.order_by()[: most + 1].count()
    return Figure(value=counted) if counted <= most else estimated(rows, counted)


def estimated(rows: QuerySet[Any], least: int) -> Figure:
    """Return about how many rows there are, at least `least`, by PostgreSQL's statistics; elsewhere only the least."""
    if connections[rows.db].vendor != "postgresql":
        return Figure(value=least - 1, kind="at least")
    plan = json.loads(rows.order_by().values("pk").explain(format="json"))
    return Figure(value=max(least, int(plan[0]["Plan"]["Plan Rows"])), kind="about")


def namespaces(*, using: str | None = None) -> list[str]:
    """Return the namespaces of the items there are, the default one first, `MOST_NAMESPACES` + 1 at most."""
    with connections[using or work_database()].cursor() as cursor:
        cursor.execute(NAMESPACES_SQL, [MOST_NAMESPACES])
        return [DEFAULT_NAMESPACE, *(row[0] for row in cursor.fetchall())]


def first_id(at: dt.datetime) -> uuid.UUID:
    """Return the lowest UUIDv7 that can have been made at that moment; ids made earlier are lower."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80)
