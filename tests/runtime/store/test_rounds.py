"""Going round many rows, some at a time."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest

from runtime.models import WorkItem
from runtime.store.rounds import Round
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db


def looked(going: Round, times: int) -> list[list[uuid.UUID]]:
    rows: Any = WorkItem.objects.values_list("pk")
    return [[pk for (pk,) in going.more("default", rows)] for _ in range(times)]


def test_few_rows_are_all_looked_at_each_time() -> None:
    ids = sorted(item.pk for item in WorkItemFactory.create_batch(4))
    assert looked(Round(5), 2) == [ids, ids]


def test_many_rows_are_gone_through_from_somewhere_on_and_then_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = sorted(item.pk for item in WorkItemFactory.create_batch(10))
    ranges = []

    def chosen(first: int, last: int) -> int:
        ranges.append((first, last))
        return ids[5].int

    monkeypatch.setattr(random, "randint", chosen)
    assert looked(Round(2), 8) == [ids[:2], ids[6:8], ids[8:], [], ids[:2], ids[2:4], ids[4:6], ids[6:8]]
    assert ranges == [(ids[1].int, ids[9].int)]


def test_no_rows_are_none() -> None:
    assert looked(Round(2), 2) == [[], []]
