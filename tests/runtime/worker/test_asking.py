"""What can be asked for, and what is refused before it reaches the database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.asks import Answer, Approval, Ask, AwaitChildren, AwaitSignal, Input, Timer
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.models.workitem import new_id
from runtime.worker.asking import NOTHING, new_waits, told


def test_every_kind_becomes_a_wait() -> None:
    child = new_id()
    asks: list[Ask] = [
        Approval("a", prompt="Yes?", data={"n": 1}, quorum=2, on_reject="fail"),
        Input("i", schema={"type": "string"}, expires_in=5, default="x"),
        AwaitSignal("s", "name"),
        AwaitChildren("c", [child], need=1, on_failure="wake"),
        Timer("t", 60),
    ]
    approval, question, signal, children, timer = new_waits(asks, "any")
    assert (approval.quorum, approval.on_reject, approval.expires_in) == (2, "fail", roost.WAIT_SECONDS)
    assert (approval.has_default, approval.needed, type(approval.kind)) == (False, "any", str)
    assert (question.expires_in, question.has_default, question.default) == (5, True, '"x"')
    assert (signal.signal_name, signal.expires_in) == ("name", None)
    assert json.loads(children.data or "") == {"children": [str(child)], "need": 1, "on_failure": "wake"}
    assert (timer.expires_in, timer.has_default, timer.default) == (60, True, "null")


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    "asks",
    [
        [],
        [Approval("a"), Approval("a")],
        [Approval("")],
        [Approval("a" * 201)],
        [Approval("a", quorum=0)],
        [Approval("a", data=object())],
        [Approval("a", data=float("nan"))],
        [Approval("a", prompt="\x00")],
        [Approval("a", prompt="x" * 10_001)],
        [Approval("a", prompt=None)],  # type: ignore[arg-type]
        [Approval("a", expires_in=-1)],
        [Approval("a", expires_in=float("inf"))],
        [Approval("a", default=object())],
        [Approval("a", on_reject="maybe")],  # type: ignore[arg-type]
        [Input("a", schema={"type": "strin"})],
        [Input("a", schema="string")],  # type: ignore[arg-type]
        [AwaitSignal("a", "n" * 201)],
        [AwaitChildren("a", ["x"])],  # type: ignore[list-item]
        [AwaitChildren("a", need="most")],  # type: ignore[arg-type]
        [AwaitChildren("a", need=0)],
        [AwaitChildren("a", on_failure="panic")],  # type: ignore[arg-type]
        [Timer("a", -1)],
        [Timer("a", "soon")],  # type: ignore[arg-type]
        [Ask(key="a")],
        ["a"],
        Approval("a"),
        {"a": Approval("a")},
        [Timer(f"t{n}", 1) for n in range(1_001)],
    ],
)
def test_what_cannot_be_asked_is_refused(asks: list[Any]) -> None:
    with pytest.raises(InvalidInput):
        new_waits(asks, "all")


def test_the_mode_is_all_or_any() -> None:
    with pytest.raises(InvalidInput):
        new_waits([Timer("a", 1)], "some")


def test_answers_come_back_as_they_were_written() -> None:
    assert told(None) is NOTHING
    child = new_id()
    entry = {"key": "a", "kind": "input", "value": 1, "by": "ann", "reason": "", "expired": False, "at": None}
    found = told(json.dumps({"answers": [entry], "spawned": [str(child)]}))
    assert found.answers == {"a": Answer(key="a", kind="input", value=1, by="ann")}
    assert found.spawned == (child,)
