"""Under ASGI a request runs in one thread, which the next one gets, and which nobody shares."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.core import signals
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from console.asgi import OneThreadHandler, Threads

PATIENCE = 20.0

seen: list[int] = []
ends: list[int] = []
arrived = threading.Semaphore(0)
go_on = threading.Event()
closed = threading.Event()


class Outside(MiddlewareMixin):
    """A middleware of Django's usual kind, which has a foot in both worlds."""

    def process_request(self, request: HttpRequest) -> None:
        """Note the thread."""
        seen.append(threading.get_ident())

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Note the thread."""
        seen.append(threading.get_ident())
        return response


class Inside(Outside):
    """Another."""


def quick(request: HttpRequest) -> HttpResponse:
    seen.append(threading.get_ident())
    return HttpResponse(str(threading.get_ident()))


def slow(request: HttpRequest) -> HttpResponse:
    arrived.release()
    assert go_on.wait(PATIENCE)
    return quick(request)


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(User.objects.count()))


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("not like this")


async def later(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    inner = await sync_to_async(threading.get_ident)()
    return HttpResponse(f"{threading.get_ident()} {inner}")


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield f"{await sync_to_async(threading.get_ident)()} ".encode()

    return StreamingHttpResponse(pieces())


class Closing(StreamingHttpResponse):
    """A stream that tells when it is closed."""

    def close(self) -> None:
        """Note it."""
        super().close()
        ends.append(threading.get_ident())
        closed.set()


def slow_stream(request: HttpRequest) -> StreamingHttpResponse:
    slow(request)
    return Closing([b"never taken"])


def short_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    return Closing(pieces())


def endless_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        arrived.release()
        await asyncio.Event().wait()

    return Closing(pieces())


views = (quick, slow, count, broken, later, stream, slow_stream, short_stream, endless_stream)
urlpatterns = [path(view.__name__, view) for view in views]

Ask = Callable[[str], Awaitable[tuple[int, str]]]


async def ask(
    handler: OneThreadHandler, name: str, gone: asyncio.Event | None = None, *, query: bytes = b""
) -> tuple[int, str]:
    """Send a request as a server does; return status and text of the answer. `gone` tells that the client goes.

    A server says the same when the answer is over.
    """
    sent: list[dict[str, Any]] = []
    asked = [{"type": "http.request", "body": b""}]
    over = gone or asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not asked:
            await over.wait()
            return {"type": "http.disconnect"}
        return asked.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            over.set()

    scope = {"type": "http", "method": "GET", "path": f"/{name}", "query_string": query, "headers": []}
    await handler(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return (sent[0]["status"] if sent else 0), body.decode()


@pytest.fixture
def handler(settings: Any) -> Iterator[OneThreadHandler]:
    """Give an application with these views."""
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [f"{__name__}.Outside", f"{__name__}.Inside"]
    settings.DEBUG_PROPAGATE_EXCEPTIONS = False
    seen.clear()
    ends.clear()
    go_on.clear()
    closed.clear()
    yield OneThreadHandler()
    go_on.set()


def test_middleware_and_view_run_in_one_thread_and_so_does_the_next_request(handler: OneThreadHandler) -> None:
    async def twice() -> list[tuple[int, str]]:
        return [await ask(handler, "quick"), await ask(handler, "quick")]

    first, second = asyncio.run(twice())
    assert first == second == (200, str(seen[0]))
    assert set(seen) == {seen[0]} != {threading.get_ident()}
    assert len(seen) == 10


def test_a_thread_is_entered_once_for_a_request_and_both_signals_are_sent_there(
    handler: OneThreadHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[object] = []
    told: list[int] = []
    submit = ThreadPoolExecutor.submit

    def counted(pool: ThreadPoolExecutor, *args: Any, **options: Any) -> Any:
        entered.append(pool)
        return submit(pool, *args, **options)

    def note(**_told: Any) -> None:
        told.append(threading.get_ident())

    monkeypatch.setattr(ThreadPoolExecutor, "submit", counted)
    signals.request_started.connect(note)
    signals.request_finished.connect(note)
    try:
        assert asyncio.run(ask(handler, "quick"))[0] == 200
    finally:
        signals.request_started.disconnect(note)
        signals.request_finished.disconnect(note)
    assert len(entered) == 1
    assert told == [seen[0]] * 2


def test_a_stream_that_nobody_is_there_to_take_is_closed(handler: OneThreadHandler) -> None:
    async def scenario() -> tuple[int, str]:
        gone = asyncio.Event()
        leaving = asyncio.create_task(ask(handler, "slow_stream", gone))
        assert await asyncio.to_thread(arrived.acquire, timeout=PATIENCE)
        gone.set()
        # The next request of the thread waits for the end of this one, so it goes to another.
        await asyncio.wait_for(ask(handler, "quick"), PATIENCE)
        go_on.set()
        return await asyncio.wait_for(leaving, PATIENCE)

    assert asyncio.run(scenario()) == (0, "")
    assert closed.is_set()


def test_every_stream_that_ends_is_closed_in_its_thread(handler: OneThreadHandler) -> None:
    async def often() -> set[tuple[int, str]]:
        return {await ask(handler, "short_stream") for _ in range(200)}

    told: list[int] = []

    def note(**_told: Any) -> None:
        told.append(threading.get_ident())

    signals.request_finished.connect(note)
    try:
        assert asyncio.run(often()) == {(200, "ab")}
    finally:
        signals.request_finished.disconnect(note)
    assert ends == told == [seen[0]] * 200


@pytest.mark.parametrize("times", [1, 3])
def test_a_request_that_is_cut_off_leaves_nothing_behind(
    handler: OneThreadHandler, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    bodies: list[Any] = []
    read = OneThreadHandler.read_body

    async def kept(self: OneThreadHandler, receive: Any) -> Any:
        bodies.append(await read(self, receive))
        return bodies[-1]

    async def scenario() -> set[str]:
        before = asyncio.all_tasks()
        cut = asyncio.create_task(ask(handler, "slow_stream"))
        assert await asyncio.to_thread(arrived.acquire, timeout=PATIENCE)
        for _ in range(times):
            cut.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
        assert not cut.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(cut, PATIENCE)
        return {task.get_name() for task in asyncio.all_tasks() - before}

    monkeypatch.setattr(OneThreadHandler, "read_body", kept)
    assert asyncio.run(scenario()) == set()
    assert ends == [seen[0]]
    assert [body.closed for body in bodies] == [True]


def test_a_stream_that_is_cut_off_is_closed(handler: OneThreadHandler) -> None:
    async def scenario() -> None:
        cut = asyncio.create_task(ask(handler, "endless_stream"))
        assert await asyncio.to_thread(arrived.acquire, timeout=PATIENCE)
        cut.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(cut, PATIENCE)

    asyncio.run(scenario())
    assert ends == [seen[0]]


def test_an_address_that_is_no_text_is_refused(handler: OneThreadHandler) -> None:
    answer = asyncio.run(ask(handler, "quick", query=b"\xff"))
    assert answer[0] == 400


def test_requests_at_once_have_a_thread_each(handler: OneThreadHandler) -> None:
    async def together() -> list[tuple[int, str]]:
        tasks = [asyncio.create_task(ask(handler, "slow")) for _ in range(3)]
        for _ in tasks:
            assert await asyncio.to_thread(arrived.acquire, timeout=PATIENCE)
        go_on.set()
        return await asyncio.gather(*tasks)

    answers = asyncio.run(together())
    assert {status for status, _ in answers} == {200}
    assert len({text for _, text in answers}) == 3


def test_the_thread_of_who_went_away_is_lent_when_its_work_is_over(handler: OneThreadHandler) -> None:
    async def scenario() -> tuple[tuple[int, str], tuple[int, str]]:
        gone = asyncio.Event()
        leaving = asyncio.create_task(ask(handler, "slow", gone))
        assert await asyncio.to_thread(arrived.acquire, timeout=PATIENCE)
        gone.set()
        meanwhile = await asyncio.wait_for(ask(handler, "quick"), PATIENCE)
        go_on.set()
        return await asyncio.wait_for(leaving, PATIENCE), meanwhile

    left, meanwhile = asyncio.run(scenario())
    assert left == (0, "")
    assert meanwhile[0] == 200
    # That of the view which went on alone.
    assert str(seen[-1]) != meanwhile[1]


def test_who_is_cut_off_takes_the_thread_along() -> None:
    threads = Threads()

    def block() -> None:
        seen.append(threading.get_ident())
        arrived.release()
        assert go_on.wait(PATIENCE)

    async def work() -> None:
        async with threads.lent():
            await sync_to_async(block)()

    async def scenario() -> int:
        cut = asyncio.create_task(work())
        assert await asyncio.to_thread(arrived.acquire, timeout=PATIENCE)
        cut.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cut
        async with threads.lent():
            return await asyncio.wait_for(sync_to_async(threading.get_ident)(), PATIENCE)

    seen.clear()
    go_on.clear()
    try:
        assert asyncio.run(scenario()) not in seen
    finally:
        go_on.set()


def test_a_view_that_fails_is_answered_and_its_thread_goes_on(
    handler: OneThreadHandler, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> tuple[tuple[int, str], tuple[int, str]]:
        return await ask(handler, "broken"), await ask(handler, "quick")

    failed, then = asyncio.run(scenario())
    assert failed[0] == 500
    assert "not like this" in caplog.text
    assert (then[0], set(seen)) == (200, {int(then[1])})


def test_asynchronous_views_and_streams_run_on_the_loop_and_come_back_to_the_thread(handler: OneThreadHandler) -> None:
    async def scenario() -> tuple[tuple[int, str], tuple[int, str]]:
        return await ask(handler, "later"), await ask(handler, "stream")

    (status, text), (streamed, pieces) = asyncio.run(scenario())
    assert (status, streamed) == (200, 200)
    assert text.split() == [str(threading.get_ident()), str(seen[0])]
    assert set(pieces.split()) == {str(seen[0])}


@pytest.mark.django_db(transaction=True)
def test_a_thread_keeps_no_connection_from_request_to_request(handler: OneThreadHandler) -> None:
    def open_one() -> bool:
        connections["default"].ensure_connection()
        return is_open()

    def is_open() -> bool:
        return connections["default"].connection is not None

    async def scenario() -> tuple[bool, tuple[int, str], bool]:
        async with handler.threads.lent():
            before = await sync_to_async(open_one)()
        answer = await ask(handler, "count")
        async with handler.threads.lent():
            return before, answer, await sync_to_async(is_open)()

    assert asyncio.run(scenario()) == (True, (200, "0"), False)
