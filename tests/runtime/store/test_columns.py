"""Rows that are read by a statement written out are those that the ORM reads."""

from __future__ import annotations

import uuid

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.utils import timezone

from runtime.models import ApiToken, WorkItem
from runtime.operations.tokens import create_token
from runtime.store.columns import Columns
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db


def test_every_column_is_what_the_orm_makes_of_it() -> None:
    parent = WorkItemFactory()
    item = WorkItemFactory(
        parent=parent,
        payload={"deep": [1, 2.5, None, "ä"]},
        last_error={"message": "no"},
        deadline_at=timezone.now(),
        step_timeout=1.5,
    )
    read, known = Columns(WorkItem).of_id("default", item.pk), WorkItem.objects.get(pk=item.pk)
    assert read == known
    names = [field.attname for field in WorkItem._meta.concrete_fields]
    assert [getattr(read, name) for name in names] == [getattr(known, name) for name in names]
    assert [type(getattr(read, name)) for name in names] == [type(getattr(known, name)) for name in names]
    assert read._state.db == "default"


def test_what_is_not_named_is_read_when_it_is_wanted() -> None:
    made = create_token("ci", scopes=["read"], namespaces=["b", "a"]).row
    [read] = Columns(ApiToken, "scopes", "id", "namespaces").read("default", "name = %s", ["ci"])
    assert read.get_deferred_fields() == {field.attname for field in ApiToken._meta.concrete_fields} - {
        *("id", "scopes", "namespaces")
    }
    assert (read.pk, read.scopes, read.namespaces, read.name) == (made.pk, ["read"], ["a", "b"], "ci")


def test_a_row_that_is_not_there_is_none() -> None:
    assert Columns(WorkItem).of_id("default", uuid.UUID(int=1)) is None


def test_rows_among_ids_are_those_of_the_condition_and_none_is_told_of_who_is_not_there() -> None:
    one, other, third = WorkItemFactory(), WorkItemFactory(priority=5), WorkItemFactory(priority=5)
    nobody = uuid.UUID(int=1)
    found = Columns(WorkItem, "id", "priority").among("default", [one.pk, other.pk, nobody], "priority > %s", [4])
    assert found == {other.pk: other, nobody: None}
    assert third.pk not in found
    assert found[other.pk].priority == 5
    assert Columns(WorkItem).among("default", [], "priority > %s", [4]) == {}


def test_a_column_that_is_none_is_refused() -> None:
    with pytest.raises(FieldDoesNotExist):
        Columns(WorkItem, "id", "colour").of_id("default", uuid.UUID(int=1))
