"""A person says whether a call that was cut off happened; the item waits for them without a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.asks import Input
from runtime.choices import State
from runtime.exceptions import Conflict, PermanentError
from runtime.journal import CallPolicy
from runtime.models import Wait
from runtime.operations.cancel import cancel
from runtime.operations.redrive import redrive
from runtime.operations.requeue import requeue
from runtime.operations.reset_call import reset_call
from runtime.operations.respond import respond
from runtime.queries import verify
from runtime.queries.why import why
from tests.runtime.worker.calling import Calling, note, put, read, told, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("calling")]
LANES = ["async", "atomic"]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.scenario("L36", "S8")
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("said", "result", "calls"),
    [({"happened": True, "result": "known"}, "known", 1), ({"happened": False}, "paid", 2)],
    ids=["happened", "did not"],
)
def test_the_item_waits_for_a_person_and_goes_on_with_what_they_say(
    lane: str, said: Any, result: str, calls: int, run: Callable[[], Any]
) -> None:
    def die_once() -> str:
        note("call")
        if len(Calling.called) == 1:
            raise Killed
        return "paid"

    item = put(lane, lambda ctx: ctx.run("charge", die_once, policy=CallPolicy(in_doubt="ask")))
    work()
    assert (read(item).state, Wait.objects.get().key) == (State.WAITING, "journal:charge")
    assert len(told(item, "in_doubt")) == 1
    respond(item.pk, value=said)
    run()
    assert (read(item).state, read(item).result, len(Calling.called)) == (State.DONE, [result], calls)
    assert verify.item(item.pk) == []


@pytest.mark.scenario("S1", "S6")
@pytest.mark.parametrize("lane", LANES)
def test_a_call_before_a_question_is_not_made_again_with_the_answer(lane: str, run: Callable[[], Any]) -> None:
    def call_and_ask(ctx: Any) -> Any:
        if lane == "atomic":
            return [ctx.run("k", note, 1), ctx.ask(Input("q")).value]

        async def later() -> Any:
            return [await ctx.run("k", note, 1), ctx.ask(Input("q")).value]

        return later()

    item = put(lane, call_and_ask)
    run()
    assert read(item).state == State.WAITING
    respond(item.pk, value=5)
    run()
    assert (read(item).result, Calling.called) == ([[1, 5]], [1])


def charging(*deaths: int, failing: int = 0) -> Callable[..., Any]:
    """Return what a step does: charge, cut off at these calls, and refused for good at one."""

    def charge() -> str:
        note("call")
        if len(Calling.called) in deaths:
            raise Killed
        if len(Calling.called) == failing:
            raise PermanentError("The account is closed.")
        return "paid"

    return lambda ctx: ctx.run("charge", charge, policy=CallPolicy(in_doubt="ask"))


@pytest.mark.scenario("L36", "S8")
@pytest.mark.parametrize("lane", LANES)
def test_an_answer_about_a_call_that_was_forgotten_decides_nothing_about_the_next(
    lane: str, run: Callable[[], Any]
) -> None:
    item = put(lane, charging(1, 3, failing=2))
    work()
    respond(item.pk, value={"happened": False})
    run()
    assert (read(item).state, len(Calling.called)) == (State.FAILED, 2)
    redrive(item.pk)
    work()
    assert (read(item).state, len(Calling.called)) == (State.WAITING, 3)
    assert Wait.objects.get(state="open").key == "journal:charge"
    assert verify.item(item.pk) == []
    respond(item.pk, value={"happened": True, "result": "known"})
    run()
    assert (read(item).result, len(Calling.called)) == (["known"], 3)


@pytest.mark.scenario("L36")
def test_while_a_person_is_asked_the_answer_decides_and_no_reset() -> None:
    item = put("async", charging(1))
    work()
    [doubt] = [cause for cause in why(read(item)).causes if cause.code == "in_doubt"]
    assert f"`roost respond {item.pk} journal:charge` decides" in doubt.text
    for _asked in range(2):
        with pytest.raises(Conflict, match="the answer to 'journal:charge' decides"):
            reset_call(item.pk, "charge")
        if read(item).state == State.WAITING:
            respond(item.pk, value={"happened": True, "result": "known"})
    work()
    assert (read(item).result, len(Calling.called)) == (["known"], 1)


@pytest.mark.scenario("L36", "S2")
def test_a_call_that_was_reset_is_made_again_and_nobody_is_asked_about_the_old_one() -> None:
    item = put("async", charging(1))
    work()
    cancel(item.pk)
    [doubt] = [cause for cause in why(read(item)).causes if cause.code == "in_doubt"]
    assert f"`roost journal reset {item.pk} charge` has it made again" in doubt.text
    reset_call(item.pk, "charge")
    assert requeue(item.pk).state == State.QUEUED
    work()
    assert (read(item).result, len(Calling.called)) == (["paid"], 2)
    assert verify.item(item.pk) == []
