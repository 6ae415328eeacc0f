"""Keep rows to the namespaces that whoever asks reaches: the one place that knows whose a row is.

A row is in the namespace that it names itself, or in that of its item. Workers, contents, tokens and the like are
nobody's: they concern the whole installation, and are for who reaches all of it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import TypeVar

from django.db.models import Model, QuerySet

from runtime.models import Limit, Trigger, WebhookTarget, WorkItem
from runtime.queries.windows import DEFAULT_NAMESPACE

M = TypeVar("M", bound=Model)

RULES: frozenset[type[Model]] = frozenset({Limit, Trigger, WebhookTarget})
"""Tables whose rows have names of the whole installation, and may be about all of it: who does not reach all sees those
of their namespaces, and changes none."""


@cache
def namespace_column(model: type[Model]) -> str | None:
    """Return the path of the column that says whose a row of the table is, None where rows are nobody's."""
    names = {field.name for field in model._meta.concrete_fields}
    if "namespace" in names:
        return "namespace"
    return "work_item__namespace" if "work_item" in names else None


def narrowed(rows: QuerySet[M], namespaces: Collection[str] | None) -> QuerySet[M]:
    """Return those of the rows that are in the namespaces, None for all; none where rows are nobody's.

    Of items the index on namespaces finds the newest, but for those in the default one, which it leaves out. Rows of
    other tables are looked up by their items.
    """
    if namespaces is None:
        return rows
    path = namespace_column(rows.model)
    if path is None or not namespaces:
        return rows.none()
    first, *more = sorted(namespaces)
    found = rows.filter(**{f"{path}__in": [first, *more]} if more else {path: first})
    # SQLite has to be told that the index has all that is wanted.
    told = rows.model is WorkItem and DEFAULT_NAMESPACE not in namespaces
    return found.exclude(namespace=DEFAULT_NAMESPACE) if told else found
