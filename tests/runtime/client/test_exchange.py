"""What may be sent again is, what may not is sent once, and what is refused is raised as what it is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import email.utils
import json
import uuid
from typing import Any

import pytest

from runtime.client import Retries, calls, errors, verbs
from runtime.client.errors import (
    Conflict,
    FieldError,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    NotEnded,
    NotFound,
    Refused,
    StaleVersion,
    Throttled,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WorkFailed,
)
from runtime.client.exchange import LEAST_PAUSE, LEAST_TRY, Answer, Flow, Heard, Lost, Pause, Send, ended, exchange
from tests.runtime.client.examples import ITEM

pytestmark = pytest.mark.scenario("S10")

BROKEN = Lost(error=ConnectionError("gone"))
SENT: dict[str, Any] = {"id": str(uuid.UUID(int=1))}
READY = Answer(status=201, content=json.dumps(SENT).encode())
KEYED = verbs.signal("paid", item=ITEM, delivery_id="d-1")
UNKEYED = dataclasses.replace(verbs.cancel(ITEM), headers={})
RETRIES = Retries(times=3, first=1.0, longest=4.0)


def refused(status: int, *, retry_after: str = "", **problem: Any) -> Answer:
    """Return an answer that refuses."""
    headers = {"retry-after": retry_after} if retry_after else {}
    return Answer(status=status, headers=headers, content=json.dumps(problem).encode())


def play(flow: Flow[Any], *heard: Heard) -> tuple[list[float], Any]:
    """Answer what the flow sends, in turn; return its pauses, and its result or what it raised."""
    left, pauses, told = iter(heard), [], None
    while True:
        try:
            step = flow.send(told)
        except StopIteration as end:
            assert next(left, None) is None, "an answer was not asked for"
            return pauses, end.value
        except errors.ClientError as error:
            assert next(left, None) is None, "an answer was not asked for"
            return pauses, error
        told = next(left) if isinstance(step, Send) else None
        pauses += [step.seconds] if isinstance(step, Pause) else []


@pytest.mark.parametrize("passing", [BROKEN, refused(429), refused(502), refused(503), refused(504)])
def test_what_may_pass_is_tried_again_after_pauses_that_grow(passing: Heard) -> None:
    pauses, found = play(exchange(KEYED, RETRIES), passing, passing, passing, READY)
    assert str(found.id) == SENT["id"]
    assert 0.5 <= pauses[0] <= 1.0 <= pauses[1] <= 2.0 <= pauses[2] <= 4.0


def test_the_same_key_is_sent_each_time() -> None:
    flow = exchange(calls.enqueue("counter"), RETRIES)
    first = next(flow)
    flow.send(BROKEN)
    assert flow.send(None) == first


def test_tries_end() -> None:
    pauses, error = play(exchange(KEYED, RETRIES), BROKEN, BROKEN, BROKEN, BROKEN)
    assert isinstance(error, Unreachable)
    assert (len(pauses), "4 tries" in str(error), error.__cause__) == (3, True, BROKEN.error)
    pauses, error = play(exchange(KEYED, Retries(times=0)), refused(503))
    assert (pauses, type(error)) == ([], Unavailable)


@pytest.mark.parametrize("passing", [BROKEN, refused(429, retry_after="1"), refused(503)])
def test_what_could_be_done_twice_is_sent_once(passing: Heard) -> None:
    pauses, error = play(exchange(UNKEYED, RETRIES), passing)
    assert pauses == []
    assert isinstance(error, Unreachable | Throttled | Unavailable)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 415, 422, 500])
def test_what_will_not_pass_is_raised_at_once(status: int) -> None:
    pauses, error = play(exchange(KEYED, RETRIES), refused(status))
    assert (pauses, error.status) == ([], status)


def test_retry_after_is_waited_for_unless_it_is_too_long() -> None:
    assert play(exchange(KEYED, RETRIES), refused(429, retry_after="7"), READY)[0] == [7.0]
    soon = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30), usegmt=True)
    [pause] = play(exchange(KEYED, RETRIES), refused(503, retry_after=soon), READY)[0]
    assert 25 < pause <= 30
    past = play(exchange(KEYED, RETRIES), refused(503, retry_after="Mon, 01 Jan 2001 00:00:00 GMT"), READY)[0]
    assert past[0] <= 1.0
    pauses, error = play(exchange(KEYED, RETRIES), refused(429, retry_after="61"))
    assert (pauses, error.retry_after) == ([], 61.0)
    assert play(exchange(KEYED, RETRIES), refused(503, retry_after="soon"), READY)[0][0] <= 1.0


@pytest.mark.parametrize(("failures", "pause"), [(1, 1.0), (2, 2.0), (3, 4.0)])
def test_a_pause_is_half_by_chance_and_capped(failures: int, pause: float) -> None:
    assert RETRIES.pause(failures, chance=1.0) == pause
    assert RETRIES.pause(failures, chance=0.0) == pause / 2
    assert RETRIES.pause(4, chance=1.0) is None
    assert Retries(times=10**9).pause(10**6, chance=1.0) == 8.0


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad_json", Refused),
        (401, "unauthenticated", Unauthenticated),
        (403, "forbidden", Forbidden),
        (404, "not_found", NotFound),
        (409, "conflict", Conflict),
        (409, "idempotency_conflict", IdempotencyConflict),
        (412, "stale_version", StaleVersion),
        (413, "too_large", TooLarge),
        (422, "invalid", InvalidInput),
        (429, "throttled", Throttled),
        (500, "internal", Refused),
        (503, "busy", Unavailable),
    ],
)
def test_a_problem_is_raised_with_all_that_it_says(status: int, code: str, kind: type[Refused]) -> None:
    fields = [{"field": "body.payload.count_to", "message": "is no number"}]
    said = refused(status, code=code, title="Title", detail="Detail.", state="done", errors=fields)
    _, error = play(exchange(UNKEYED, RETRIES), said)
    assert type(error) is kind
    assert (error.status, error.code, error.title, error.detail, error.state) == (
        *(status, code, "Title", "Detail.", "done"),
    )
    assert error.errors == (FieldError(field="body.payload.count_to", message="is no number"),)
    assert str(error) == f"{status} Title: Detail."


@pytest.mark.parametrize("content", [b"<html>Bad gateway</html>", b"[]", b"null", b'{"errors": "none"}', b""])
def test_a_refusal_of_a_proxy_is_one_too(content: bytes) -> None:
    _, error = play(exchange(UNKEYED, RETRIES), Answer(status=502, content=content))
    assert type(error) is Unavailable
    assert (error.status, error.title, error.errors) == (502, "Bad Gateway", ())
    _, error = play(exchange(UNKEYED, RETRIES), Answer(status=599, content=content))
    assert error.title == "Refused"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=200, content=b"<html>Welcome</html>"),
        Answer(status=200, content=b'{"id": 7}'),
        Answer(status=200, content=b"[]"),
        Answer(status=302, headers={"location": "/login"}),
    ],
)
def test_an_answer_of_something_else_is_told_as_that(answer: Answer) -> None:
    assert isinstance(play(exchange(KEYED, RETRIES), answer)[1], UnexpectedAnswer)
    _, error = play(exchange(calls.items(), RETRIES), answer)
    assert isinstance(error, UnexpectedAnswer)
    assert "payload" not in str(error)


# Waiting ------------------------------------------------------------------------------------------------------------


def outcome(state: str, **more: Any) -> Answer:
    """Return an answer about an item."""
    over = state in ("done", "failed", "cancelled")
    told = {"id": str(ITEM), "state": state, "reason": "", "ended": over, "version": 1, "result": None, "error": None}
    return Answer(status=200 if over else 202, content=json.dumps({**told, "finished_at": None, **more}).encode())


class Clock:
    """A clock that goes on while a flow pauses and while it is answered, and what it was told to do."""

    def __init__(self) -> None:
        self.moment = 0.0
        self.sent: list[Send] = []

    def __call__(self) -> float:
        return self.moment

    @property
    def waits(self) -> list[float]:
        """How long the server was asked to wait."""
        return [float(dict(one.call.query).get("wait", 0)) for one in self.sent]

    def play(self, flow: Flow[Any], *heard: tuple[float, Heard]) -> tuple[list[float], Any]:
        """Answer what the flow sends, each after so many seconds; return its pauses, and its result or error."""
        left = iter(heard)

        def timed() -> Flow[Any]:
            told: Heard = None
            while True:
                try:
                    step = flow.send(told)
                except StopIteration as end:
                    return end.value
                if isinstance(step, Pause):
                    self.moment += step.seconds
                    yield step
                    told = None
                else:
                    self.sent.append(step)
                    seconds, told = next(left)
                    self.moment += seconds
                    yield Pause(seconds=-1)

        pauses, found = play(timed())
        assert next(left, None) is None, "an answer was not asked for"
        return [one for one in pauses if one >= 0], found


def test_an_end_is_waited_for_in_long_polls() -> None:
    clock = Clock()
    heard = ((30, outcome("running")), (30, outcome("waiting")), (1, outcome("done", result={"count": 3})))
    assert clock.play(ended(ITEM, RETRIES, now=clock), *heard) == ([], {"count": 3})
    assert [(one.within, wait) for one, wait in zip(clock.sent, clock.waits, strict=True)] == [(None, 30)] * 3


def test_a_poll_that_is_answered_at_once_is_not_repeated_at_once() -> None:
    clock = Clock()
    heard = ((0.25, outcome("queued")), (30, outcome("queued")), (0, outcome("done")))
    assert clock.play(ended(ITEM, RETRIES, now=clock), *heard) == ([LEAST_PAUSE - 0.25], None)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_bad_end_is_raised_with_what_came_of_it(state: str) -> None:
    told = outcome(state, reason="permanent_error", error={"message": "no such order"})
    _, error = play(ended(ITEM, RETRIES), told)
    assert isinstance(error, WorkFailed)
    assert (error.outcome.state, error.outcome.error) == (state, {"message": "no such order"})
    assert f"is {state} (permanent_error): no such order" in str(error)


def test_patience_ends_and_asks_no_longer_than_it_lasts() -> None:
    clock = Clock()
    heard = ((30, outcome("running")), (9, outcome("running")), (0.75, outcome("running")))
    pauses, error = clock.play(ended(ITEM, RETRIES, timeout=40, now=clock), *heard)
    assert (clock.waits, [one.within for one in clock.sent]) == ([30, 9, 0.75], [40, 10, 1])
    assert (pauses, clock.moment) == ([0.25], 40)
    assert isinstance(error, NotEnded)
    assert isinstance(error, TimeoutError)
    assert "still running after 40 seconds" in str(error)
    assert error.outcome.state == "running"


def test_without_patience_it_is_asked_once() -> None:
    clock = Clock()
    pauses, error = clock.play(ended(ITEM, RETRIES, timeout=0, now=clock), (0.5, outcome("running")))
    assert (clock.waits, [one.within for one in clock.sent], pauses) == ([0], [LEAST_TRY], [0])
    assert isinstance(error, NotEnded)


@pytest.mark.parametrize(
    ("passing", "kind"),
    [(BROKEN, Unreachable), (refused(503), Unavailable), (refused(429, retry_after="30"), Throttled)],
)
def test_tries_end_with_the_patience(passing: Heard, kind: type[Exception]) -> None:
    clock = Clock()
    patient = Retries(times=1_000, first=1.0, longest=4.0)
    flow = ended(ITEM, patient, timeout=5, now=clock)
    pauses, error = clock.play(flow, *[(2, passing)] * (1 if kind is Throttled else 2))
    assert type(error) is kind
    assert clock.moment <= 5
    assert clock.sent[0].within == 5
    assert [one.within for one in clock.sent[1:]] == [3 - pause for pause in pauses]
    assert clock.waits[1:] == [pytest.approx((3 - pause) * 3 / 4, rel=1e-3) for pause in pauses if 3 - pause < 4]


def test_who_was_told_that_the_item_goes_on_hears_that_and_not_that_the_last_question_failed() -> None:
    clock = Clock()
    heard = ((4, outcome("running")), (1, BROKEN))
    pauses, error = clock.play(ended(ITEM, RETRIES, timeout=5, now=clock), *heard)
    assert isinstance(error, NotEnded)
    assert isinstance(error.__cause__, Unreachable)
    assert (pauses, clock.moment) == ([0], 5)
    _, error = clock.play(ended(ITEM, RETRIES, timeout=5, now=clock), (1, outcome("running")), (1, refused(403)))
    assert isinstance(error, Forbidden)
