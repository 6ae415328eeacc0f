"""Go round the rows of a table, some at a time, for what nobody else may ever find. Shared by both stores."""

from __future__ import annotations

import random
import uuid
from typing import Any

from django.db.models import QuerySet


class Round:
    """One way round, `size` rows at a time, by their ids; each process goes by itself, in each database.

    A process that lives for a short while only would never come to the last of many rows: after the first of them it
    goes on somewhere.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._last: dict[str, uuid.UUID] = {}
        self._been_on: set[str] = set()

    def more(self, using: str, rows: QuerySet[Any, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return the next of the rows, which are tuples that begin with the id; after the last, the first again."""
        ordered, last = rows.order_by("pk"), self._last.pop(using, None)
        found = list((ordered if last is None else ordered.filter(pk__gt=last))[: self.size])
        if len(found) == self.size:
            self._last[using] = self._next(using, rows, found[-1][0])
        return found

    def _next(self, using: str, rows: QuerySet[Any, tuple[Any, ...]], last: uuid.UUID) -> uuid.UUID:
        if using in self._been_on:
            return last
        self._been_on.add(using)
        newest = rows.order_by("-pk").first()
        most = last.int if newest is None else max(last.int, newest[0].int)
        return uuid.UUID(int=random.randint(last.int, most))  # noqa: S311 - spreads processes
