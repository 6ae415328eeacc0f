"""Count items that stand alike: one for each kind, and how many there are, so that one may be judged for all.

What an operation makes of an item depends on a few columns; those are what items are told apart by. One query, over
the newest rows, which a time limit of its own bounds where the database is PostgreSQL.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connections, transaction
from django.db.models import BooleanField, Case, Count, F, Max, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Cast

from runtime import clock
from runtime.models import WorkItem
from runtime.queries.windows import newest

MOST_KINDS = 500
"""Kinds of items that are told apart at most."""
SECONDS = 3.0
"""How long it may take."""
CANCELLED = "57014"
LIMIT = "SELECT current_setting('statement_timeout'), set_config('statement_timeout', %s, true)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Items that stand alike: the newest of them, and how many they are."""

    newest: uuid.UUID
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Kinds:
    """Items by kind, the largest first. `cut` says that there are older items, or other kinds, that are left out."""

    kinds: tuple[Kind, ...]
    cut: bool


def alike(rows: QuerySet[WorkItem], *, most: int, besides: Mapping[str, Any] | None = None) -> Kinds | None:
    """Return the newest `most` of the rows by kind; None when that takes longer than `SECONDS`.

    `besides` are expressions by which they are told apart too.
    """
    now = clock.now(rows.db)
    marks = {
        "kind_due": mark(Q(run_at__lte=now)),
        "kind_used_up": mark(Q(max_steps__isnull=False, steps_total__gte=F("max_steps"))),
        "kind_acknowledged": mark(Q(acknowledged_at__isnull=False)),
        **(besides or {}),
    }
    try:
        with _limited(rows.db):
            window = newest(rows.order_by(), most)
            kinds = window.rows.order_by().annotate(**marks)
            kinds = kinds.values("state", "reason", "pause_requested", "legal_hold", *marks)
            # No database before PostgreSQL 18 finds the largest of its own UUIDs.
            kinds = kinds.annotate(kind_count=Count("pk"), kind_newest=Max(Cast("pk", TextField())))
            found = list(kinds.order_by("-kind_count")[: MOST_KINDS + 1])
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != CANCELLED:
            raise
        return None
    told = (Kind(newest=uuid.UUID(one["kind_newest"]), count=one["kind_count"]) for one in found[:MOST_KINDS])
    return Kinds(kinds=tuple(told), cut=window.cut or len(found) > MOST_KINDS)


def mark(condition: Q) -> Case:
    """Return an expression that is true where the condition holds, and false everywhere else."""
    return Case(When(condition, then=Value(True)), default=Value(False), output_field=BooleanField())


@contextmanager
def _limited(using: str) -> Iterator[None]:
    """Let no statement of the block take longer than `SECONDS`; afterwards all is as before. SQLite has no limit."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        cursor.execute(LIMIT, [f"{int(SECONDS * 1000)}ms"])
        before = cursor.fetchone()[0]
        yield
        cursor.execute(LIMIT, [before])
