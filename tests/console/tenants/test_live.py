"""Sockets and streams tell whoever reaches one namespace of changes in that one alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.test import Client

from console.live import hub, telling
from runtime.queries import feed
from tests.console.sockets import happens
from tests.console.sockets import opened as socket_of
from tests.console.tenants import world
from tests.console.tenants.world import LIMITED, OURS, SETTING, THEIRS
from tests.console.test_live_stream import client_of, opened
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db(transaction=True)

CHANGES = "/admin/roost/workitem/changes/"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub read often: the tests wait for what it tells."""
    monkeypatch.setattr(hub, "READ_SECONDS", 0.02)


@pytest.fixture
def limited(settings: Any) -> Client:
    """Give somebody who may do everything, in our namespace."""
    settings.ROOST_NAMESPACES_OF = SETTING
    client = Client()
    client.force_login(User.objects.create_superuser(LIMITED))
    return client


def session_of(client: Client) -> str:
    return client.session.session_key or ""


def asks(*items: Any) -> list[dict[str, Any]]:
    """Return what pages ask: all that a list shows, or these items."""
    return [{"list": True}, {"items": [str(item.pk) for item in items]}]


def test_a_socket_tells_of_nothing_out_of_reach(limited: Client) -> None:
    ours, theirs = WorkItemFactory(namespace=OURS), WorkItemFactory(namespace=THEIRS)
    cursor = feed.start()
    for item in (theirs, ours):
        happens(item)

    @async_to_sync
    async def scenario(ask: dict[str, Any]) -> list[Any]:
        async with socket_of(session_of(limited)) as socket:
            missed = await socket.subscribe(**ask, cursor=cursor)
            for item in (theirs, ours):
                await sync_to_async(happens)(item)
            return [missed, await socket.hear()]

    for ask in asks(theirs, ours):
        for told in scenario(ask):
            assert set(told["changed"]) == {str(ours.pk)}


def test_a_stream_tells_of_nothing_out_of_reach(limited: Client) -> None:
    ours, theirs = WorkItemFactory(namespace=OURS), WorkItemFactory(namespace=THEIRS)
    cursor = feed.start()
    for item in (theirs, ours):
        happens(item)

    @async_to_sync
    async def scenario(ask: dict[str, Any]) -> list[Any]:
        told = opened(client_of(limited), **ask, cursor=cursor)
        heard = [await anext(told)]
        for item in (theirs, ours):
            await sync_to_async(happens)(item)
        heard.append(await anext(told))
        await told.aclose()  # type: ignore[attr-defined]
        return heard

    for ask in asks(theirs, ours):
        for told in scenario(ask):
            assert set(told["changed"]) == {str(ours.pk)}


def test_who_reaches_all_is_told_of_all(limited: Client, boss: Client) -> None:
    ours, theirs = WorkItemFactory(namespace=OURS), WorkItemFactory(namespace=THEIRS)
    cursor = feed.start()
    for item in (theirs, ours):
        happens(item)

    @async_to_sync
    async def scenario() -> Any:
        async with socket_of(session_of(boss)) as socket:
            return await socket.subscribe(list=True, cursor=cursor)

    assert set(scenario()["changed"]) == {str(ours.pk), str(theirs.pk)}


def test_a_socket_forgets_what_its_user_no_longer_reaches(limited: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = WorkItemFactory(namespace=OURS), WorkItemFactory(namespace=THEIRS)
    monkeypatch.setattr(telling, "RECHECK_SECONDS", 0.0)
    reached = [OURS]
    monkeypatch.setattr(world, "namespaces_of", lambda _user: list(reached))

    @async_to_sync
    async def scenario() -> list[Any]:
        async with socket_of(session_of(limited)) as socket:
            heard = [await socket.subscribe(list=True)]
            await sync_to_async(happens)(ours)
            heard.append(await socket.hear())
            reached[:] = [THEIRS]
            # What it had heard of is not told any more, and from then on what is in reach is.
            await sync_to_async(happens)(ours)
            heard.append(await socket.hear())
            await sync_to_async(happens)(theirs)
            heard.append(await socket.hear())
        return [set(told["changed"]) for told in heard]

    assert scenario() == [set(), {str(ours.pk)}, set(), {str(theirs.pk)}]


def failing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let nobody find out which namespaces people reach while the list is not empty."""
    broken: list[str] = []

    def namespaces_of(_user: Any) -> list[str]:
        if broken:
            raise LookupError(broken[0])
        return [OURS]

    monkeypatch.setattr(world, "namespaces_of", namespaces_of)
    return broken


def test_a_page_whose_users_reach_failed_for_a_moment_reads_afresh_and_passes_nothing_over(
    limited: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = WorkItemFactory(namespace=OURS)
    monkeypatch.setattr(telling, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(telling, "BEAT_SECONDS", 0.02)
    broken = failing(monkeypatch)

    async def until(socket: Any, wanted: str) -> Any:
        while not (told := await socket.hear())[wanted]:
            pass
        return told

    @async_to_sync
    async def scenario() -> tuple[Any, list[Any], Any]:
        async with socket_of(session_of(limited)) as socket:
            await socket.subscribe(list=True)
            broken.append("the directory is away")
            lost = await until(socket, "reset")
            await sync_to_async(happens)(ours)
            meanwhile = [await socket.hear() for _beat in range(10)]
            broken.clear()
            await until(socket, "reset")
            await sync_to_async(happens)(ours)
            return lost, meanwhile, await until(socket, "changed")

    lost, meanwhile, found = scenario()
    assert {(told["cursor"], told["reset"], *told["changed"]) for told in meanwhile} == {(lost["cursor"], False)}
    assert set(found["changed"]) == {str(ours.pk)}
    assert not found["reset"]
    again = limited.get(CHANGES, {"ask": json.dumps({"list": True, "cursor": lost["cursor"]})}).json()
    assert again["changed"] == {str(ours.pk): 3}


def test_who_asks_while_reach_fails_keeps_the_cursor(limited: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = WorkItemFactory(namespace=OURS)
    broken = failing(monkeypatch)
    cursor = feed.start()
    happens(ours)
    asked = {"ask": json.dumps({"list": True, "cursor": cursor})}
    broken.append("the directory is away")
    told = limited.get(CHANGES, asked).json()
    assert (told["changed"], told["cursor"]) == ({}, cursor)
    broken.clear()
    told = limited.get(CHANGES, asked).json()
    assert set(told["changed"]) == {str(ours.pk)}
    assert told["cursor"] != cursor


def test_what_happens_out_of_reach_does_not_make_a_page_speak(limited: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = WorkItemFactory(namespace=THEIRS)
    ours = WorkItemFactory(namespace=OURS)

    @async_to_sync
    async def scenario() -> Any:
        async with socket_of(session_of(limited)) as socket:
            await socket.subscribe(list=True)
            for _ in range(3):
                await sync_to_async(happens)(theirs)
            quiet = await socket.end.receive_nothing(0.3)
            await sync_to_async(happens)(ours)
            return quiet, json.dumps(await socket.hear())

    quiet, told = scenario()
    assert quiet
    assert str(ours.pk) in told
    assert str(theirs.pk) not in told
