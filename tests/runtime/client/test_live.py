"""The client drives the API: what it says happens, and what is refused is raised as what it is."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.handlers.asgi import ASGIHandler

from runtime.choices import WaitKind
from runtime.client import (
    AsyncClient,
    Client,
    Conflict,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    Item,
    NotFound,
    Retries,
    StaleVersion,
    Unauthenticated,
    WorkFailed,
)
from runtime.models import Signal, Wait, WorkItem
from runtime.operations.tokens import create_token
from runtime.testing import drain
from tests.factories import WaitFactory, WorkItemFactory
from tests.runtime.client.conftest import HERE, ONCE

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


def test_an_item_is_enqueued_once_and_waited_for(roost: Client) -> None:
    first = roost.enqueue("counter", {"count_to": 3}, idempotency_key="order-7", priority=5, namespace="shop")
    assert roost.enqueue("counter", {"count_to": 3}, idempotency_key="order-7", namespace="shop").id == first.id
    row = WorkItem.objects.get()
    assert (row.pk, row.priority, row.payload, row.idempotency_key) == (first.id, 5, {"count_to": 3}, "order-7")
    assert (first.state, first.payload, first.readable) == ("queued", {"count_to": 3}, True)
    assert abs(first.run_at - row.run_at) < dt.timedelta(milliseconds=1)
    assert not roost.outcome(first.id).ended
    drain(skip_delays=True)
    assert roost.wait(first.id) == WorkItem.objects.get().result
    assert roost.get(first.id).state == "done"
    events = list(roost.events(first.id, page_size=2))
    assert [event.seq for event in events] == list(range(1, roost.get(first.id).event_seq + 1))
    assert (events[0].kind, len(events) > 4) == ("enqueued", True)


def test_many_are_enqueued_and_listed_over_pages(roost: Client) -> None:
    made = roost.enqueue_many(
        [{"engine": "counter", "payload": {"count_to": count}} for count in (1, 2, 3)], idempotency_key="night"
    )
    assert all(one.created for one in made)
    assert {item.idempotency_key for item in WorkItem.objects.all()} == {"night:0", "night:1", "night:2"}
    assert {item.id for item in roost.items(engine="counter", state=["queued"], page_size=1)} == {
        one.id for one in made
    }
    assert list(roost.items(state="done")) == []


@pytest.mark.parametrize(
    ("traits", "act", "state"),
    [
        ({}, lambda roost, item: roost.cancel(item, reason="enough"), "cancelled"),
        ({"done": True}, lambda roost, item: roost.requeue(item), "queued"),
        ({"failed": True}, lambda roost, item: roost.redrive(item, max_steps=9), "queued"),
        ({}, lambda roost, item: roost.pause(item), "paused"),
        ({"paused": True}, lambda roost, item: roost.resume(item, steps=3), "queued"),
    ],
    ids=["cancel", "requeue", "redrive", "pause", "resume"],
)
def test_a_verb_is_done_in_the_name_of_the_token(
    traits: dict[str, Any], act: Callable[[Client, uuid.UUID], Item], state: str, roost: Client
) -> None:
    item = WorkItemFactory(**traits)
    assert act(roost, item.pk).state == state
    assert list(roost.events(item.pk))[-1].actor == "token:shop"


def test_a_verb_that_is_sent_again_under_its_key_is_done_once(roost: Client) -> None:
    item = WorkItemFactory()
    for _ in range(2):
        moved = roost.cancel(item.pk, row_version=item.row_version, idempotency_key="once")
        assert (moved.state, moved.row_version) == ("cancelled", item.row_version + 1)
    with pytest.raises(IdempotencyConflict):
        roost.requeue(item.pk, idempotency_key="once")


def test_people_answer(roost: Client) -> None:
    for act, kind, resolution in (
        (roost.approve, WaitKind.APPROVAL, True),
        (roost.reject, WaitKind.APPROVAL, False),
        (lambda item, key: roost.respond(item, {"amount": 1}, key=key), WaitKind.INPUT, {"amount": 1}),
    ):
        wait = WaitFactory(kind=kind, work_item__reason=str(kind))
        assert [open_.item for open_ in roost.approvals(kind=str(kind))] == [wait.work_item_id]
        act(wait.work_item_id, key=wait.key)
        assert Wait.objects.get(pk=wait.pk).resolution == resolution


def test_a_signal_is_kept_once(roost: Client) -> None:
    sent = [roost.signal("paid", {"amount": 1}, namespace="shop", delivery_id="d-1") for _ in range(2)]
    item = WorkItemFactory()
    sent.append(roost.signal("paid", item=item.pk))
    assert {signal.pk for signal in Signal.objects.all()} == {one.id for one in sent}
    assert len({one.id for one in sent}) == 2
    assert [one.id for one in roost.signals(page_size=1)] == [one.id for one in reversed(sent[1:])]
    [named] = roost.signals(name="paid", namespace="shop")
    assert (named.payload, named.delivery_id, named.item) == ({"amount": 1}, "d-1", None)


def test_dead_letters_are_listed_and_brought_back(roost: Client) -> None:
    item = WorkItemFactory(failed=True, last_error={"message": "no such order"})
    with pytest.raises(WorkFailed, match="no such order"):
        roost.wait(item.pk)
    [letter] = roost.dead_letters(engine=item.engine)
    assert letter.error is not None
    assert (letter.id, letter.error.message, letter.worker) == (item.pk, "no such order", None)
    treated = roost.redrive_many(engine=item.engine, reason="mended")
    assert (treated.moved, treated.refused, treated.more) == ((item.pk,), (), False)
    [refused] = roost.redrive_many([item.pk]).refused
    assert (refused.id, refused.code) == (item.pk, "conflict")


def test_what_is_refused_is_raised_as_what_it_is(roost: Client) -> None:
    item = WorkItemFactory(done=True, idempotency_key="order-7", namespace="default")
    with pytest.raises(Conflict) as conflict:
        roost.cancel(item.pk)
    assert (conflict.value.state, conflict.value.status, conflict.value.title) == ("done", 409, "Conflict")
    with pytest.raises(StaleVersion):
        roost.requeue(item.pk, row_version=item.row_version + 1)
    with pytest.raises(NotFound):
        roost.get(uuid.uuid4())
    with pytest.raises(IdempotencyConflict):
        roost.enqueue("counter", {"count_to": 99}, idempotency_key="order-7", namespace="default")
    with pytest.raises(InvalidInput) as invalid:
        roost.enqueue("counter", {"count_to": "many"})
    assert invalid.value.errors[0].field.startswith("body.payload")
    assert roost.requeue(item.pk, row_version=item.row_version).state == "queued"


def test_a_token_is_asked_for_and_says_what_it_may(roost: Client) -> None:
    transport = roost._http._transport
    with pytest.raises(Unauthenticated):
        Client(HERE, "roost_no", transport=transport).get(uuid.uuid4())
    reader = create_token("reader", scopes=["read"], namespaces=["shop"]).text
    with pytest.raises(Forbidden, match="enqueue_workitem"):
        Client(HERE, reader, transport=transport).enqueue("counter", {"count_to": 1})


@asynccontextmanager
async def awaited(token: str) -> AsyncIterator[AsyncClient]:
    """Give an asynchronous client of the API, which answers in this process."""
    transport = httpx.ASGITransport(app=ASGIHandler())
    async with AsyncClient(HERE, token, retries=ONCE, transport=transport) as client:
        yield client


@pytest.mark.django_db(transaction=True)
def test_the_asynchronous_client_does_the_same(token: str) -> None:
    async def run() -> None:
        async with awaited(token) as roost:
            first = await roost.enqueue("counter", {"count_to": 2}, idempotency_key="order-7")
            second = await roost.enqueue("counter", {"count_to": 3})
            assert {item.id async for item in roost.items(page_size=1)} == {first.id, second.id}
            assert (await roost.cancel(second.id, row_version=second.row_version)).state == "cancelled"
            with pytest.raises(Conflict) as conflict:
                await roost.pause(second.id)
            assert conflict.value.state == "cancelled"
            await sync_to_async(drain)(skip_delays=True)
            assert await roost.wait(first.id) == (await roost.outcome(first.id)).result
            with pytest.raises(WorkFailed):
                await roost.wait(second.id)

    async_to_sync(run)()


# Over httpx ---------------------------------------------------------------------------------------------------------


class Flaky:
    """A server that is away once, and then answers."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if len(self.asked) == 1:
            raise httpx.ConnectError("away")
        return httpx.Response(201, json={"id": str(uuid.UUID(int=1))})


AT_ONCE = Retries(first=0.0)


def test_both_clients_try_again_with_the_same_key() -> None:
    flaky, later = Flaky(), Flaky()
    with Client(HERE, "t", retries=AT_ONCE, transport=httpx.MockTransport(flaky)) as roost:
        assert roost.signal("paid").id == uuid.UUID(int=1)

    async def run() -> None:
        async with AsyncClient(HERE, "t", retries=AT_ONCE, transport=httpx.MockTransport(later)) as roost:
            assert (await roost.signal("paid")).id == uuid.UUID(int=1)

    async_to_sync(run)()
    for asked in (flaky.asked, later.asked):
        assert len(asked) == 2
        assert len({request.headers["Idempotency-Key"] for request in asked}) == 1
        assert asked[0].headers["Authorization"] == "Bearer t"


def test_a_long_poll_has_as_long_as_it_asks_for_beside_the_usual() -> None:
    seen: list[float] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"]["read"])
        over = {"id": str(uuid.UUID(int=1)), "state": "done", "reason": "", "ended": True, "result": 7, "error": None}
        return httpx.Response(200, json={**over, "version": 1, "finished_at": None})

    with Client(HERE, "t", timeout=5, transport=httpx.MockTransport(server)) as roost:
        assert roost.wait(uuid.UUID(int=1)) == 7
        roost.outcome(uuid.UUID(int=1))
    assert seen == [35.0, 5.0]


def event(seq: int) -> str:
    """Return what a server says of an event."""
    data = {"item": str(uuid.UUID(int=1)), "namespace": "default", "engine": "counter", "seq": seq, "kind": "enqueued"}
    data |= {"version": 0, "actor": "", "at": "2030-01-31T12:00:00+00:00"}
    return f"event: enqueued\ndata: {json.dumps(data)}\n\nid: s{seq}\n\n"


class Ending:
    """A server whose streams end after one event; the second is refused once before it begins."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.headers.get("Last-Event-ID", ""))
        if len(self.asked) == 2:
            return httpx.Response(503, json={"code": "busy"})
        kind = {"Content-Type": "text/event-stream"}
        return httpx.Response(200, headers=kind, text=f"retry: 0\n\n{event(len(self.asked))}")


def test_both_clients_follow_a_stream_that_the_server_ends() -> None:
    ending, later = Ending(), Ending()
    with Client(HERE, "t", retries=AT_ONCE, transport=httpx.MockTransport(ending)) as roost:
        events = roost.stream()
        assert [next(events), next(events)][1].cursor == "s1"

    async def run() -> None:
        async with AsyncClient(HERE, "t", retries=AT_ONCE, transport=httpx.MockTransport(later)) as roost:
            events = roost.stream()
            assert [await anext(events), await anext(events)][1].cursor == "s1"

    async_to_sync(run)()
    assert ending.asked == later.asked == ["", "s1", "s1"]
