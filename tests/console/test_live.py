"""What pages hear of changes, over the socket and over HTTP."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError
from django.test import Client

from console.live import changes, consumer, hub, telling
from runtime.queries import feed
from tests.console.sockets import accepts, happens, opened
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub read often: the tests wait for what it tells."""
    monkeypatch.setattr(hub, "READ_SECONDS", 0.02)


@pytest.fixture
def session(boss: Client) -> str:
    """Give the session of a superuser."""
    return boss.session.session_key or ""


def test_only_staff_who_may_see_items_get_a_socket(session: str, staff: Any, log_in: Any) -> None:
    stranger = log_in(staff("view_worker")).session.session_key
    friend = log_in(staff("view_workitem", name="friend")).session.session_key
    outsider = User.objects.create_user("outsider", password="secret")
    assert accepts(session)
    assert accepts(friend)
    assert not accepts(stranger)
    assert not accepts(log_in(outsider).session.session_key)
    assert not accepts("")
    assert not accepts("nonsense")


def test_a_page_of_another_site_gets_no_socket(session: str) -> None:
    assert not accepts(session, "https://evil.example")


def test_a_page_hears_of_the_items_it_shows_and_of_no_others(session: str) -> None:
    shown, other = WorkItemFactory(), WorkItemFactory()

    @async_to_sync
    async def scenario() -> Any:
        async with opened(session) as socket:
            first = await socket.subscribe(items=[str(shown.pk)])
            await sync_to_async(happens)(other)
            await sync_to_async(happens)(shown)
            return first, await socket.hear()

    first, then = scenario()
    assert first["changed"] == {}
    assert then["changed"] == {str(shown.pk): 2}
    assert set(then) == {"changed", "cursor", "reset", "more"}


def test_a_list_hears_of_every_item(session: str) -> None:
    items = [WorkItemFactory() for _ in range(2)]

    @async_to_sync
    async def scenario() -> set[str]:
        heard: set[str] = set()
        async with opened(session) as socket:
            await socket.subscribe(list=True)
            for item in items:
                await sync_to_async(happens)(item)
            while len(heard) < 2:
                heard |= set((await socket.hear())["changed"])
        return heard

    assert scenario() == {str(item.pk) for item in items}


def test_what_changed_between_page_and_socket_is_told_first(session: str) -> None:
    item = WorkItemFactory()
    cursor = feed.start()
    happens(item)

    @async_to_sync
    async def scenario() -> Any:
        async with opened(session) as socket:
            return await socket.subscribe(items=[str(item.pk)], cursor=cursor)

    assert scenario()["changed"] == {str(item.pk): 2}


def test_the_cursor_of_another_database_is_answered_with_a_reset(session: str) -> None:
    @async_to_sync
    async def scenario() -> Any:
        async with opened(session) as socket:
            return await socket.subscribe(list=True, cursor="nonsense")

    told = scenario()
    assert told["reset"]
    assert feed.read(told["cursor"]).reset is False


def test_more_than_can_be_read_through_is_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_PAGES", 1)
    read = feed.read
    monkeypatch.setattr(feed, "read", lambda cursor: read(cursor, limit=2))
    cursor = feed.start()
    item = WorkItemFactory()
    for _ in range(3):
        happens(item)
    told = changes.read_on(cursor)
    assert told.reset
    assert changes.read_on(told.cursor) == changes.Changes(items={}, cursor=told.cursor)


def test_a_message_names_no_more_items_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_NAMED", 2)
    found = changes.Changes(items={uuid.uuid4(): changes.Last(1, "default") for _ in range(3)}, cursor="s1")
    told = changes.message(changes.parse({"list": True}), found, lambda _namespace: True)
    assert len(told["changed"]) == 2
    assert told["more"]


@pytest.mark.parametrize(
    "said",
    [
        "no JSON",
        "[]",
        "{}",
        '{"items": []}',
        '{"items": ["x"]}',
        '{"items": [1]}',
        '{"list": true, "cursor": 7}',
        "x" * 40_000,
    ],
)
def test_what_is_no_question_ends_the_connection(said: str, session: str) -> None:
    @async_to_sync
    async def scenario() -> Any:
        async with opened(session) as socket:
            await socket.say(said)
            return await socket.hear()

    assert scenario() == consumer.MALFORMED


@pytest.mark.parametrize("lost", ["session", "permission", "account"])
def test_a_user_who_may_no_longer_watch_hears_nothing_more(
    lost: str, staff: Any, log_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "RECHECK_SECONDS", 0.0)
    user = staff("view_workitem")
    key = log_in(user).session.session_key
    item = WorkItemFactory()

    def lose() -> None:
        losses: dict[str, Callable[[], Any]] = {
            "session": SessionStore(key).delete,
            "permission": user.user_permissions.clear,
            "account": User.objects.filter(pk=user.pk).delete,
        }
        losses[lost]()
        happens(item)

    @async_to_sync
    async def scenario() -> Any:
        async with opened(key) as socket:
            await socket.subscribe(list=True)
            await sync_to_async(lose)()
            return await socket.hear()

    assert scenario() == consumer.FORBIDDEN


def test_a_user_who_may_no_longer_watch_is_cut_off_although_nothing_happens(
    staff: Any, log_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(telling, "BEAT_SECONDS", 0.01)
    user = staff("view_workitem")
    key = log_in(user).session.session_key

    @async_to_sync
    async def scenario() -> Any:
        async with opened(key) as socket:
            await socket.subscribe(list=True)
            beat = await socket.hear()
            await sync_to_async(user.user_permissions.clear)()
            while isinstance(heard := await socket.hear(), dict):
                pass
            return beat, heard

    beat, heard = scenario()
    assert beat["changed"] == {}
    assert feed.read(beat["cursor"]).reset is False
    assert heard == consumer.FORBIDDEN


def test_a_page_that_shows_other_items_now_asks_anew_on_the_same_socket(session: str) -> None:
    first, second = WorkItemFactory(), WorkItemFactory()

    @async_to_sync
    async def scenario() -> Any:
        async with opened(session) as socket:
            await socket.subscribe(items=[str(first.pk)])
            told = await socket.subscribe(items=[str(second.pk)])
            await sync_to_async(happens)(first)
            await sync_to_async(happens)(second)
            return told, await socket.hear()

    told, heard = scenario()
    assert told["changed"] == {}
    assert heard["changed"] == {str(second.pk): 2}


def test_a_page_that_cannot_be_told_is_disconnected_so_that_it_connects_anew(
    session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = WorkItemFactory()

    def away(session: Any) -> bool:
        raise OperationalError("the server closed the connection")

    @async_to_sync
    async def scenario() -> Any:
        async with opened(session) as socket:
            await socket.subscribe(list=True)
            monkeypatch.setattr(telling, "RECHECK_SECONDS", 0.0)
            monkeypatch.setattr(telling, "who_may_watch", away)
            await sync_to_async(happens)(item)
            return await socket.hear()

    assert scenario() == consumer.FAILED


def test_all_pages_of_a_process_share_one_reader(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    item = WorkItemFactory()

    @async_to_sync
    async def scenario() -> tuple[list[Any], int, bool]:
        async with opened(session) as one, opened(session) as two:
            for socket in (one, two):
                await socket.subscribe(list=True)
            readers = {hub.hub()._tasks[0]}
            await sync_to_async(happens)(item)
            heard = [await socket.hear() for socket in (one, two)]
            readers.add(hub.hub()._tasks[0])
        return heard, len(readers), hub.hub()._tasks == []

    heard, readers, ended = scenario()
    assert [told["changed"] for told in heard] == [{str(item.pk): 2}] * 2
    assert readers == 1
    assert ended


def test_the_reader_goes_on_after_the_database_was_away(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "LONGEST_PAUSE", 0.02)
    item = WorkItemFactory()
    failures: Iterator[int] = iter(range(3))
    read_on = hub.read_on

    def shaky(cursor: str | None) -> changes.Changes:
        if cursor is not None and next(failures, None) is not None:
            raise OperationalError("the server closed the connection")
        return read_on(cursor)

    monkeypatch.setattr(hub, "read_on", shaky)

    @async_to_sync
    async def scenario() -> Any:
        async with opened(session) as socket:
            await socket.subscribe(list=True)
            await sync_to_async(happens)(item)
            return await socket.hear()

    assert scenario()["changed"] == {str(item.pk): 2}
    assert next(failures, None) is None


def test_a_page_without_a_socket_asks_over_http_and_hears_the_same(boss: Client) -> None:
    item = WorkItemFactory()
    cursor = feed.start()
    happens(item)
    asked = json.dumps({"items": [str(item.pk)], "cursor": cursor})
    told = boss.get("/admin/roost/workitem/changes/", {"ask": asked}).json()
    assert told["changed"] == {str(item.pk): 2}
    assert boss.get("/admin/roost/workitem/changes/", {"ask": "nonsense"}).status_code == 400


def test_who_may_not_see_items_is_told_nothing_over_http(staff: Any, log_in: Any) -> None:
    asked = {"ask": json.dumps({"list": True})}
    assert log_in(staff("view_worker")).get("/admin/roost/workitem/changes/", asked).status_code == 403
    assert Client().get("/admin/roost/workitem/changes/", asked).status_code == 302


def test_pages_carry_a_cursor_taken_before_they_were_read(boss: Client) -> None:
    item = WorkItemFactory()
    lists = ("/admin/roost/", "/admin/roost/workitem/", "/admin/roost/wait/")
    for url in (*lists, f"/admin/roost/workitem/{item.pk}/change/"):
        html = boss.get(url).content.decode()
        cursor = html.split('data-roost-cursor="')[1].split('"')[0]
        happens(item)
        assert item.pk in {event.item for event in feed.read(cursor).events}
