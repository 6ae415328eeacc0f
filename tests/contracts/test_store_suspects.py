"""Suspects under limits: a worker that would have to be empty first is told only of those that it could have then."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from runtime.models import Limit, WorkItem
from runtime.queries.why import why
from runtime.store.base import Store
from tests.contracts.builders import Hand, after, item, put

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L50")]


def limit(**values: Any) -> Limit:
    """Make a limit."""
    return Limit.objects.create(name="limit", **values)


def suspect(**values: Any) -> uuid.UUID:
    """Insert a due item that has lost two workers."""
    pk = put(**values)
    WorkItem.objects.filter(pk=pk).update(deaths=2)
    return pk


def due(store: Store, worker: Hand) -> int | None:
    """Return what a worker is told that looks for suspects, and make sure that a look changes nothing."""
    before = list(Limit.objects.values())
    found = store.due(worker.request(alone=True))
    assert list(Limit.objects.values()) == before
    return found


def test_a_suspect_of_a_pool_that_is_stopped_empties_nobody(store: Store, worker: Hand) -> None:
    suspect(pool="far", priority=5)
    row = limit(pool="far", concurrency=0)
    assert due(store, worker) is None
    suspect()
    assert due(store, worker) == 0, "another one is not held back"
    row.compare_and_set(enabled=False)
    assert due(store, worker) == 5


def test_a_suspect_whose_places_others_have_empties_nobody(store: Store, worker: Hand, other: Hand) -> None:
    suspect(fair_key="lane")
    limit(fair_key="lane", concurrency=1)
    put(fair_key="lane")
    [running] = other.claim()
    assert due(store, worker) is None
    assert worker.claim(alone=True) == []
    assert due(store, other) == 0, "who has the place itself would be empty first"
    other.commit(running, "done")
    assert due(store, worker) == 0


def test_a_suspect_with_resources_is_held_back_too(store: Store, worker: Hand) -> None:
    pk = suspect(resources=["one"])
    row = limit(engine="counter", concurrency=0)
    assert due(store, worker) is None
    row.compare_and_set(enabled=False)
    assert due(store, worker) == 0
    assert worker.take(alone=True).id == pk


def test_a_suspect_whose_rate_is_spent_is_looked_for_again_just_before_it_may_start(store: Store, worker: Hand) -> None:
    pk = suspect()
    limit(rate=1, per_seconds=60)
    put()
    worker.claim()
    assert due(store, worker) is None
    with after(50):
        assert due(store, worker) is None
    with after(59):
        assert due(store, worker) == 0
        assert worker.claim(alone=True) == []
    with after(61):
        assert worker.take(alone=True).id == pk
    assert item(pk).deaths == 2


@pytest.mark.parametrize("values", [{"concurrency": 1}, {"rate": 1, "per_seconds": 5}], ids=["places", "a rate"])
def test_a_suspect_has_its_turn_where_others_take_what_a_limit_allows(
    values: dict[str, Any], store: Store, worker: Hand, other: Hand
) -> None:
    pk = suspect()
    limit(**values)
    for _ in range(3):
        put(priority=9)
    first = other.take()
    with after(9):
        other.commit(first, "done")
        second = other.take()
    with after(20):
        other.commit(second, "done")
        assert other.claim() == [], "what is free now is the suspect's"
        assert store.forecast(other.request()).items == ()
        assert due(store, worker) == 0
        assert worker.take(alone=True).id == pk


def test_why_tells_of_a_place_that_is_kept_for_a_suspect_and_tells_the_suspect_of_no_limit() -> None:
    pk, other = suspect(), put()
    limit(concurrency=1)
    with after(20):
        [cause] = [cause for cause in why(item(other)).causes if cause.code == "limit"]
        assert (cause.data["running"], cause.data["before"]) == (0, 1)
        assert not [cause for cause in why(item(pk)).causes if cause.code == "limit"]


def test_a_suspect_keeps_one_place_and_only_in_its_turn(store: Store, worker: Hand, other: Hand) -> None:
    suspect()
    limit(concurrency=3)
    for _ in range(9):
        put()
    with after(20):
        assert len(other.claim()) == 2
    with after(45):
        assert len(other.claim()) == 1, "whatever keeps it from starting, others do not wait for ever"


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ({"pool": "far"}, {"pool": "far", "concurrency": 0}),
        ({"resources": ["one"]}, None),
        ({"engine": "watchlist"}, None),
    ],
    ids=["stopped by another limit", "with resources", "of an engine that the worker lacks"],
)
def test_no_place_is_kept_for_a_suspect_that_may_not_be_able_to_start(
    values: dict[str, Any], more: dict[str, Any] | None, worker: Hand
) -> None:
    suspect(**values)
    limit(concurrency=1)
    if more:
        Limit.objects.create(name="another", **more)
    pk = put()
    with after(20):
        assert [one.id for one in worker.claim(engines=("counter",))] == [pk]
