"""Limits and fairness: what starts is counted from what runs, and every fairness key gets its turn."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from runtime import clock
from runtime.choices import EventKind, State
from runtime.models import Limit
from runtime.models.workitem import new_id
from runtime.store import get_store
from runtime.store.turns import Turns
from runtime.store.values import Claimed, ClaimRequest, Forecast
from tests.contracts.builders import Hand, after, cancelled, item, kinds, new_item, put

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_turns(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with the first key, as a new process does."""
    monkeypatch.setattr(get_store(), "turns", Turns())


def limit(**values: Any) -> Limit:
    """Make a limit."""
    return Limit.objects.create(**({"name": f"limit {new_id()}"} | values))


def ids(claimed: list[Claimed]) -> list[uuid.UUID]:
    """Return the ids of claimed items."""
    return [one.id for one in claimed]


def keys(claimed: list[Claimed]) -> list[str]:
    """Return the fairness keys of claimed items, sorted."""
    return sorted(one.fair_key for one in claimed)


def backlog(count: int, **values: Any) -> list[uuid.UUID]:
    """Insert so many items, due one after the other a second apart, the last a second ago."""
    first = clock.now("default") - dt.timedelta(seconds=count)
    items = [new_item(run_at=first + dt.timedelta(seconds=n), **values) for n in range(count)]
    get_store().insert(items)
    return [one.id for one in items]


def jain(counts: list[int]) -> float:
    """Return Jain's fairness index of what each got: 1 when all got the same."""
    return sum(counts) ** 2 / (len(counts) * sum(count * count for count in counts))


@pytest.mark.scenario("L45")
def test_a_cap_lets_that_many_run_and_the_next_when_one_ends(worker: Hand, other: Hand) -> None:
    limit(engine="counter", concurrency=2)
    first, second, third = backlog(3)
    mine = worker.claim()
    assert ids(mine) == [first, second]
    assert other.claim() == []
    assert worker.commit(mine[0], State.DONE) == State.DONE
    assert ids(other.claim()) == [third]


def test_what_a_limit_keeps_back_never_stands_in_front_of_others(worker: Hand) -> None:
    limit(engine="counter", concurrency=1)
    kept = backlog(50)
    free = put(engine="hop", run_at=clock.now("default"))
    assert ids(worker.claim(limit=2)) == [kept[0], free]
    assert worker.claim() == []


@pytest.mark.parametrize("waits", ["release", "die", "cancel", "fail", "delay"])
@pytest.mark.scenario("B2", "B13")
def test_a_place_is_free_however_its_item_left(worker: Hand, other: Hand, waits: str) -> None:
    limit(concurrency=1)
    first, second = backlog(2)
    claimed = worker.take()
    assert other.claim() == []
    if waits == "release":
        worker.release(claimed)
    elif waits == "die":
        worker.die()
    elif waits == "cancel":
        cancelled(first)
        assert other.claim() == [], "its step may still be running"
        worker.acknowledge(claimed)
    elif waits == "fail":
        worker.commit(claimed, State.FAILED, advance=False, reason="permanent_error")
    else:
        worker.commit(claimed, State.QUEUED, reason="delay", delay=60.0)
    [following] = other.claim()
    assert following.id == second
    assert worker.claim() == []
    assert other.commit(following, State.DONE) == State.DONE


@pytest.mark.scenario("B2")
def test_an_item_recovered_into_a_full_lane_runs_again_once_there_is_a_place(worker: Hand, other: Hand) -> None:
    limit(fair_key="lane", concurrency=1)
    pk = put(fair_key="lane")
    for _ in range(2):
        worker.take()
        worker.die()
    assert worker.claim() == [], "a suspect is claimed alone"
    neighbour = put(fair_key="lane")
    running = other.take()
    assert running.id == neighbour
    assert worker.claim(alone=True) == []
    other.commit(running, State.DONE)
    assert ids(worker.claim(alone=True)) == [pk]
    assert kinds(pk).count(EventKind.RECOVERED) == 2


def test_the_narrowest_of_several_limits_decides(worker: Hand) -> None:
    limit(concurrency=4)
    limit(engine="counter", concurrency=3)
    limit(fair_key="a", concurrency=1)
    limit(namespace="elsewhere", concurrency=0)
    for key in ("a", "a", "b", "b", ""):
        put(fair_key=key)
    put(engine="hop")
    put(engine="hop", namespace="elsewhere")
    claimed = worker.claim()
    assert Counter(one.engine for one in claimed) == {"counter": 3, "hop": 1}
    assert keys(claimed).count("a") <= 1
    assert {one.namespace for one in claimed} == {"default"}


def test_a_limit_on_a_pool_stops_that_pool_alone(worker: Hand) -> None:
    limit(pool="far", concurrency=0)
    for key in ("", "a"):
        put(pool="far", fair_key=key)
    put(pool="far", resources=["one"])
    near = [put(), put(fair_key="a"), put(resources=["two"])]
    assert sorted(ids(worker.claim())) == sorted(near)
    assert worker.claim() == []


def test_a_limit_on_a_pool_counts_what_runs_in_that_pool(worker: Hand, other: Hand) -> None:
    limit(pool="far", concurrency=2)
    limit(pool="far", engine="hop", concurrency=1)
    for pool in ("far", "default"):
        backlog(3, pool=pool)
        backlog(2, pool=pool, engine="hop")
    running = worker.claim()
    assert Counter((one.pool, one.engine) for one in running)["default", "counter"] == 3
    assert Counter(one.pool for one in running) == {"default": 5, "far": 2}
    assert other.claim() == []
    ended = next(one for one in running if one.pool == "far" and one.engine == "counter")
    worker.commit(ended, State.DONE)
    assert [one.pool for one in other.claim()] == ["far"]


def test_a_suspect_of_a_pool_that_is_stopped_does_not_start(worker: Hand) -> None:
    pk = put(pool="far")
    for _ in range(2):
        worker.take()
        worker.die()
    row = limit(pool="far", concurrency=0)
    assert worker.claim(alone=True) == []
    row.compare_and_set(enabled=False)
    assert ids(worker.claim(alone=True)) == [pk]


def test_a_rate_of_a_pool_counts_the_steps_of_that_pool(worker: Hand) -> None:
    limit(pool="far", rate=2, per_seconds=3600)
    backlog(3, pool="far")
    put()
    assert Counter((one.pool, one.rated) for one in worker.claim()) == {("far", True): 2, ("default", False): 1}


def test_a_limit_that_is_disabled_or_removed_lets_go(worker: Hand) -> None:
    row = limit(concurrency=0)
    pk = put()
    assert worker.claim() == []
    row.compare_and_set(enabled=False)
    assert ids(worker.claim()) == [pk]


def test_items_that_need_resources_are_limited_too(worker: Hand) -> None:
    limit(engine="counter", concurrency=2)
    pks = [put(resources=[key]) for key in ("one", "one", "two", "three")]
    running = {*ids(worker.claim(limit=1)), *ids(worker.claim()), *ids(worker.claim())}
    assert running == {pks[0], pks[2]}
    free = put(engine="hop", resources=["four"])
    assert ids(worker.claim()) == [free]


def test_a_rate_counts_steps_and_fills_up_again_on_the_databases_clock(worker: Hand) -> None:
    limit(engine="counter", rate=2, per_seconds=10)
    backlog(5)
    now = worker.claim()
    assert len(now) == 2
    assert all(one.rated for one in now)
    assert worker.claim() == []
    with after(5.1):
        assert len(worker.claim()) == 1
    with after(60):
        assert len(worker.claim()) == 2, "no more than a burst, however long the pause"


def test_a_burst_bounds_the_bucket_and_steps_that_are_not_limited_are_not_rated(worker: Hand) -> None:
    limit(engine="counter", rate=100, burst=3)
    backlog(5)
    put(engine="hop")
    claimed = worker.claim()
    assert Counter((one.engine, one.rated) for one in claimed) == {("counter", True): 3, ("hop", False): 1}


def test_tokens_are_taken_only_for_what_starts(worker: Hand, other: Hand) -> None:
    row = limit(rate=10, per_seconds=3600)
    put(resources=["one"])
    put(resources=["one"])
    assert len(worker.claim()) == 1
    row.refresh_from_db()
    assert 8.9 < row.tokens < 9.1
    assert row.row_version == 1


def test_a_suspect_takes_a_token_too(worker: Hand) -> None:
    limit(rate=3, per_seconds=3600)
    put()
    for _ in range(2):
        worker.take()
        worker.die()
    assert worker.claim(alone=True)[0].rated
    worker.die()
    assert worker.claim(alone=True) == []


@pytest.mark.parametrize("values", [{}, {"rate": 0}, {"concurrency": -1}, {"rate": 1, "per_seconds": 0}])
def test_the_database_refuses_limits_that_mean_nothing(values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        limit(**values)


def test_a_key_with_one_item_is_not_behind_a_key_with_many(worker: Hand) -> None:
    backlog(200, fair_key="big")
    put(fair_key="small", run_at=clock.now("default"))
    put(fair_key="", run_at=clock.now("default"))
    assert keys(worker.claim(limit=4)) == ["", "big", "big", "small"]


def test_in_a_key_the_longest_due_goes_first_and_urgency_goes_before_everything(worker: Hand) -> None:
    slow = backlog(3, fair_key="a")
    urgent = put(fair_key="a", priority=5)
    put(fair_key="b", priority=5)
    assert {urgent} < set(ids(worker.claim(limit=2)))
    assert ids(worker.claim(limit=2)) == slow[:2]


def test_keys_take_turns_from_claim_to_claim(worker: Hand) -> None:
    for key in ("", "a", "b", "c"):
        backlog(5, fair_key=key)
    assert [worker.claim(limit=1)[0].fair_key for _ in range(8)] == ["", "a", "b", "c"] * 2


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("limit", [1, 7, 50, 64])
def test_fifty_keys_with_very_unequal_backlogs_get_equal_shares(worker: Hand, other: Hand, limit: int) -> None:
    for number in range(50):
        backlog(20 + (number % 5) * 40, fair_key=f"key {number:02}")
    # Else plans are made for the empty table that the last test has left.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE roost_workitem")
    served: Counter[str] = Counter()
    while sum(served.values()) < 600:
        for hand in (worker, other):
            served.update(one.fair_key for one in hand.claim(limit=limit))
    assert jain([served[f"key {number:02}"] for number in range(50)]) >= 0.95


def test_engines_and_pools_that_a_worker_does_not_serve_take_no_turn(worker: Hand) -> None:
    backlog(3, fair_key="a", engine="hop")
    backlog(3, fair_key="b", pool="far")
    mine = put(fair_key="c")
    assert ids(worker.claim(engines=("counter",), pools=("default",))) == [mine]


def test_a_forecast_is_what_a_claim_then_takes(worker: Hand) -> None:
    limit(engine="counter", concurrency=3)
    backlog(4, fair_key="a")
    backlog(4, fair_key="b")
    put(engine="hop")
    put(delay=60.0)
    request = ClaimRequest(worker=worker.id, engines=None, pools=(), limit=50)
    seen = get_store().forecast(request)
    assert seen.ruled
    assert [(bound.started, bound.closed) for bound in seen.limits] == [(3, True)]
    assert set(seen.items) == set(ids(worker.claim()))
    assert len(seen.items) == 4


def test_without_limits_and_keys_nothing_is_ruled(worker: Hand) -> None:
    limit(enabled=False, concurrency=0)
    pk = put()
    assert get_store().forecast(worker.request()) == Forecast(ruled=False)
    assert ids(worker.claim()) == [pk]
    assert not item(pk).reason
