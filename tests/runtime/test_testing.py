"""What `runtime.testing` and the pytest plugin promise to products."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from engines.counter import Counter
from runtime import clock
from runtime.asks import Approval
from runtime.choices import EventKind, State
from runtime.engine import Complete, Continue, Engine, FunctionEngine, Item, Snapshot, engine
from runtime.exceptions import CallFailed, InvalidInput, PermanentError, RetryableError, RoostError
from runtime.models import Artifact, Event, JournalEntry, Lease, Worker, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.schedules import set_schedule
from runtime.step import StepContext, Suspend
from runtime.store import blobs, get_store
from runtime.store.values import ClaimRequest
from runtime.testing import (
    RecordingContext,
    advance,
    answer,
    assert_enqueued,
    drain,
    expire_leases,
    fire_schedules,
    make_item,
    run_step,
)
from tests.factories import WorkerFactory


class Tally(Engine):
    """Atomic: counts to the payload's number and keeps a user's row of each step."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        n = snapshot.data["n"] + 1
        Worker.objects.create(host=f"tally {n}", pid=n, started_at=item.created_at, heartbeat_at=item.created_at)
        if item.payload.get("fail_at") == n:
            raise PermanentError("As asked.")
        return Complete({"n": n}) if n == item.payload["to"] else Continue({"n": n})


class Wide(Engine):
    """Uses all that a step may ask for."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext | None = None) -> Any:
        assert ctx is not None
        sha256 = await ctx.aartifact("report.txt", "text", kind="report")
        ctx.log("half-way", level="warning", done=0.5)
        ctx.progress(0.5, "half-way")
        ctx.spawn("counter", {"count_to": 1})
        ctx.raise_if_cancelled()
        return Complete({"attempt": ctx.attempt, "sha256": sha256})


@engine()
async def endless(state: Any) -> Any:
    return Continue(state)


CALLED: list[str] = []


def count_items() -> int:
    """Call out, and look at the database."""
    CALLED.append("count")
    return WorkItem.objects.count()


@engine()
async def async_calls(state: Any, ctx: StepContext) -> Any:
    """Call, and fail the first time."""
    result = await ctx.run("count", count_items)
    if ctx.attempt == 1:
        raise RetryableError("after the call")
    return Complete(result)


@engine()
def atomic_calls(state: Any, ctx: StepContext) -> Any:
    """Call, write, and fail the first time."""
    result = ctx.run("count", count_items)
    Worker.objects.create(host="row", pid=1, started_at=clock.now("default"), heartbeat_at=clock.now("default"))
    if ctx.attempt == 1:
        raise RetryableError("after the call")
    return Complete(result)


ENGINES = {
    "async_calls": f"{__name__}.async_calls",
    "atomic_calls": f"{__name__}.atomic_calls",
    "counter": "engines.counter.Counter",
    "tally": f"{__name__}.Tally",
    "wide": f"{__name__}.Wide",
    "endless": f"{__name__}.endless",
}


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register these engines and no others."""
    settings.ROOST_ENGINES = ENGINES


# One step, no database ----------------------------------------------------------------------------------------------


def test_one_step_of_any_engine_runs_without_a_database() -> None:
    context = RecordingContext(attempt=3)
    decision = run_step(Wide(), context=context)
    assert decision == Complete({"attempt": 3, "sha256": context.artifacts["report.txt"].sha256})
    assert context.lines == [{"message": "half-way", "level": "warning", "done": 0.5}]
    assert context.reports == [(0.5, "half-way")]
    assert [(child["engine"], child["payload"]) for child in context.children] == [("counter", {"count_to": 1})]
    assert isinstance(endless, FunctionEngine)
    assert run_step(endless, 7) == Continue(7)


def test_a_step_under_test_is_held_to_the_same_rules() -> None:
    with pytest.raises(InvalidInput):
        RecordingContext().artifact("a/b", "text")
    with pytest.raises(RoostError, match="no longer"):
        RecordingContext(is_cancelled=True).raise_if_cancelled()


@pytest.mark.scenario("S1", "S2")
def test_the_calls_of_a_step_under_test_are_made_once_and_counted() -> None:
    context = RecordingContext()
    answers = iter(["paid", "never"])

    async def charge(amount: int) -> str:
        return next(answers)

    def refuse() -> None:
        raise PermanentError("no")

    @engine()
    async def pays(state: Any, ctx: StepContext) -> Complete:
        with pytest.raises(CallFailed):
            await ctx.run("refuse", refuse)
        return Complete(await ctx.run("charge", charge, 7, scope="item"))

    @engine()
    def looks(state: Any, ctx: StepContext) -> Complete:
        return Complete(ctx.run("look", lambda: 1))

    assert run_step(pays, context=context) == run_step(pays, context=context) == Complete("paid")
    assert run_step(looks, context=context) == Complete(1)
    assert context.calls == {"refuse": 1, "charge": 1, "look": 1}


def test_a_step_asks_for_asks_and_for_nothing_else() -> None:
    @engine()
    def careless(state: Any, ctx: StepContext) -> Any:
        return ctx.ask("one")  # type: ignore[call-overload]

    with pytest.raises(InvalidInput, match="cannot ask for a str"):
        run_step(careless)


def test_a_step_under_test_gets_the_answers_that_the_test_gives() -> None:
    @engine()
    def careful(state: Any, ctx: StepContext) -> Any:
        found = ctx.ask(Approval("one"), Approval("two"))
        return Complete([found[key].approved for key in ("one", "two")])

    given = [answer("one", True), answer("two", False)]
    assert run_step(careful, context=RecordingContext(given=given)) == Complete([True, False])
    with pytest.raises(Suspend) as caught:
        run_step(careful, context=RecordingContext(given=given[:1]))
    assert [ask.key for ask in caught.value.asks] == ["one", "two"]
    assert not isinstance(caught.value, Exception)


def test_an_item_for_a_test_takes_any_field() -> None:
    item = make_item({"a": 1}, namespace="other", priority=3)
    assert (item.payload, item.namespace, item.priority) == ({"a": 1}, "other", 3)


# Work that is due ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "payload"), [("counter", {"count_to": 3}), ("tally", {"to": 3})])
def test_an_item_is_run_to_its_end_inside_the_test(
    name: str, payload: dict[str, int], roost_drain: Callable[..., int]
) -> None:
    item = enqueue(name, payload)
    assert roost_drain() == 3
    item.refresh_from_db()
    assert (item.state, item.version) == (State.DONE, 3)
    assert not Lease.objects.exists()
    assert Worker.objects.filter(state="online").exclude(host__startswith="tally").count() == 0


@pytest.mark.django_db
def test_what_a_step_stages_is_there_when_it_has_been_run() -> None:
    item = enqueue("wide")
    assert drain(engines=["wide"]) == 1
    artifact = Artifact.objects.get(work_item=item)
    assert blobs.read_artifact(artifact) == b"text"
    assert Event.objects.filter(work_item=item, kind=EventKind.LOG).count() == 1
    child = assert_enqueued("counter")
    assert (child.parent_id, child.state) == (item.pk, State.QUEUED)


@pytest.mark.django_db
def test_a_failed_atomic_step_leaves_none_of_its_rows() -> None:
    item = enqueue("tally", {"to": 3, "fail_at": 2})
    assert drain() == 2
    item.refresh_from_db()
    assert (item.state, item.version) == (State.FAILED, 1)
    assert list(Worker.objects.filter(host__startswith="tally").values_list("host", flat=True)) == ["tally 1"]


@pytest.mark.django_db
@pytest.mark.scenario("S1")
@pytest.mark.parametrize("name", ["async_calls", "atomic_calls"])
def test_calls_of_a_step_that_fails_stay_recorded_in_the_tests_own_transaction(name: str) -> None:
    CALLED.clear()
    item = enqueue(name)
    assert drain(skip_delays=True) == 2
    item.refresh_from_db()
    assert (item.state, item.result, CALLED) == (State.DONE, 1, ["count"])
    assert Event.objects.filter(work_item=item, kind=EventKind.REPLAYED).count() == 1
    assert JournalEntry.objects.get().attempts == 1


@pytest.mark.django_db
def test_delays_and_backoffs_wait_unless_they_are_skipped() -> None:
    item = enqueue("counter", {"count_to": 3, "delay_seconds": 3600, "fail_at": 2}, delay=60)
    assert drain() == 0
    assert drain(skip_delays=True) == 4
    item.refresh_from_db()
    assert item.state == State.DONE
    assert Event.objects.filter(work_item=item, kind=EventKind.RETRY).count() == 1


@pytest.mark.django_db
def test_a_clock_that_is_moved_brings_what_is_due_then(roost_clock: Any) -> None:
    enqueue("counter", {"count_to": 1}, delay=60)
    roost_clock.advance(30)
    assert drain() == 0
    roost_clock.advance(31)
    assert drain() == 1


@pytest.mark.django_db
def test_an_item_is_given_back_after_as_many_steps_as_asked_for() -> None:
    item = enqueue("counter", {"count_to": 10})
    assert drain(max_steps=4) == 4
    item.refresh_from_db()
    assert (item.state, item.version, item.attempt, item.deaths) == (State.QUEUED, 4, 0, 0)
    assert drain(until=lambda: WorkItem.objects.get(pk=item.pk).version == 7) == 3
    assert drain() == 3


@pytest.mark.django_db
def test_work_without_end_is_an_error_and_not_a_test_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.worker.inline_worker.MOST_STEPS", 20)
    item = enqueue("endless", {})
    with pytest.raises(RoostError, match="Does an engine never end"):
        drain()
    item.refresh_from_db()
    assert (item.state, item.version) == (State.QUEUED, 20)


@pytest.mark.django_db
def test_only_the_engines_asked_for_are_run() -> None:
    enqueue("counter", {"count_to": 1})
    assert drain(engines=["tally"]) == 0
    assert drain(engines=["counter"]) == 1


# Time, death and what was enqueued ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_items_of_dead_workers_are_recovered_and_run_again() -> None:
    item = enqueue("counter", {"count_to": 2})
    request = ClaimRequest(worker=WorkerFactory().pk, engines=None, pools=(), limit=5)
    assert len(get_store().claim(request)) == 1
    assert drain() == 0
    assert expire_leases() == 1
    item.refresh_from_db()
    assert (item.state, item.deaths) == (State.QUEUED, 1)
    assert drain() == 2


@pytest.mark.django_db
def test_the_clock_stands_where_it_stood_after_a_test(roost_clock: Any) -> None:
    before = clock.now(connection.alias)
    roost_clock.advance(3600)
    assert clock.now(connection.alias) - before >= dt.timedelta(hours=1)
    roost_clock.close()
    assert clock.now(connection.alias) - before < dt.timedelta(minutes=1)


@pytest.mark.django_db
def test_what_was_enqueued_is_found_by_engine_payload_and_any_field() -> None:
    enqueue("counter", {"count_to": 1, "sleep": 0})
    wanted = enqueue("counter", {"count_to": 2, "sleep": 0}, priority=3)
    assert assert_enqueued("counter", payload__contains={"count_to": 2}) == wanted
    assert assert_enqueued(priority=3) == wanted
    assert assert_enqueued().pk in set(WorkItem.objects.values_list("pk", flat=True))


@pytest.mark.django_db
def test_what_was_not_enqueued_fails_the_test_and_names_what_there_is() -> None:
    with pytest.raises(AssertionError, match="none"):
        assert_enqueued("counter")
    enqueue("counter", {"count_to": 1})
    with pytest.raises(AssertionError, match=r"counter queued \{'count_to': 1\}"):
        assert_enqueued("counter", payload__contains={"count_to": 2})


def test_a_retryable_error_of_a_step_reaches_the_test() -> None:
    with pytest.raises(RetryableError):
        run_step(Counter(), {"count_to": 1, "fail_at": 1})


@pytest.mark.django_db
def test_schedules_fire_when_a_test_says_so() -> None:
    set_schedule("pulse", engine="counter", payload={"count_to": 1}, every=60)
    assert fire_schedules() == 0
    with advance(61):
        assert fire_schedules() == 1
        assert drain() == 1
    assert_enqueued("counter", state=State.DONE)
