"""Serve Django under ASGI at the price of WSGI: a request runs in one thread from its first middleware to its last.

Django's own ASGI application crosses from the event loop into a thread and back for each middleware and for the view,
and makes and ends a thread for each request. For a request that reads a row, that is most of what it costs. Here the
whole chain of middleware runs in one go, as under WSGI, in a thread that the next request gets. An asynchronous view
runs on the event loop as ever, and a stream is told from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, cast

import django
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from console.bodies import Incoming, Refused
from console.departures import KEY, Departure

SPARE_THREADS = 128
"""Threads that are kept for later requests; however many are needed are made."""

logger = logging.getLogger("roost.asgi")


def get_asgi_application(*, most_bytes: int | None = None) -> OneThreadHandler:
    """Return the application, in place of that of `django.core.asgi`.

    Roost's own addresses bound their bodies themselves. `most_bytes` is what any other takes, None for what comes.
    """
    django.setup(set_prefix=False)
    return OneThreadHandler(most_bytes=most_bytes)


class OneThreadHandler(ASGIHandler):
    """Django's handler, whose middleware and views run as under WSGI, each request in a thread that is lent to it.

    Each request has its thread for itself, and a thread's database connections are closed as each request ends, unless
    CONN_MAX_AGE says otherwise.

    The thread is entered once: `request_started`, the middleware, the view and `request_finished` are one piece of
    work. An answer that is whole is closed there, and so before the server sends it; a stream after its end. A view
    learns by `console.departures` that its client has gone, or that the request is cut off.
    """

    def __init__(self, *, most_bytes: int | None = None) -> None:
        super().__init__()
        self.most_bytes = most_bytes
        self.threads = Threads()
        self._in_thread = sync_to_async(_call)

    def load_middleware(self, is_async: bool = False) -> None:
        """Chain the middleware for one thread."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Handle a request in a thread of its own."""
        async with self.threads.lent():
            try:
                await super().__call__(scope, Incoming(scope, receive, self.most_bytes), send)
            except Refused as error:
                logger.warning("%s %r is refused: %s", scope["method"], scope["path"], error)
                told = HttpResponse(str(error), status=error.status, content_type="text/plain")
                await self.send_response(told, send)

    async def read_body(self, receive: Any) -> Any:
        """Return the body, or what reads it as it comes (`console.bodies`)."""
        return await receive.begin()

    async def handle(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request, for as long as its client is there. Who cuts it off waits until it has ended."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        set_script_prefix(get_script_prefix(scope))
        gone = scope[KEY] = Departure()
        made: list[HttpResponseBase] = []
        tasks = [
            asyncio.create_task(self.listen_for_disconnect(receive)),
            asyncio.create_task(self._serve(scope, body, made, send)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.tell()
            receive.leave()
            try:
                ends = await self._end(tasks, made)
            finally:
                body.close()
        for end in ends:
            if end is not None and not isinstance(end, RequestAborted):
                raise end

    async def _serve(self, scope: dict[str, Any], body: Any, made: list[HttpResponseBase], send: Any) -> None:
        await self.send_response(await self._in_thread(self._answer, scope, body, made), send)

    async def _end(self, tasks: list[asyncio.Task[None]], made: list[HttpResponseBase]) -> list[BaseException | None]:
        """End what is left of a request, also when it is cut off; return what the tasks ended with."""
        for task in tasks:
            task.cancel()
        ends = await _ended(tasks)
        if not made or made[0].streaming:
            # No task that may be cancelled closes it. The thread may be at work still: it is not lent before its end.
            ends += await _ended([asyncio.create_task(self._in_thread(self._drop, made))])
        return ends

    def _answer(self, scope: dict[str, Any], body: Any, made: list[HttpResponseBase]) -> HttpResponseBase:
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        # One of the two is there; the stubs do not say so.
        response: Any = refusal if request is None else self.get_response(request)
        response._handler_class = self.__class__
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not response.streaming:
            response.close()
        made.append(response)
        return cast(HttpResponseBase, response)

    def _drop(self, made: list[HttpResponseBase]) -> None:
        """End a request: close its stream, or tell that it is over where nothing came of it."""
        if not made:
            signals.request_finished.send(sender=self.__class__)
        elif made[0].streaming:
            made[0].close()


def _call(work: Any, *args: Any) -> Any:
    return work(*args)


async def _ended(tasks: list[asyncio.Task[None]]) -> list[BaseException | None]:
    """Wait for all the tasks, whoever cuts that off: return what they end with, and what tried to.

    None stands for a task that ends well, or is cancelled.
    """
    cuts: list[BaseException | None] = []
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as cut:
            cuts.append(cut)
    return [None if task.cancelled() else task.exception() for task in tasks] + cuts


class Threads:
    """Threads to lend, the one that came back last first."""

    def __init__(self) -> None:
        self._spare: list[ThreadPoolExecutor] = []

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Have what is thread-sensitive in the block run in one thread, which nobody else has meanwhile."""
        thread = self._spare.pop() if self._spare else ThreadPoolExecutor(1, thread_name_prefix="roost-request")
        context = ThreadSensitiveContext()
        SyncToAsync.context_to_thread_executor[context] = thread
        token = SyncToAsync.thread_sensitive_context.set(context)
        try:
            yield
        except BaseException:
            # It may still be at work for whoever went away: it ends with that.
            thread.shutdown(wait=False)
            raise
        else:
            self._take_back(thread)
        finally:
            SyncToAsync.thread_sensitive_context.reset(token)
            SyncToAsync.context_to_thread_executor.pop(context, None)

    def _take_back(self, thread: ThreadPoolExecutor) -> None:
        if len(self._spare) < SPARE_THREADS:
            self._spare.append(thread)
        else:
            thread.shutdown(wait=False)
