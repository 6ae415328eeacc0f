"""What steps say that they use: counted once for each run of a step, whatever the run came to."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from runtime.asks import Approval
from runtime.choices import EventKind, State
from runtime.engine import Complete, Wait
from runtime.exceptions import CallFailed, InvalidInput, PermanentError
from runtime.models import WorkItem
from runtime.operations.approve import approve
from runtime.operations.cancel import cancel
from runtime.queries.attempts import attempts
from runtime.queries.explain import explain
from runtime.queries.telling import sentences
from runtime.step import StepContext, current_context
from runtime.testing import RecordingContext, crash_at, drain, run_step
from runtime.worker import atomic
from tests.runtime.worker.calling import AtomicCalling, note, put, read, told
from tests.runtime.worker.stepping import outcome_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("calling")]


@pytest.fixture(params=["async", "atomic"])
def lane(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def used(item: WorkItem) -> tuple[int, int]:
    found = read(item)
    return found.tokens_total, found.cost_total


def uses(ctx: StepContext) -> Any:
    ctx.usage(tokens=5, cost=0.002)
    ctx.usage(tokens=7)
    ctx.usage(cost=Decimal("0.000001"))
    return 1


def test_what_a_step_uses_is_added_with_its_commit(lane: str, run: Callable[[], Any]) -> None:
    item = put(lane, uses, steps=2)
    run()
    assert read(item).state == State.DONE
    assert used(item) == (24, 4_002)
    assert told(item, "step") == [{"usage": {"tokens": 12, "cost": 2_001}}] * 2


def test_a_step_that_uses_nothing_tells_nothing(lane: str, run: Callable[[], Any]) -> None:
    item = put(lane, lambda ctx: ctx.usage())
    run()
    assert (used(item), told(item, "step")) == ((0, 0), [None])


def test_what_a_failed_attempt_used_was_used(lane: str, run: Callable[[], Any]) -> None:
    item = put(lane, uses, fails=1)
    run()
    assert (read(item).state, used(item)) == (State.DONE, (24, 4_002))
    assert [(one.outcome, one.tokens, one.cost) for one in attempts(item.pk).rows] == [
        ("retry", 12, 2_001),
        ("step", 12, 2_001),
    ]
    assert "usage" not in (attempts(item.pk).rows[0].error or {})
    [line] = [line for _, line in sentences(explain(read(item))) if line.startswith("Step 1")]
    assert line.endswith("at attempt 2, for 24 tokens, $0.004002.")


def test_the_last_attempt_of_a_dead_letter_counts_too(lane: str, run: Callable[[], Any]) -> None:
    item = put(lane, uses, fails=9)
    run()
    assert (read(item).state, used(item)) == (State.FAILED, (36, 6_003))
    assert told(item, EventKind.FAILED)[0]["usage"] == {"tokens": 12, "cost": 2_001}
    assert "usage" not in read(item).last_error


def test_a_step_that_only_waits_counts(lane: str) -> None:
    def waits(ctx: StepContext) -> Any:
        ctx.usage(tokens=3)
        return Wait(3600)

    item = put(lane, waits)
    drain()
    assert (used(item), told(item, "waited")) == ((3, 0), [{"delay": 3600.0, "usage": {"tokens": 3, "cost": 0}}])


def test_a_recorded_call_is_counted_by_the_run_that_made_it(lane: str, run: Callable[[], Any]) -> None:
    """The step runs three times: it fails, it asks, and it ends. It makes the call once."""

    def after(ctx: StepContext) -> Any:
        reply = ctx.run("draft", note, {"tokens": 9})
        ctx.usage(**reply, call="draft")
        return _end(ctx, reply)

    async def awaited(ctx: StepContext) -> Any:
        reply = await ctx.run("draft", note, {"tokens": 9})
        ctx.usage(**reply, call="draft")
        return _end(ctx, reply)

    item = put(lane, awaited if lane == "async" else after)
    run()
    assert (read(item).state, used(item)) == (State.WAITING, (9, 0))
    approve(item.pk, "send")
    run()
    assert (read(item).state, used(item)) == (State.DONE, (9, 0))
    assert len(told(item, "replayed")) == 2
    assert [one.tokens for one in attempts(item.pk).rows if one.outcome != "released"] == [9, 0, 0]


def _end(ctx: StepContext, reply: Any) -> Any:
    if ctx.attempt == 1:
        raise ValueError("after the call")
    ctx.ask(Approval("send"))
    return reply


def test_a_callee_may_say_what_it_uses(lane: str, run: Callable[[], Any]) -> None:
    def says() -> int:
        current_context().usage(tokens=4)
        return 1

    async def awaited(ctx: StepContext) -> Any:
        return await ctx.run("draft", says)

    item = put(lane, awaited if lane == "async" else lambda ctx: ctx.run("draft", says), fails=1)
    run()
    assert (read(item).state, used(item)) == (State.DONE, (4, 0))


def test_a_call_that_was_not_made_is_refused(lane: str) -> None:
    item = put(lane, lambda ctx: ctx.usage(tokens=1, call="draft"))
    drain()
    assert read(item).last_error["type"] == "InvalidInput"
    assert "made no call 'draft'" in read(item).last_error["message"]


@pytest.mark.parametrize("wrong", [{"tokens": -1}, {"tokens": 1.5}, {"cost": float("nan")}, {"cost": "1"}])
def test_what_is_no_amount_is_refused_where_it_is_said(lane: str, wrong: dict[str, Any]) -> None:
    def uses_wrongly(ctx: StepContext) -> Any:
        ctx.usage(tokens=1)
        ctx.usage(**wrong)

    item = put(lane, uses_wrongly)
    drain()
    assert (read(item).state, read(item).last_error["type"]) == (State.FAILED, "InvalidInput")
    assert used(item) == (1, 0)


def test_a_step_that_was_fenced_off_counts_nothing(lane: str) -> None:
    def loses(ctx: StepContext) -> Any:
        ctx.usage(tokens=5)
        cancel(WorkItem.objects.get().pk)

    async def loses_too(ctx: StepContext) -> Any:
        from asgiref.sync import sync_to_async

        await sync_to_async(loses)(ctx)

    item = put(lane, loses_too if lane == "async" else loses)
    drain()
    assert used(item) == (0, 0)


@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
def test_a_crash_counts_with_the_step_or_not_at_all(point: str) -> None:
    item = put("async", uses)
    with crash_at(point):
        drain()
    assert used(item) == ((12, 2_001) if point == "commit.after" else (0, 0))
    drain()
    assert (read(item).state, used(item)) == (State.DONE, (12, 2_001))


def test_a_step_that_broke_the_contract_has_used_what_it_used() -> None:
    def careless(snapshot: Any, item: Any, ctx: StepContext) -> Any:
        ctx.usage(tokens=2)

    outcome = outcome_of(careless)
    assert (outcome.state, outcome.tokens, outcome.used) == (State.FAILED, 2, "{2,0}")


def test_a_step_under_test_tells_what_it_uses() -> None:
    context = RecordingContext()

    class Uses(AtomicCalling):
        def step(self, snapshot: Any, item: Any, ctx: StepContext) -> Any:
            ctx.run("draft", note, 1)
            ctx.usage(tokens=1, cost=0.5, call="draft")
            with pytest.raises(InvalidInput, match="no call 'other'"):
                ctx.usage(tokens=1, call="other")
            with pytest.raises(InvalidInput, match="tokens"):
                ctx.usage(tokens=-1)
            return Complete()

    run_step(Uses(), context=context)
    assert context.used == [{"tokens": 1, "cost": 0.5, "call": "draft"}]


def test_a_call_that_failed_is_counted_by_the_run_that_made_it(lane: str) -> None:
    def refuses() -> None:
        raise PermanentError("no")

    def after(ctx: StepContext) -> Any:
        with pytest.raises(CallFailed):
            ctx.run("draft", refuses)
        ctx.usage(tokens=3, call="draft")

    async def awaited(ctx: StepContext) -> Any:
        with pytest.raises(CallFailed):
            await ctx.run("draft", refuses)
        ctx.usage(tokens=3, call="draft")

    item = put(lane, awaited if lane == "async" else after, fails=1)
    drain()
    assert (read(item).state, used(item)) == (State.DONE, (3, 0))


def test_what_a_run_used_that_others_undid_was_used_and_a_recorded_call_counts_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commits = []
    commit = atomic._commit

    def meets_others(store: Any, outcome: Any) -> Any:
        commits.append(outcome)
        if len(commits) == 1:
            raise atomic.Blocked("locked")
        return commit(store, outcome)

    def pays(ctx: StepContext) -> Any:
        ctx.usage(tokens=1)
        ctx.run("ask", lambda: note("asked"))
        ctx.usage(tokens=10, call="ask")
        ctx.usage(cost=0.5, call="ask")
        return 1

    monkeypatch.setattr(atomic, "_commit", meets_others)
    item = put("atomic", pays, steps=2)
    drain(max_steps=1)
    assert (len(commits), used(item)) == (2, (12, 500_000))
    drain()
    assert used(item) == (23, 1_000_000), "the next step begins anew"


def test_what_a_run_used_before_others_undid_it_is_counted_where_it_had_not_told_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = []

    def meets_others(ctx: StepContext) -> Any:
        ctx.run("ask", lambda: note("asked"))
        runs.append(ctx)
        if len(runs) == 1:
            raise atomic.Blocked("locked")
        ctx.usage(tokens=10, call="ask")
        return 1

    item = put("atomic", meets_others)
    drain()
    assert (len(runs), used(item)) == (2, (10, 0))
