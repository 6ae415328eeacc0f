"""Carry out the flow of a recorded call: the effects that `flow` asks for, sync or async."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connections

from runtime import faults
from runtime.asks import Input
from runtime.exceptions import CallInDoubt, CallTimeout, Cancelled, InvalidInput
from runtime.journal.call import Call
from runtime.journal.entries import Begin, End, Found, Write
from runtime.journal.flow import Flow, Invoke, Pause, Question, Request, Tell, conduct

NAP_SECONDS = 0.25


class Surroundings(ABC):
    """Where a call is made: what carries its effects out."""

    @abstractmethod
    def write(self, write: Write) -> Found:
        """Write durably, and say what became of it."""

    @abstractmethod
    async def awrite(self, write: Write) -> Found:
        """Do what `write()` does without blocking the event loop."""

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        """Do blocking work beside the event loop: a sync callee of an async step."""
        return await asyncio.to_thread(_closing(work))

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Keep an event."""

    def ask(self, ask: Input) -> Any:
        """Return a person's answer, or park the step until there is one."""
        raise CallInDoubt(
            f"Nobody knows whether a call happened, and there is nobody to ask here: {ask.prompt}",
            details={"key": ask.key},
        )

    @property
    def cancelled(self) -> bool:
        """Whether there is no point in waiting."""
        return False

    def guard(self) -> AbstractContextManager[None]:
        """Return what is around a sync call of a sync step."""
        return nullcontext()


def run(call: Call, here: Surroundings) -> Any:
    """See the call through in this thread and return its result. Raises what `flow.conduct` raises."""
    if call.is_async:
        raise InvalidInput(f"{call.name} is async: it can be called from an async step only.", field="fn")
    flow = conduct(call)
    request: Request = next(flow)
    while True:
        answer, raised = None, None
        try:
            answer = _do(request, here)
        except Exception as error:  # noqa: BLE001 - the flow decides what an error means
            raised = error
        try:
            request = flow.send(answer) if raised is None else flow.throw(raised)
        except StopIteration as end:
            return end.value


async def arun(call: Call, here: Surroundings) -> Any:
    """Do what `run()` does without blocking the event loop; a sync callee runs in a thread."""
    flow: Flow = conduct(call)
    request: Request = next(flow)
    while True:
        answer, raised = None, None
        try:
            answer = await _ado(request, here)
        except Exception as error:  # noqa: BLE001 - the flow decides what an error means
            raised = error
        try:
            request = flow.send(answer) if raised is None else flow.throw(raised)
        except StopIteration as end:
            return end.value


def _do(request: Request, here: Surroundings) -> Any:
    if isinstance(request, Begin | End):
        return here.write(request)
    if isinstance(request, Invoke):
        with faults.around("call"):
            return _invoke(request.call, here)
    if isinstance(request, Pause):
        return _pause(request.seconds, here)
    return _say(request, here)


async def _ado(request: Request, here: Surroundings) -> Any:
    if isinstance(request, End):
        return await _to_the_end(here.awrite(request))
    if isinstance(request, Begin):
        return await here.awrite(request)
    if isinstance(request, Invoke):
        with faults.around("call"):
            return await _ainvoke(request.call, here)
    if isinstance(request, Pause):
        return await asyncio.sleep(request.seconds)
    return _say(request, here)


async def _to_the_end(writing: Coroutine[Any, Any, Found]) -> Found:
    """Let a write be finished before a cancellation goes on: how a call has ended must not be left behind."""
    task = asyncio.ensure_future(writing)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _say(request: Tell | Question, here: Surroundings) -> Any:
    if isinstance(request, Tell):
        return here.tell(request.kind, request.data)
    return here.ask(request.ask)


def _pause(seconds: float, here: Surroundings) -> None:
    """Sleep, but not on when the step has lost its item."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if here.cancelled:
            raise Cancelled("The item is no longer this worker's: its call is not made again.")
        time.sleep(min(left, NAP_SECONDS))


def _invoke(call: Call, here: Surroundings) -> Any:
    if call.policy.timeout is None:
        with here.guard():
            return call.make()
    return _in_a_thread(call, here, call.policy.timeout)


async def _ainvoke(call: Call, here: Surroundings) -> Any:
    try:
        async with asyncio.timeout(call.policy.timeout) as limit:
            if call.is_async:
                return await call.make()
            made = await here.in_thread(call.make)
            return await made if inspect.isawaitable(made) else made
    except TimeoutError as error:
        if limit.expired():
            raise _timeout(call) from error
        raise


def _closing(work: Callable[[], Any]) -> Callable[[], Any]:
    """Let a thread of the pool keep no database connection that has gone bad."""

    def whole() -> Any:
        try:
            return work()
        finally:
            for connection in connections.all(initialized_only=True):
                connection.close_if_unusable_or_obsolete()

    return whole


def _in_a_thread(call: Call, here: Surroundings, timeout: float) -> Any:
    """Call in a thread of its own; one that takes too long is left behind, and what it comes to is not recorded."""
    ended: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            with here.guard():
                value = call.make()
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            ended.put((None, error))
        else:
            ended.put((value, None))
        finally:
            connections.close_all()

    threading.Thread(target=contextvars.copy_context().run, args=(work,), name="roost-call", daemon=True).start()
    try:
        value, error = ended.get(timeout=timeout)
    except queue.Empty:
        raise _timeout(call) from None
    if error is not None:
        raise error
    return value


def _timeout(call: Call) -> CallTimeout:
    return CallTimeout(
        f"The call {call.key!r} took longer than its {call.policy.timeout:g} s; it may have happened.",
        details={"key": call.key},
    )
