"""Run what becomes due at once, in the thread that made it so: for tests, through the real store.

Every operation asks Django to be called after the commit; that is heard here, and what is due is run as soon as no
transaction of the product's is open on the work database. A transaction that a TestCase keeps around the test is not
the product's, so that what waits for a commit that never comes runs nevertheless.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any
from unittest import mock
from weakref import WeakSet

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime import instrument
from runtime.operations import notifying, triggering
from runtime.store import get_store
from runtime.worker.inline_worker import InlineWorker

_modes: list[InlineMode] = []
_running: ContextVar[bool] = ContextVar("roost_inline_running", default=False)
"""Set while steps are run, in their threads as well: what they enqueue is taken by the worker that runs them."""


class InlineMode:
    """A worker that is there whenever something is to be done. See `runtime.testing.inline`."""

    def __init__(
        self,
        *,
        engines: Sequence[str] | None,
        skip_delays: bool,
        raises: bool,
        max_steps: int | None,
        using: str | None,
    ) -> None:
        self._engines = engines
        self._skip_delays = skip_delays
        self._raises = raises
        self._max_steps = max_steps
        self._using = using
        self._waiting: WeakSet[BaseDatabaseWrapper] = WeakSet()

    def heard(self, connection: BaseDatabaseWrapper) -> None:
        """Run what is due, or remember to once the product's transaction is over."""
        if connection.alias != get_store(self._using).using or _running.get():
            return
        if _is_in_products(connection):
            self._waiting.add(connection)
        else:
            self._run()

    def left(self, connection: BaseDatabaseWrapper, *, failed: bool) -> None:
        """Run what is due if the product's transaction ended with the block that was left, and did not fail."""
        if connection in self._waiting and not _is_in_products(connection):
            self._waiting.discard(connection)
            if not failed:
                self._run()

    def _run(self) -> None:
        triggering.forget()
        notifying.forget()
        worker = InlineWorker(get_store(self._using), self._engines, self._max_steps)
        token = _running.set(True)
        try:
            worker.run(None, lambda: False, self._skip_delays)
        finally:
            _running.reset(token)
        if self._raises:
            for error in worker.failures.values():
                raise error


@contextlib.contextmanager
def standing(mode: InlineMode) -> Iterator[None]:
    """Have the mode hear of what is to be done while the block runs; the innermost of several hears alone."""
    with contextlib.ExitStack() as patches:
        if not _modes:
            patches.enter_context(_hearing())
        _modes.append(mode)
        try:
            yield
        finally:
            _modes.remove(mode)


@contextlib.contextmanager
def _hearing() -> Iterator[None]:
    on_commit, leave = BaseDatabaseWrapper.on_commit, transaction.Atomic.__exit__

    @wraps(on_commit)
    def heard(connection: BaseDatabaseWrapper, func: Callable[[], object], robust: bool = False) -> None:
        on_commit(connection, func, robust)
        if _modes and _is_ours(func):
            _modes[-1].heard(connection)

    @wraps(leave)
    def left(block: transaction.Atomic, kind: Any, error: Any, trace: Any) -> None:
        leave(block, kind, error, trace)
        if _modes:
            _modes[-1].left(transaction.get_connection(block.using), failed=kind is not None)

    with (
        mock.patch.object(BaseDatabaseWrapper, "on_commit", heard),
        mock.patch.object(transaction.Atomic, "__exit__", left),
        mock.patch.object(instrument, "runs_at_once", True),
    ):
        yield


def _is_ours(func: Any) -> bool:
    while isinstance(func, partial):
        func = func.func
    return str(getattr(func, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


def _is_in_products(connection: Any) -> bool:
    """Say whether a transaction is open that the code under test began."""
    return any(not block._from_testcase for block in connection.atomic_blocks)
