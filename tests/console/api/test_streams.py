"""Events are told as they happen, to those who reach them, and none is missed by who comes again."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from console.api import streaming, waiting
from console.api.description import EVENT
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from tests.console.api.conftest import ROOT, Api, Caller, problem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("S10")]


def follow(api: Api, last: str = "", query: str = "") -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """Follow a stream to its end; return its events, and its last id."""
    answer = api.get(f"/events/stream{query}", **({"last_event_id": last} if last else {}))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/event-stream"
    text = b"".join(answer.streaming_content).decode()
    return read(text)


def blocks(text: str) -> list[dict[str, str]]:
    """Return the fields of each block."""
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n")]


def read(text: str) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    events, last = [], ""
    for lines in blocks(text):
        last = lines.get("id", last)
        if "event" in lines:
            events.append((lines["event"], json.loads(lines["data"])))
    return events, last


def test_who_comes_again_is_told_what_was_missed(api: Api) -> None:
    events, last = follow(api)
    assert events == []
    item = enqueue("counter", {"count_to": 1})
    cancel(item.pk, actor="ann")
    events, later = follow(api, last)
    assert [(kind, data["item"], data["seq"]) for kind, data in events] == [
        ("enqueued", str(item.pk), 1),
        ("cancelled", str(item.pk), 2),
    ]
    assert follow(api, later)[0] == []
    assert waiting._waiting == 0


def test_a_stream_tells_of_what_is_within_reach_and_wanted(api: Api, caller: Caller) -> None:
    last = follow(api)[1]
    ours = enqueue("counter", {"count_to": 1}, namespace="ours")
    enqueue("counter", {"count_to": 1}, namespace="theirs")

    def items(who: Api, query: str = "") -> set[str]:
        return {data["item"] for _, data in follow(who, last, query)[0]}

    assert len(items(api)) == 2
    assert items(caller(namespaces=("ours",))) == items(api, "?namespace=ours") == {str(ours.pk)}
    assert items(api, f"?item={ours.pk}") == {str(ours.pk)}
    assert items(api, "?engine=refund") == set()
    problem(caller(namespaces=("ours",)).get("/events/stream?namespace=theirs"), 403)


def test_a_cursor_that_is_none_is_reset(api: Api) -> None:
    events, last = follow(api, "nonsense")
    assert events == [("reset", {})]
    assert follow(api, last)[0] == []


def test_a_stream_begins_with_where_it_is_and_repeats_nothing_else(api: Api) -> None:
    first = b"".join(api.get("/events/stream").streaming_content)
    assert first.startswith(b"retry: 1000\nid: ")
    last = read(first.decode())[1]
    again = b"".join(api.get("/events/stream", last_event_id=last).streaming_content).decode()
    # A block without an id would have a browser forget the one that it came with.
    assert again.startswith(f"retry: 1000\nid: {last}\n\n")
    text = b"".join(api.get("/events/stream", last_event_id="NaN").streaming_content)
    assert text.startswith(b"retry: 1000\n\nevent: reset\n")
    assert b"NaN" not in text


def test_events_are_what_the_description_says_of_them(api: Api) -> None:
    last = follow(api)[1]
    enqueue("counter", {"count_to": 1})
    for sent in (last, "nonsense"):
        text = b"".join(api.get("/events/stream", last_event_id=sent).streaming_content).decode()
        told = [block for block in blocks(text) if "data" in block]
        assert told
        for block in told:
            jsonschema.validate(block, EVENT)
            assert set(block) <= set(EVENT["properties"])


def test_a_quiet_stream_shows_that_it_lives(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BEAT_SECONDS", 0.0)
    last = follow(api)[1]
    answer = api.get("/events/stream", last_event_id=last)
    _begins, *beats = b"".join(answer.streaming_content).strip().split(b"\n\n")
    # On PostgreSQL the cursor moves with transactions of others, and the beat tells where it is.
    assert beats
    assert all(beat == streaming.BEAT.strip() or beat.startswith(b"id: ") for beat in beats)


def test_what_happens_out_of_reach_makes_a_stream_say_where_it_is_with_the_beat_and_at_its_end_alone(
    api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ROOST_API_STREAM_SECONDS = 60.0
    follower = streaming.Follower.of(streaming.Wanted(within=("ours",)), "")

    def told() -> bytes:
        enqueue("counter", {"count_to": 1}, namespace="theirs")
        text, more = follower.look()
        assert not more
        return text

    assert told() == b""
    monkeypatch.setattr(streaming, "BEAT_SECONDS", 0.0)
    assert told() == f"id: {follower.cursor}\n\n".encode()
    monkeypatch.setattr(streaming, "BEAT_SECONDS", 60.0)
    assert told() == b""
    item = enqueue("counter", {"count_to": 1}, namespace="ours")
    text = told().decode()
    assert [data["item"] for _, data in read(text)[0]] == [str(item.pk)]
    assert text.endswith(f"id: {follower.cursor}\n\n")
    assert told() == b""
    follower.ends_at = 0.0
    assert told() == f"id: {follower.cursor}\n\n".encode()
    assert follower.is_over


def test_only_so_many_follow_at_once_and_a_stream_that_nobody_reads_gives_its_place_back(
    api: Api, settings: Any
) -> None:
    settings.ROOST_API_WAITERS = 1
    first = api.get("/events/stream")
    problem(api.get("/events/stream"), 503, "busy")
    first.close()
    assert api.get("/events/stream").close() is None
    assert waiting._waiting == 0


async def _follow_asynchronously(token: str, last: str) -> str:
    headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": last}
    answer: Any = await AsyncClient().get(f"{ROOT}/events/stream", headers=headers)
    return b"".join([piece async for piece in answer.streaming_content]).decode()


def test_an_asynchronous_server_follows_too(api: Api) -> None:
    last = follow(api)[1]
    enqueue("counter", {"count_to": 1})
    events, _ = read(async_to_sync(_follow_asynchronously)(api.token, last))
    assert [kind for kind, _ in events] == ["enqueued"]


def test_a_stream_gives_its_connection_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []
    monkeypatch.setattr(streaming, "give_back_connection", lambda: given.append(True))
    follow(api)
    assert given
