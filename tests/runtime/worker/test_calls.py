"""Recorded calls of steps, in both lanes: made once, whatever becomes of the step."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from runtime.asks import Answer
from runtime.choices import EventKind, Reason, State
from runtime.exceptions import InvalidInput, PermanentError, RetryableError
from runtime.journal import CallPolicy
from runtime.models import Event, JournalEntry
from runtime.operations.cancel import cancel
from runtime.testing import drain
from runtime.worker.context import Context
from tests.runtime.worker.calling import Calling, note, put, read, told, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("calling")]
QUICK = CallPolicy(base=0.0, cap=1.0, jitter=0.0)
LANES = ["async", "atomic"]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.scenario("S1", "L19")
@pytest.mark.parametrize("lane", LANES)
def test_a_call_is_made_once_although_its_step_fails_later(lane: str, run: Callable[[], Any]) -> None:
    item = put(lane, lambda ctx: ctx.run("charge", note, 7), fails=2)
    run()
    assert (read(item).state, read(item).result) == (State.DONE, [7])
    assert Calling.called == [7]
    assert told(item, EventKind.REPLAYED) == [{"key": "charge"}] * 2
    entry = JournalEntry.objects.get(work_item=item)
    assert (entry.state, entry.result, entry.attempts, entry.name) == ("succeeded", 7, 1, "note")
    assert entry.idempotency_key == f"{item.pk}:1:charge"


@pytest.mark.parametrize("lane", LANES)
def test_each_step_calls_anew_but_for_keys_of_the_whole_run(lane: str, run: Callable[[], Any]) -> None:
    def both(ctx: Any) -> Any:
        if lane == "atomic":
            return [ctx.run("step", note, "s"), ctx.run("once", note, "i", scope="item")]

        async def later() -> Any:
            return [await ctx.run("step", note, "s"), await ctx.run("once", note, "i", scope="item")]

        return later()

    item = put(lane, both, steps=3)
    run()
    assert read(item).result == [["s", "i"]] * 3
    assert sorted(Calling.called) == ["i", "s", "s", "s"]
    keys = JournalEntry.objects.filter(work_item=item).order_by("base_version").values_list("base_version", "key")
    assert list(keys) == [(-1, "once"), (0, "step"), (1, "step"), (2, "step")]
    assert JournalEntry.objects.get(key="once").idempotency_key == f"{item.pk}:once"


@pytest.mark.scenario("S2")
@pytest.mark.parametrize("lane", LANES)
def test_a_call_that_failed_for_good_fails_the_step_and_is_told(lane: str, run: Callable[[], Any]) -> None:
    def refuse() -> None:
        note("refuse")
        raise PermanentError("no account", code="no_account")

    item = put(lane, lambda ctx: ctx.run("charge", refuse))
    run()
    found = read(item)
    assert (found.state, found.reason, found.last_error["code"]) == (State.FAILED, "permanent_error", "no_account")
    assert Calling.called == ["refuse"]
    [event] = told(item, EventKind.CALL_FAILED)
    assert (event["key"], event["code"], event["message"]) == ("charge", "no_account", "no account")


@pytest.mark.scenario("S3")
@pytest.mark.parametrize("lane", LANES)
def test_a_call_that_goes_on_failing_costs_an_attempt_of_the_step(lane: str, run: Callable[[], Any]) -> None:
    def busy() -> str:
        if len(Calling.called) < 7:
            note("busy")
            raise RetryableError("busy", retry_after=0.0)
        return "paid"

    item = put(lane, lambda ctx: ctx.run("charge", busy, policy=QUICK))
    run()
    assert (read(item).state, read(item).result, len(Calling.called)) == (State.DONE, ["paid"], 7)
    assert Event.objects.filter(work_item=item, kind=EventKind.RETRY).count() == 2
    assert len(told(item, EventKind.CALL_RETRY)) == 7
    assert JournalEntry.objects.get(work_item=item).attempts == 8


@pytest.mark.scenario("L36", "B23")
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(("policy", "ends"), [("retry", State.DONE), ("fail", State.FAILED)])
def test_a_call_cut_off_is_in_doubt_and_its_policy_decides(lane: str, policy: Any, ends: str) -> None:
    def die_once() -> str:
        note("call")
        if len(Calling.called) == 1:
            raise Killed
        return "paid"

    item = put(lane, lambda ctx: ctx.run("charge", die_once, policy=CallPolicy(in_doubt=policy)))
    # A worker takes what a step raises for its failure, whatever it is: as good as a death, and quicker.
    work()
    assert read(item).state == ends
    [event] = told(item, EventKind.IN_DOUBT)
    assert (event["key"], event["attempts"]) == ("charge", 1)
    entry = JournalEntry.objects.get(work_item=item)
    assert (entry.state, entry.attempts) == (("succeeded", 2) if ends == State.DONE else ("started", 1))
    assert read(item).last_error is None or read(item).last_error["code"] == "call_in_doubt"


@pytest.mark.scenario("L36")
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("said", "result", "calls"),
    [({"happened": True, "result": "known"}, "known", 1), ({"happened": False}, "paid", 2)],
    ids=["happened", "did not"],
)
def test_a_person_may_say_whether_a_call_in_doubt_happened(
    lane: str, said: Any, result: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def answer(self: Context, ask: Any) -> Answer:
        asked.append(ask)
        return Answer(key=ask.key, kind="input", value=said)

    def die_once() -> str:
        note("call")
        if len(Calling.called) == 1:
            raise Killed
        return "paid"

    monkeypatch.setattr(Context, "ask", answer, raising=False)
    item = put(lane, lambda ctx: ctx.run("charge", die_once, policy=CallPolicy(in_doubt="ask")), fails=1)
    work()
    assert (read(item).state, read(item).result, len(Calling.called)) == (State.DONE, [result], calls)
    [ask] = asked
    assert (ask.key, ask.data["key"], ask.schema["required"]) == ("journal:charge", "charge", ["happened"])


@pytest.mark.scenario("L4", "L26", "B4")
@pytest.mark.parametrize("lane", LANES)
def test_what_a_call_came_to_is_not_recorded_for_a_step_that_was_cancelled(lane: str, run: Callable[[], Any]) -> None:
    pk: list[Any] = []

    def cancelled_meanwhile() -> str:
        elsewhere = threading.Thread(target=lambda: (cancel(pk[0]), connection.close()))
        elsewhere.start()
        elsewhere.join()
        return note("made")

    def two(ctx: Any) -> Any:
        if lane == "atomic":
            ctx.run("first", cancelled_meanwhile)
            return ctx.run("second", note, "never")

        async def later() -> Any:
            await ctx.run("first", cancelled_meanwhile)
            return await ctx.run("second", note, "never")

        return later()

    item = put(lane, two)
    pk.append(item.pk)
    work()
    assert read(item).state == State.CANCELLED
    assert Calling.called == ["made"]
    assert list(JournalEntry.objects.values_list("key", "state")) == [("first", "started")]
    assert not told(item, EventKind.STEP)


@pytest.mark.parametrize("lane", LANES)
def test_a_key_used_by_two_calls_at_once_is_an_error(lane: str, run: Callable[[], Any]) -> None:
    def twice(ctx: Any) -> Any:
        if lane == "atomic":
            return ctx.run("k", lambda: ctx.run("k", note, 1))
        return asyncio.gather(ctx.run("k", note, 1), ctx.run("k", note, 1))

    async def awaited(ctx: Any) -> Any:
        return await twice(ctx)

    item = put(lane, twice if lane == "atomic" else awaited)
    run()
    found = read(item)
    assert (found.state, "two calls at once" in found.last_error["message"]) == (State.FAILED, True)


def test_calls_of_an_async_step_run_side_by_side(run: Callable[[], Any]) -> None:
    together = asyncio.Event()

    async def wait_for_the_other(number: int) -> int:
        note(number)
        if len(Calling.called) == 2:
            together.set()
        await asyncio.wait_for(together.wait(), 10)
        return number

    async def two(ctx: Any) -> Any:
        return await asyncio.gather(*(ctx.run(str(n), wait_for_the_other, n) for n in (1, 2)))

    item = put("async", two)
    run()
    assert read(item).result == [[1, 2]]


def test_a_call_in_a_call_is_recorded_too(run: Callable[[], Any]) -> None:
    item = put("atomic", lambda ctx: ctx.run("outer", lambda: ctx.run("inner", note, 1) + 1), fails=1)
    run()
    assert read(item).result == [2]
    assert Calling.called == [1]


# What is kept --------------------------------------------------------------------------------------------------------


@pytest.mark.scenario("B5")
def test_a_large_result_is_kept_once_however_often_it_is_replayed(run: Callable[[], Any]) -> None:
    async def ten_times(ctx: Any) -> int:
        return len([await ctx.run(str(number), lambda: "x" * 50_000) for number in range(10)])

    item = put("async", ten_times, fails=2)
    run()
    assert read(item).state == State.DONE
    kept = sum(len(str(data)) for data in Event.objects.filter(work_item=item).values_list("data", flat=True))
    assert kept < 50_000
    assert len(str(read(item).__dict__)) < 50_000
    assert sum(len(entry.result) for entry in JournalEntry.objects.all()) == 500_000


@pytest.mark.scenario("B5")
def test_a_step_with_many_replays_leaves_a_bounded_history(run: Callable[[], Any]) -> None:
    async def many(ctx: Any) -> int:
        return sum([await ctx.run(str(number), lambda: 1) for number in range(120)])

    item = put("async", many, fails=1)
    run()
    assert read(item).result == [120]
    replays = told(item, EventKind.REPLAYED)
    assert len(replays) == 51
    assert replays[-1] == {"more": 70}


@pytest.mark.scenario("S4", "B19")
@pytest.mark.parametrize("lane", LANES)
def test_a_result_that_cannot_be_kept_is_the_steps_failure(lane: str, run: Callable[[], Any]) -> None:
    item = put(lane, lambda ctx: ctx.run("k", lambda: {"who": object(), "text": "\ud800"}))
    run()
    found = read(item)
    assert (found.state, found.reason) == (State.FAILED, Reason.PERMANENT_ERROR)
    assert (found.last_error["code"], "holds a object" in found.last_error["message"]) == ("unstorable_outcome", True)


@pytest.mark.parametrize("scope", ["run", None])
def test_a_scope_that_does_not_exist_is_refused(scope: Any) -> None:
    def wrong(ctx: Any) -> Any:
        with pytest.raises(InvalidInput):
            ctx.run("k", note, 1, scope=scope)
        return "refused"

    item = put("atomic", wrong)
    drain()
    assert read(item).result == ["refused"]
