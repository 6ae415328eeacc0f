"""What a step says of the children that it spawns, and what they have from their parent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from runtime.asks import AwaitChildren
from runtime.choices import State
from runtime.engine import Complete, Continue, Engine, Item, Snapshot, engine
from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.fork import fork
from runtime.signals import items_enqueued
from runtime.step import StepContext
from runtime.store import get_store
from runtime.tasks import drain_here
from runtime.testing import RecordingContext, drain, inline, run_step
from runtime.worker.options import WorkerOptions
from tests.runtime.worker.calling import read

pytestmark = pytest.mark.django_db(transaction=True)

AT = dt.datetime(2040, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
OPTIONS: dict[str, Any] = {
    "relation": "detached",
    "pool": "gpu",
    "priority": 7,
    "fair_key": "ann",
    "deadline": dt.timedelta(hours=1),
    "resources": ["domain:example.com"],
    "max_attempts": 9,
    "max_steps": 40,
    "pause_after": 3,
    "step_timeout": 1.5,
    "item_timeout": dt.timedelta(minutes=2),
    "delay": 60,
}


@engine()
def leaf(state: Any) -> Any:
    return Complete(state)


class Spawning(Engine):
    """Spawns one child with the options that `told` holds, and waits for it if its payload says so."""

    told: dict[str, Any] = {}

    def init_snapshot(self, item: Item) -> Any:
        return {}

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return spawned(item, ctx)


class AsyncSpawning(Spawning):
    """The same in the async lane."""

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:  # type: ignore[override]
        return spawned(item, ctx)


def spawned(item: Item, ctx: StepContext) -> Any:
    if item.payload == "twice" and ctx.idempotency_key.endswith(":2"):
        return Complete()
    child = ctx.spawn("leaf", "out", **Spawning.told)
    if item.payload == "twice":
        return Continue({})
    return Complete(ctx.ask(AwaitChildren("child", [child])).value if item.payload == "wait" else None)


@pytest.fixture(autouse=True)
def engines(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"leaf": "leaf", "atomic": "Spawning", "async": "AsyncSpawning"}
    settings.ROOST_ENGINES = {name: f"{__name__}.{found}" for name, found in names.items()}
    monkeypatch.setattr(Spawning, "told", {})


@pytest.fixture(params=["atomic", "async"])
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def work(*pools: str) -> None:
    """Let a worker of these pools do what is due there."""
    using = get_store().using
    drain_here(WorkerOptions.defaults(using, until_idle=True, grace_seconds=1.0, pools=pools))


@pytest.mark.parametrize("run", [lambda: work("gpu"), drain], ids=["worker", "drain"])
def test_a_child_goes_to_the_workers_of_its_parent(lane: str, run: Callable[[], Any]) -> None:
    parent = enqueue(lane, "wait", pool="gpu", priority=3, fair_key="ann", namespace="acme")
    run()
    child = WorkItem.objects.get(parent=parent)
    assert (child.pool, child.priority, child.fair_key, child.namespace) == ("gpu", 3, "ann", "acme")
    assert (child.relation, child.state) == ("child", State.DONE)
    parent.refresh_from_db()
    assert [one["result"] for one in parent.result] == ["out"]


def test_a_child_has_the_options_that_an_enqueue_takes(lane: str) -> None:
    Spawning.told = OPTIONS
    parent = enqueue(lane, pool="cpu", priority=3, fair_key="bea")
    drain()
    child = WorkItem.objects.get(parent=parent)
    assert (child.relation, child.pool, child.priority, child.fair_key) == ("detached", "gpu", 7, "ann")
    assert (child.max_attempts, child.max_steps, child.pause_at_step) == (9, 40, 3)
    assert (child.step_timeout, child.item_timeout) == (1.5, 120.0)
    assert [one["key"] for one in child.resources] == ["domain:example.com"]
    assert child.deadline_at is not None
    assert 3_500 < (child.deadline_at - child.created_at).total_seconds() <= 3_600
    assert 59 < (child.run_at - child.created_at).total_seconds() <= 61


def test_a_child_may_be_due_at_a_moment(lane: str) -> None:
    Spawning.told = {"run_at": AT}
    parent = enqueue(lane)
    drain()
    assert WorkItem.objects.get(parent=parent).run_at == AT


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"pol": "gpu"}, r"spawn\(\) takes no pol; it takes relation, .*pool"),
    "another namespace": ({"namespace": "acme"}, r"spawn\(\) takes no namespace.* given by the step"),
    "no name": ({"pool": "a b"}, "pool 'a b' is no name"),
    "no number": ({"max_attempts": "2"}, "max_attempts is a str"),
    "past deadline": ({"deadline": dt.timedelta(seconds=-1)}, "deadline"),
    "two due times": ({"delay": 1, "run_at": AT}, "delay and run_at both"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_option_is_refused_where_it_is_given(lane: str, wrong: str) -> None:
    Spawning.told, words = WRONG[wrong]
    parent = enqueue(lane)
    drain()
    parent.refresh_from_db()
    assert (parent.state, parent.last_error["type"]) == (State.FAILED, "InvalidInput")
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(parent.last_error["message"])
    assert "in spawned" in parent.last_error["traceback"]
    assert not WorkItem.objects.filter(parent=parent).exists()


def test_a_step_under_test_spawns_as_in_a_worker(lane: str) -> None:
    step, context = {"atomic": Spawning(), "async": AsyncSpawning()}[lane], RecordingContext()
    Spawning.told = OPTIONS
    run_step(step, context=context)
    [child] = context.children
    assert {name: child[name] for name in OPTIONS} == OPTIONS
    assert (child["engine"], child["payload"]) == ("leaf", "out")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_step_under_test_is_refused_the_same_options(wrong: str) -> None:
    Spawning.told, words = WRONG[wrong]
    with pytest.raises(ValueError, match=words):
        run_step(Spawning())


def test_children_run_inline_in_their_parents_pool(lane: str) -> None:
    with inline():
        parent = enqueue(lane, "wait", pool="gpu")
    parent.refresh_from_db()
    assert parent.state == State.DONE
    assert WorkItem.objects.get(parent=parent).pool == "gpu"


def test_a_fork_stays_with_the_workers_of_its_original(lane: str) -> None:
    original = enqueue(lane, "wait", pool="gpu")
    work("gpu")
    copy = fork(original.pk, version=0)
    work("gpu")
    copy.refresh_from_db()
    assert (copy.pool, copy.state) == ("gpu", State.DONE)


def test_children_are_told_of_also_by_a_step_that_is_not_the_last(lane: str) -> None:
    told: list[Any] = []

    def hear(ids: list[Any], **more: Any) -> None:
        told.extend(ids)

    parent = enqueue(lane, "twice")
    items_enqueued.connect(hear)
    try:
        work()
    finally:
        items_enqueued.disconnect(hear)
    assert told == [WorkItem.objects.get(parent=parent).pk]
    assert read(parent).version == 2
