"""Read columns of a table by a statement that is written out, where it is read for every request.

Putting a query together takes Django's ORM several times as long as PostgreSQL needs to answer it. Values come as the
fields of the model give them, on either database. A read with a time limit goes past Django's cursors, and what is
hung between them does not see it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model

M = TypeVar("M", bound=Model)

Convert = Callable[[Any], Any]

_AMONG = {
    vendor: f"""
SELECT wanted.id, "{{table}}".id IS NOT NULL, {{columns}}
FROM {ids} AS wanted LEFT JOIN "{{table}}" ON "{{table}}".id = wanted.id
WHERE "{{table}}".id IS NULL OR ({{where}})
"""
    for vendor, ids in {
        "postgresql": "(SELECT unnest(%s::uuid[]) AS id)",
        "sqlite": "(SELECT value AS id FROM json_each(%s))",
    }.items()
}
"""Rows by their ids, by vendor, and what ids have none."""


_most: ContextVar[int | None] = ContextVar("roost_most_milliseconds", default=None)


@contextmanager
def reading_within(milliseconds: int) -> Iterator[None]:
    """Have each read of columns in this block take no longer, on PostgreSQL; in a transaction its own limits hold.

    The statement is prepared in its session, and goes out together with its limit.
    """
    token = _most.set(milliseconds)
    try:
        yield
    finally:
        _most.reset(token)


class Columns(Generic[M]):
    """These columns of a model's table, all of them if none is named; the id must be among them."""

    def __init__(self, model: type[M], *names: str) -> None:
        self._model = model
        self._names = names
        self._converted: dict[str, list[tuple[int, Any]]] = {}

    def read(self, using: str, where: str, params: Sequence[Any]) -> list[M]:
        """Return the rows for which the condition holds, with other columns deferred. Parameters are plain values."""
        connection = connections[using]
        return self._rows(connection, _fetched(connection, f"{self._select} WHERE {where}", params))

    def of_id(self, using: str, wanted: uuid.UUID) -> M | None:
        """Return the row of that id, None where there is none."""
        [key] = [field.get_db_prep_value(wanted, connections[using]) for field in self._fields if field.primary_key]
        found = self.read(using, "id = %s", [key])
        return found[0] if found else None

    def named(self, source: str) -> str:
        """Return these columns of a table or a CTE as a list for SELECT, in the order that `row` takes them in."""
        return ", ".join(f'{source}."{field.column}"' for field in self._fields)

    def row(self, using: str, found: Sequence[Any]) -> M:
        """Return the row of these values, as the database gave them."""
        return self._rows(connections[using], [found])[0]

    def among(
        self, using: str, wanted: Collection[uuid.UUID], where: str, params: Sequence[Any]
    ) -> dict[uuid.UUID, M | None]:
        """Return those of the rows with these ids for which the condition holds, and None for each id that has no row.

        One statement, and no longer an answer than that. The condition names columns of this table.
        """
        connection = connections[using]
        statement = _AMONG[connection.vendor].format(
            table=self._model._meta.db_table, columns=self._columns, where=where
        )
        found = _fetched(connection, statement, [_listed(wanted, connection), *params])
        ids = [one if isinstance(one, uuid.UUID) else uuid.UUID(one) for one, *_ in found]
        there = iter(self._rows(connection, [row[2:] for row in found if row[1]]))
        return {one: next(there) if row[1] else None for one, row in zip(ids, found, strict=True)}

    def _rows(self, connection: BaseDatabaseWrapper, found: Sequence[Sequence[Any]]) -> list[M]:
        converts = self._converts(connection)
        return [self._model.from_db(connection.alias, self._attributes, _converted(row, converts)) for row in found]

    @cached_property
    def _attributes(self) -> list[str]:
        return [field.attname for field in self._fields]

    @cached_property
    def _fields(self) -> list[Field[Any, Any]]:
        meta = self._model._meta
        named = [meta.get_field(name) for name in self._names]
        return [field for field in meta.concrete_fields if not named or field in named]

    @cached_property
    def _expressions(self) -> list[Any]:
        return [field.get_col(self._model._meta.db_table) for field in self._fields]

    @cached_property
    def _columns(self) -> str:
        return self.named(f'"{self._model._meta.db_table}"')

    @cached_property
    def _select(self) -> str:
        return f'SELECT {self._columns} FROM "{self._model._meta.db_table}"'

    def _converts(self, connection: BaseDatabaseWrapper) -> list[tuple[int, Convert]]:
        """Return what turns a value of the database into the field's, by place."""
        places = self._converted.get(connection.vendor)
        if places is None:
            found = [(place, one) for place, one in enumerate(self._expressions) if _converters(one, connection)]
            places = self._converted[connection.vendor] = found
        return [
            (place, partial(_apply, convert, column, connection))
            for place, column in places
            for convert in _converters(column, connection)
        ]


def _fetched(connection: BaseDatabaseWrapper, statement: str, params: Sequence[Any]) -> Sequence[Sequence[Any]]:
    most = _most.get()
    if most is not None and connection.vendor == "postgresql" and not connection.in_atomic_block:
        from runtime.store.postgres.session import rows_within

        return rows_within(connection.alias, statement, params, most)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        found: Sequence[Sequence[Any]] = cursor.fetchall()
        return found


def _listed(ids: Collection[uuid.UUID], connection: BaseDatabaseWrapper) -> str:
    """Return ids as one parameter: an array's text for PostgreSQL, JSON of what a column has for SQLite."""
    texts = [one.hex for one in ids]
    return "{" + ",".join(texts) + "}" if connection.vendor == "postgresql" else json.dumps(texts)


def _converters(column: Any, connection: BaseDatabaseWrapper) -> list[Any]:
    return [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]


def _apply(convert: Any, column: Any, connection: BaseDatabaseWrapper, value: Any) -> Any:
    return convert(value, column, connection)


def _converted(row: Sequence[Any], converts: Sequence[tuple[int, Convert]]) -> list[Any]:
    values = list(row)
    for place, convert in converts:
        values[place] = convert(values[place])
    return values
