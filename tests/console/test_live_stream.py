"""What pages without a socket hear of changes, in server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import OperationalError
from django.test import AsyncClient, Client

from console.live import hub, stream, telling
from runtime.models import WorkItem
from runtime.queries import feed
from tests.console.sockets import happens
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/admin/roost/workitem/changes/stream/"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub read often: the tests wait for what it tells."""
    monkeypatch.setattr(hub, "READ_SECONDS", 0.02)


def client_of(browser: Client) -> AsyncClient:
    """Return an asynchronous client in which the same user is logged in."""
    client = AsyncClient()
    client.cookies[settings.SESSION_COOKIE_NAME] = browser.session.session_key
    return client


async def opened(client: AsyncClient, **asked: Any) -> AsyncIterator[dict[str, Any]]:
    """Open a stream and yield what it tells."""
    answer: Any = await client.get(PATH, {"ask": json.dumps(asked)})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/event-stream"
    async for piece in answer.streaming_content:
        if piece.startswith(b"data: "):
            yield json.loads(piece.removeprefix(b"data: "))


def test_a_stream_tells_what_was_missed_and_then_what_happens(boss: Client) -> None:
    item = WorkItemFactory()
    cursor = feed.start()
    happens(item)

    @async_to_sync
    async def scenario() -> list[Any]:
        told = opened(client_of(boss), items=[str(item.pk)], cursor=cursor)
        heard = [await anext(told)]
        await sync_to_async(happens)(item)
        heard.append(await anext(told))
        await told.aclose()  # type: ignore[attr-defined]
        return heard

    first, then = scenario()
    assert first["changed"] == {str(item.pk): 2}
    assert then["changed"] == {str(item.pk): 3}
    assert set(then) == {"changed", "cursor", "reset", "more"}


def test_a_page_that_moves_from_stream_to_socket_goes_on_from_its_cursor(boss: Client) -> None:
    from tests.console.sockets import opened as socket_of

    item = WorkItemFactory()

    @async_to_sync
    async def scenario() -> Any:
        told = opened(client_of(boss), list=True)
        cursor = (await anext(told))["cursor"]
        await told.aclose()  # type: ignore[attr-defined]
        await sync_to_async(happens)(item)
        async with socket_of(boss.session.session_key or "") as socket:
            return await socket.subscribe(list=True, cursor=cursor)

    assert scenario()["changed"] == {str(item.pk): 2}


def test_a_stream_ends_after_a_while_and_leaves_the_hub(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STREAM_SECONDS", 0.0)

    @async_to_sync
    async def scenario() -> tuple[int, list[Any]]:
        heard = [told async for told in opened(client_of(boss), list=True)]
        return len(heard), hub.hub()._tasks

    assert scenario() == (1, [])


def test_a_stream_ends_when_its_user_may_no_longer_watch(
    staff: Any, log_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "RECHECK_SECONDS", 0.0)
    user = staff("view_workitem")
    browser = log_in(user)
    item = WorkItemFactory()

    @async_to_sync
    async def scenario() -> list[Any]:
        heard = []
        async for told in opened(client_of(browser), list=True):
            heard.append(told["changed"])
            await sync_to_async(user.user_permissions.clear)()
            await sync_to_async(happens)(item)
        return heard

    assert scenario() == [{}]


def test_a_stream_that_cannot_be_read_ends_so_that_the_page_comes_again(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(cursor: str | None) -> Any:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(telling, "read_on", away)

    @async_to_sync
    async def scenario() -> list[Any]:
        return [told async for told in opened(client_of(boss), list=True)]

    assert scenario() == []


def test_who_may_not_see_items_gets_no_stream(staff: Any, log_in: Any) -> None:
    @async_to_sync
    async def status(client: AsyncClient, ask: str = '{"list": true}') -> int:
        return (await client.get(PATH, {"ask": ask})).status_code

    assert status(client_of(log_in(staff("view_worker")))) == 403
    assert status(AsyncClient()) == 302
    assert status(client_of(log_in(staff("view_workitem", name="friend"))), "nonsense") == 400


def test_a_server_with_a_thread_for_each_request_refuses_streams(boss: Client) -> None:
    assert boss.get(PATH, {"ask": '{"list": true}'}).status_code == 501


def test_only_ids_and_numbers_are_told(boss: Client) -> None:
    item: WorkItem = WorkItemFactory(payload={"word": "sesame"})
    cursor = feed.start()
    happens(item)

    @async_to_sync
    async def scenario() -> Any:
        told = opened(client_of(boss), list=True, cursor=cursor)
        first = await anext(told)
        await told.aclose()  # type: ignore[attr-defined]
        return first

    told = scenario()
    assert told == {"changed": {str(item.pk): 2}, "cursor": told["cursor"], "reset": False, "more": False}
