"""A stream goes on where its connection broke, and tells each event once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.client import Happened, Reset, Retries, calls
from runtime.client.errors import Forbidden, Throttled, Unavailable, UnexpectedAnswer, Unreachable
from runtime.client.exchange import Answer
from runtime.client.following import AGAIN_SECONDS, Following, Messages
from tests.runtime.client.examples import ITEM

pytestmark = pytest.mark.scenario("S10")

STREAM = Answer(status=200, headers={"content-type": "text/event-stream; charset=utf-8"})


def told(seq: int) -> bytes:
    """Return what the server says of an event."""
    data = {"item": str(ITEM), "namespace": "default", "engine": "counter", "seq": seq, "kind": "enqueued"}
    data |= {"version": 0, "actor": "", "at": "2030-01-31T12:00:00+00:00"}
    return f"event: enqueued\ndata: {json.dumps(data)}\n\n".encode()


@pytest.fixture
def place() -> Following:
    """Give a stream that begins."""
    found = Following(call=calls.stream(), retries=Retries(times=2, first=1.0))
    assert found.opened(STREAM)
    return found


def take(place: Following, *pieces: bytes) -> list[Any]:
    return [event.seq if isinstance(event, Happened) else event for piece in pieces for event in place.take(piece)]


def test_messages_are_read_however_they_are_cut() -> None:
    text = ": hello\nretry: 2000\nid: s1\n\nevent: a\r\ndata: é\r\ndata:2\r\n\r\nid: s2\n\n: still here\n\n".encode()
    for size in (1, 2, 3, len(text)):
        messages = Messages()
        found = [one for start in range(0, len(text), size) for one in messages.take(text[start : start + size])]
        assert [(one.kind, one.data, one.id) for one in found] == [
            ("message", "", "s1"),
            ("a", "é\n2", "s1"),
            ("message", "", "s2"),
        ]
        assert messages.retry == 2.0


def test_events_carry_the_place_to_go_on_from(place: Following) -> None:
    [first] = place.take(b"id: s1\n\n" + told(1) + b"id: s2\n\n")
    [second] = place.take(told(2))
    assert isinstance(first, Happened)
    assert (first.cursor, second.cursor, first.item, first.kind) == ("s1", "s2", ITEM, "enqueued")


def test_the_next_connection_goes_on_from_the_last_id_and_repeats_nothing(place: Following) -> None:
    assert "Last-Event-ID" not in place.call.headers
    assert take(place, b"id: s1\n\n", told(1), told(2), told(3)[:-20]) == [1, 2]
    place.lost(ConnectionError())
    assert place.pause > 0
    assert place.call.headers["Last-Event-ID"] == "s1"
    assert place.opened(STREAM)
    assert take(place, b"id: s1\n\n", told(1), told(2), told(3), b"id: s2\n\n") == [3]
    assert place.call.headers["Last-Event-ID"] == "s2"
    assert place._told == set(), "what is behind the place to go on from is not told again"
    assert take(place, told(4)) == [4]


def test_a_stream_that_ends_goes_on_after_what_the_server_says(place: Following) -> None:
    place.ended()
    assert place.pause == AGAIN_SECONDS
    take(place, b"retry: 250\nid: s1\n\n")
    place.ended()
    assert place.pause == 0.25


def test_a_reset_is_told(place: Following) -> None:
    assert take(place, b"event: reset\ndata: {}\n\nid: s9\n\n") == [Reset(cursor="")]
    assert place.cursor == "s9"


def test_a_server_that_is_away_is_tried_again_and_given_up(place: Following) -> None:
    for _ in range(2):
        place.lost(ConnectionError())
    with pytest.raises(Unreachable, match="3 tries"):
        place.lost(ConnectionError("no"))


def test_what_arrives_begins_the_count_anew(place: Following) -> None:
    for _ in range(5):
        place.lost(ConnectionError())
        place.opened(STREAM)
        take(place, b": still here\n\n")


def test_a_place_that_is_not_free_is_waited_for(place: Following) -> None:
    assert not place.opened(Answer(status=503, headers={"retry-after": "5"}))
    assert place.pause == 5.0
    assert not place.opened(Answer(status=429, headers={"retry-after": "7"}))
    assert place.pause == 7.0
    with pytest.raises(Unavailable):
        place.opened(Answer(status=503))
    with pytest.raises(Throttled):
        place.opened(Answer(status=429, headers={"retry-after": "600"}))


def test_what_is_no_stream_is_raised(place: Following) -> None:
    with pytest.raises(Forbidden):
        place.opened(Answer(status=403))
    with pytest.raises(UnexpectedAnswer):
        place.opened(Answer(status=302, headers={"location": "/login"}))
    with pytest.raises(UnexpectedAnswer):
        place.opened(Answer(status=200, headers={"content-type": "text/html"}))
    with pytest.raises(UnexpectedAnswer):
        take(place, b"event: enqueued\ndata: nonsense\n\n")
