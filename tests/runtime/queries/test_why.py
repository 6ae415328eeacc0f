from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from runtime.choices import EventKind, Reason, State, WorkerState
from runtime.models import Limit, WorkItem
from runtime.queries.why import why
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


def codes(item: WorkItem) -> tuple[str, ...]:
    return why(item).codes


def test_a_queued_item_before_its_time_says_when_it_is_due() -> None:
    rows.worker()
    item = rows.item(reason=Reason.DELAY, run_at=rows.now(90))
    found = why(item)
    assert found.codes == ("not_due",)
    assert "in 90 s: the step asked for a delay" in found.text
    assert f"{item.run_at:%H:%M:%S}" in found.text


@pytest.mark.scenario("L22")
def test_an_item_in_back_off_tells_its_error_and_attempts() -> None:
    rows.worker()
    error = {"type": "Flaky", "message": "no answer"}
    text = why(rows.item(reason=Reason.RETRY, run_at=rows.now(60), attempt=2, last_error=error)).text
    assert "Failed attempts of this step: 2 of 5. Flaky: no answer" in text


@pytest.mark.scenario("L29")
def test_a_parked_item_names_the_resource_its_holder_the_worker_and_since_when() -> None:
    by = rows.worker()
    holder = rows.running(by)
    claim = rows.claim(holder, "page", held=True)
    item = rows.item(reason=Reason.RESOURCE, limited=True, resources=[rows.ask("page")])
    rows.claim(item, "page", held=False)
    [cause] = why(item).causes
    assert cause.code == "resource"
    assert (cause.data["resource"], cause.data["item"], cause.data["worker"]) == ("page", holder.pk, by.pk)
    assert f"held by item {holder.pk} on worker {by} since {claim.acquired_at:%Y-%m-%d %H:%M:%S}Z" in cause.text


def test_a_parked_item_whose_resource_is_free_is_about_to_be_woken() -> None:
    rows.worker()
    item = rows.item(reason=Reason.RESOURCE)
    rows.claim(item, "page", held=False)
    assert codes(item) == ("parked",)


@pytest.mark.scenario("L29")
def test_an_item_taken_from_a_worker_waits_until_that_worker_has_let_go_of_its_resources() -> None:
    by = rows.worker()
    item = rows.item(limited=True, resources=[rows.ask("page")])
    rows.claim(item, "page", held=True)
    rows.lease(item, by, revoked_at=rows.now())
    found = why(item)
    assert found.codes == ("due", "letting_go")
    assert f"taken from worker {by}" in found.text


def test_an_item_that_asks_for_more_than_the_capacity_says_that_it_cannot_run() -> None:
    rows.worker()
    item = rows.item(reason=Reason.RESOURCE, limited=True, resources=[rows.ask("gpu", "counted", 2)])
    found = why(item)
    assert found.codes == ("over_capacity",)
    assert "2 units of resource gpu, which has 1" in found.text


def test_a_due_item_whose_resource_is_taken_says_so_before_any_worker_looked() -> None:
    by = rows.worker()
    holder = rows.running(by)
    rows.claim(holder, "page", held=True)
    assert codes(rows.item(limited=True, resources=[rows.ask("page")])) == ("due", "resource")


def test_an_item_of_a_pool_that_is_stopped_names_the_limit_and_what_it_covers() -> None:
    rows.worker(pools=[])
    Limit.objects.create(name="night", pool="gpu", concurrency=0)
    found = why(rows.item(pool="gpu"))
    assert found.codes == ("due", "limit")
    assert "The limit 'night' (worker pool gpu) lets nothing start: 0 run." in found.text
    assert codes(rows.item()) == ("due",)


@pytest.mark.parametrize(
    "values",
    [
        {"engines": ["watchlist"]},
        {"pools": ["gpu"]},
        {"beat": 100},
        {"state": WorkerState.DRAINING},
        {"state": WorkerState.OFFLINE},
    ],
)
def test_without_a_live_worker_for_its_engine_and_pool_an_item_says_no_worker(values: dict[str, Any]) -> None:
    rows.worker(**values)
    assert codes(rows.item()) == ("due", "no_worker")


def test_a_due_item_says_when_all_workers_are_at_capacity() -> None:
    by = rows.worker(capacity=1)
    rows.running(by)
    item = rows.item()
    assert codes(item) == ("due", "at_capacity")
    rows.worker(capacity=1)
    assert codes(item) == ("due",)


@pytest.mark.scenario("L50")
def test_a_suspect_waits_for_a_worker_that_runs_nothing_else() -> None:
    by = rows.worker()
    rows.running(by)
    item = rows.item(deaths=2)
    assert codes(item) == ("due", "suspect")
    rows.worker()
    assert codes(item) == ("due",)


def test_an_engine_that_is_not_registered_here_is_named() -> None:
    rows.worker(engines=[])
    assert codes(rows.item(engine="gone")) == ("due", "unknown_engine")


def test_a_running_item_names_its_worker_and_lease() -> None:
    by = rows.worker()
    item = rows.running(by)
    [cause] = why(item).causes
    assert cause.code == "running"
    assert cause.data["worker"] == by.pk
    assert f"Running on worker {by} since" in cause.text
    assert "lease until" in cause.text


def test_a_running_item_tells_of_an_expired_lease_and_of_a_pause_to_come() -> None:
    item = rows.item(State.RUNNING, epoch=1, pause_requested=True)
    rows.lease(item, rows.worker(), lasts=-1)
    assert codes(item) == ("running", "lease_expired", "pause_requested")


def test_a_running_item_without_a_lease_is_a_case_for_verify() -> None:
    assert codes(rows.item(State.RUNNING)) == ("no_lease",)


def test_a_waiting_item_says_what_for_and_since_when() -> None:
    item = rows.item(State.WAITING, reason=Reason.APPROVAL, away_since=rows.now(-60))
    [cause] = why(item).causes
    assert cause.code == "waiting"
    assert "waits for an approval" in cause.text
    assert f"{item.away_since:%H:%M:%S}" in cause.text


def test_a_paused_item_names_who_paused_it_and_why() -> None:
    item = rows.item(State.PAUSED, event_seq=2)
    rows.event(item, 3, EventKind.PAUSED, actor="ada", reason="too costly")
    [cause] = why(item).causes
    assert cause.code == "paused"
    assert "Paused by ada: paused by an operator (too costly)." in cause.text
    assert f"roost resume {item.pk}" in cause.text


def test_an_ended_item_tells_when_and_a_failed_one_its_error() -> None:
    failed = rows.item(State.FAILED, reason=Reason.PERMANENT_ERROR, last_error={"type": "Bad", "message": "no"})
    assert why(failed).text.endswith("an error that a retry cannot mend. Bad: no")
    assert codes(rows.item(State.DONE)) == ("done",)
    assert codes(rows.item(State.CANCELLED)) == ("cancelled",)


@pytest.mark.scenario("L30")
def test_an_item_past_its_deadline_or_timeout_is_about_to_be_failed() -> None:
    rows.worker()
    late = rows.now(-1)
    assert codes(rows.item(deadline_at=late, run_at=rows.now(60))) == ("deadline", "not_due")
    assert codes(rows.item(State.WAITING, deadline_at=late)) == ("deadline", "waiting")
    assert codes(rows.item(timeout_at=late, run_at=rows.now(60))) == ("timeout", "not_due")
    assert codes(rows.item(State.DONE, deadline_at=late, timeout_at=late)) == ("done",)


def test_every_state_is_explained() -> None:
    for state in State.values:
        assert why(rows.item(state)).causes, state


@pytest.mark.scenario("B12")
def test_what_is_due_is_told_by_the_databases_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime import clock

    rows.worker()
    item = rows.item(run_at=rows.now(60))
    assert codes(item) == ("not_due",)
    with clock.shifted(dt.timedelta(seconds=61)):
        assert "due" in codes(item)


@pytest.mark.parametrize("state", [State.WAITING, State.PAUSED])
def test_what_a_waiting_item_asks_for_is_told_one_by_one(state: str) -> None:
    item = rows.item(state, asked=True, paused_from=State.WAITING if state == State.PAUSED else "")
    rows.wait(
        item, "plan", quorum=3, answers=[{"by": "ann"}], expires_at=rows.now(60), prompt="All of it?", needed="any"
    )
    rows.wait(item, "go", kind="signal", signal_name="start", needed="any")
    terms = {"children": [], "need": "all", "on_failure": "wait"}
    rows.wait(item, "kids", kind="children", data=terms, needed="any")
    rows.wait(item, "old", needed="")
    rows.item(State.QUEUED, parent=item)
    assert codes(item) == (state, "approval", "signal", "children", "any")
    text = why(item).text
    assert "1 of 3 have approved, the item fails at" in text
    assert "All of it?" in text
    assert "the signal's name is 'start'" in text
    assert "1 still live" in text
