"""A person says whether a call that was cut off happened; the item waits for them without a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.asks import Input
from runtime.choices import State
from runtime.journal import CallPolicy
from runtime.models import Wait
from runtime.operations.respond import respond
from runtime.queries import verify
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
