"""Counts and windows end where they say, whatever the size of the table."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection

from runtime.models import WorkItem
from runtime.models.workitem import new_id
from runtime.queries import windows
from runtime.queries.windows import Figure, figure, first_id, namespaces, newest
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db


def test_a_window_keeps_the_newest_and_says_whether_it_left_any_out() -> None:
    rows = WorkItemFactory.create_batch(3)
    window = newest(WorkItem.objects.all(), 2)
    assert (set(window.rows), window.cut) == (set(rows[1:]), True)
    whole = newest(WorkItem.objects.all(), 3)
    assert (set(whole.rows), whole.cut) == (set(rows), False)


def test_few_rows_are_counted_and_many_estimated() -> None:
    WorkItemFactory.create_batch(3)
    rows = WorkItem.objects.all()
    assert figure(rows, 3) == Figure(value=3)
    many = figure(rows, 2)
    if connection.vendor == "postgresql":
        assert many.kind == "about"
        assert many.value >= 3
    else:
        assert many == Figure(value=2, kind="at least")


def test_namespaces_are_named_without_reading_the_items() -> None:
    assert namespaces() == ["default"]
    for name in ("b", "a", "b", "default", "c"):
        WorkItemFactory(namespace=name)
    assert namespaces() == ["default", "a", "b", "c"]


def test_no_more_namespaces_are_named_than_anybody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MOST_NAMESPACES", 2)
    for name in ("a", "b", "c"):
        WorkItemFactory(namespace=name)
    assert namespaces() == ["default", "a", "b"]


def test_an_id_is_not_below_the_first_of_its_moment() -> None:
    before = dt.datetime.now(dt.UTC)
    made = new_id()
    assert first_id(before) <= made < first_id(before + dt.timedelta(minutes=1))
