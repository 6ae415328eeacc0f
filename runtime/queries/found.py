"""Find work items by the terms of a search, and read little of a table of millions for it.

Fields with an index narrow first. What has none (text in an error, a value in the payload, a reason) is looked for in
the newest items of those; a note says so when there were older ones.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast

from runtime.choices import State
from runtime.models import ResourceClaim, WorkItem
from runtime.queries import windows
from runtime.queries.by_id import id_range
from runtime.queries.search import FIELDS, WORD, Term
from runtime.queries.windows import DEFAULT_NAMESPACE, MOST_NAMESPACES, WINDOW, newest

BOUNDED = frozenset({field.name for field in FIELDS if field.bounded} | {"payload"})
NAMED = frozenset({WORD, "key", "fingerprint", "resource"})
"""Fields whose index begins with the namespace."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The items that match, and what was left out of the search, in words, nothing if it looked at everything."""

    rows: QuerySet[WorkItem]
    notes: tuple[str, ...] = ()


def find(rows: QuerySet[WorkItem], terms: Sequence[Term], within: Collection[str] | None = None) -> Found:
    """Return those of the rows for which every term holds. Reads only names and one id; the caller reads the rows.

    `within` are the namespaces that the rows are in, None for any.
    """
    if not terms:
        return Found(rows=rows)
    by_field: defaultdict[tuple[str, tuple[str, ...]], list[Term]] = defaultdict(list)
    for place, term in enumerate(terms):
        # Words all have to hold; of a field given twice, one.
        by_field[term.field, term.path or ((str(place),) if term.field == WORD else ())].append(term)
    groups = list(by_field.values())
    known, notes = _namespaces(groups, rows.db, within)
    bounded = [group for group in groups if _is_bounded(group)]
    for group in groups:
        if not _is_bounded(group):
            rows = rows.filter(reduce(or_, (_indexed(term, known, rows.db) for term in group)))
    if not bounded:
        return Found(rows=rows, notes=notes)
    window = newest(rows)
    if window.cut:
        notes = (*notes, _left_out(group[0] for group in bounded))
    return Found(rows=_looked_through(window.rows, bounded), notes=notes)


def _is_bounded(group: Sequence[Term]) -> bool:
    """Say whether no index finds what the terms mean; that on namespaces leaves out the default one."""
    term = group[0]
    return term.field in BOUNDED or (term.field == "namespace" and any(one.value == DEFAULT_NAMESPACE for one in group))


def _namespaces(
    groups: Iterable[Sequence[Term]], using: str, within: Collection[str] | None
) -> tuple[list[str], tuple[str, ...]]:
    """Return the namespaces in which keys are looked up; the terms' own where they name some."""
    given = [term.value for group in groups for term in group if term.field == "namespace"]
    if given or not any(group[0].field in NAMED for group in groups):
        return given, ()
    known = windows.namespaces(using=using) if within is None else sorted(within)
    if within is not None or len(known) <= MOST_NAMESPACES:
        return known, ()
    return known, (f"Keys were looked up in {len(known)} namespaces. Say namespace: to look in another.",)


def _indexed(term: Term, known: Sequence[str], using: str) -> Q:
    return _INDEXED[term.field](term.value, known, using)


def _by_id(value: str, known: Sequence[str], using: str) -> Q:
    low, high = id_range(value)
    return Q(pk__gte=low, pk__lte=high)


def _by_namespace(value: str, known: Sequence[str], using: str) -> Q:
    # The index on namespaces leaves out the default one, and SQLite has to be told that this one is another.
    return Q(namespace=value) & ~Q(namespace=DEFAULT_NAMESPACE)


def _by_key(value: str, known: Sequence[str], using: str) -> Q:
    return Q(namespace__in=known, idempotency_key=value)


def _by_fingerprint(value: str, known: Sequence[str], using: str) -> Q:
    # Of dead letters alone: no index finds others by it.
    return Q(state=State.FAILED, namespace__in=known, fingerprint=value)


def _by_resource(value: str, known: Sequence[str], using: str) -> Q:
    claims = ResourceClaim.objects.using(using).filter(resource__key=value, resource__namespace__in=known)
    return Q(pk__in=claims.values("work_item_id"))


def _by_word(value: str, known: Sequence[str], using: str) -> Q:
    try:
        item = uuid.UUID(value)
    except ValueError:
        return _by_key(value, known, using) | _by_fingerprint(value, known, using)
    return Q(pk=item) | Q(parent_id=item)


_INDEXED: dict[str, Callable[[str, Sequence[str], str], Q]] = {
    WORD: _by_word,
    "id": _by_id,
    "parent": lambda value, known, using: Q(parent_id=uuid.UUID(value)),
    "key": _by_key,
    "engine": lambda value, known, using: Q(engine=value),
    "state": lambda value, known, using: Q(state=value),
    "namespace": _by_namespace,
    "resource": _by_resource,
    "fingerprint": _by_fingerprint,
}


def _looked_through(rows: QuerySet[WorkItem], groups: Iterable[Sequence[Term]]) -> QuerySet[WorkItem]:
    for number, group in enumerate(groups):
        term = group[0]
        values = [term.value for term in group]
        if term.field in {"reason", "namespace"}:
            rows = rows.filter(**{f"{term.field}__in": values})
        elif term.field == "error":
            rows = _with_error(rows, values)
        else:
            column = f"sought_{number}"
            rows = rows.alias(**{column: _text("payload", term.path)}).filter(**{f"{column}__in": values})
    return rows


def _with_error(rows: QuerySet[WorkItem], values: Iterable[str]) -> QuerySet[WorkItem]:
    parts = ("type", "code", "message")
    rows = rows.alias(**{f"error_{part}": _text("last_error", (part,)) for part in parts})
    told = (Q((f"error_{part}__icontains", value)) for part in parts for value in values)
    return rows.filter(reduce(or_, told))


def _text(column: str, path: Sequence[str]) -> Any:
    """Return the text of a value inside a JSON column: 42 and "42" are the same."""
    inner: Combinable | str = column
    for key in path[:-1]:
        inner = KeyTransform(key, inner)
    return Cast(KeyTextTransform(path[-1], inner), TextField())


def _left_out(terms: Iterable[Term]) -> str:
    names = " and ".join(sorted({_name(term) for term in terms}))
    return (
        f"{names} was looked for in the newest {WINDOW:,} items that match the rest. "
        "Narrow by state:, engine:, namespace: or the age to look further back."
    )


def _name(term: Term) -> str:
    return f"payload.{'.'.join(term.path)}:" if term.path else f"{term.field}:"
