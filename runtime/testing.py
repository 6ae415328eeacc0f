"""Help products test what they build on Roost, without a worker and without waiting.

    run_step(engine, {"count_to": 3})        one step of an engine, no database
    drain()                                  run what is due in the test itself, through the real store
    drain(skip_delays=True)                  … and what is due later, by moving the clock
    answer("refund", True)                   an answer for RecordingContext(given=[…])
    advance(60)                              move the database's clock for a block
    expire_leases()                          play the death of every worker
    fire_schedules()                         fire the schedules that are due
    assert_enqueued("mail", payload__contains={"to": "ann"})

The pytest plugin (`runtime.pytest_plugin`) offers them as fixtures. For tests only: `drain` runs one item at a time,
and what it runs sees the test's own transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import inspect
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db.models import QuerySet
from django.utils import timezone

from runtime import clock, registry
from runtime.artifacts import Prepared, prepare
from runtime.asks import Answer
from runtime.choices import Reason, State
from runtime.engine import Decision, Engine, Item, Snapshot, takes
from runtime.exceptions import RoostError
from runtime.journal.memory import MemoryJournal
from runtime.journal.outside import Journal
from runtime.models import Lease, WorkItem
from runtime.models.workitem import new_id
from runtime.operations import firing, notifying, triggering
from runtime.step import StepContext, _current
from runtime.store import get_store, work_database
from runtime.store.base import Store
from runtime.store.overdue_waits import expire, next_timer_in
from runtime.store.values import ClaimRequest, Outcome
from runtime.worker import atomic, execute, outcomes
from runtime.worker.context import Context
from runtime.worker.inline import InlineJournal
from runtime.worker.lanes import advance as follow
from runtime.worker.options import WorkerOptions
from runtime.worker.registration import Registration
from runtime.worker.run import Run

MOST_STEPS = 10_000
MOST_WAITS = 1_000
INSTANT = 0.001


# One step, no database ----------------------------------------------------------------------------------------------


@dataclass
class RecordingContext(StepContext):
    """A step context that keeps what the step asked for, to be looked at; nothing is stored.

    `run` makes each call once for its key and replays it afterwards, as Roost would: also in a later step that is given
    this context. `is_async` is set by `run_step`.
    """

    attempt: int = 1
    idempotency_key: str = "test:1"
    is_cancelled: bool = False
    is_async: bool = False
    journal: Journal = field(default_factory=lambda: Journal(MemoryJournal(), "test"))
    artifacts: dict[str, Prepared] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    reports: list[tuple[float | None, str]] = field(default_factory=list)
    children: list[dict[str, Any]] = field(default_factory=list)
    given: Sequence[Answer] = ()
    folder: Path | None = None

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What the test has given as `given`, by key; `ask` raises `Suspend` for anything else."""
        return {answer.key: answer for answer in self.given}

    @property
    def cancelled(self) -> bool:
        """What the test has set as `is_cancelled`."""
        return self.is_cancelled

    def run(self, key: str, fn: Callable[..., Any], *args: Any, scope: str = "step", **kwargs: Any) -> Any:
        """Make the call, or replay it."""
        run = self.journal.arun if self.is_async else self.journal.run
        return run(key, fn, *args, **kwargs)

    @property
    def calls(self) -> dict[str, int]:
        """How often each key was called; a replay is no call."""
        return self.journal.store.calls()

    def artifact(
        self,
        name: str,
        content: bytes | str | Any,
        *,
        kind: str = "other",
        content_type: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Check the artifact as Roost would, and keep it in `artifacts`."""
        made = prepare(name, content, kind=kind, content_type=content_type, metadata=metadata)
        self.artifacts[name] = made
        return made.sha256

    async def aartifact(
        self,
        name: str,
        content: bytes | str | Any,
        *,
        kind: str = "other",
        content_type: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Do what `artifact()` does."""
        return self.artifact(name, content, kind=kind, content_type=content_type, metadata=metadata)

    def workspace(self) -> Path:
        """Return the `folder` that the test has given."""
        return super().workspace() if self.folder is None else self.folder

    def log(self, message: str, *, level: str = "info", **data: Any) -> None:
        """Keep the line in `lines`."""
        self.lines.append({"message": message, "level": level, **data})

    def progress(self, fraction: float | None = None, note: str = "") -> None:
        """Keep the report in `reports`."""
        self.reports.append((fraction, note))

    def spawn(
        self,
        engine: str,
        payload: Any = None,
        *,
        relation: str = "child",
        delay: float = 0.0,
        priority: int | None = None,
        resources: Sequence[str | Mapping[str, Any]] = (),
    ) -> uuid.UUID:
        """Keep the child in `children` and return an id for it."""
        child = new_id()
        wanted = {"id": child, "engine": engine, "payload": payload, "relation": relation, "delay": delay}
        self.children.append({**wanted, "priority": priority, "resources": list(resources)})
        return child


def answer(key: str, value: Any = None, **more: Any) -> Answer:
    """Return the answer that a step under test gets to what it asks under `key`; `more` are fields of `Answer`."""
    return Answer(key=key, value=value, **{"kind": "input", **more})


def make_item(payload: Any = None, **values: Any) -> Item:
    """Return an item as an engine would see it; `values` replace its fields."""
    usual: dict[str, Any] = {
        "id": new_id(),
        "namespace": "default",
        "engine": "test",
        "engine_version": "1",
        "config": None,
        "priority": 0,
        "resources": [],
        "step_label": "",
        "parent_id": None,
        "created_at": timezone.now(),
        "deadline_at": None,
    }
    return Item(payload=payload, **(usual | values))


def run_step(
    engine: Engine, payload: Any = None, *, snapshot: Snapshot | None = None, context: StepContext | None = None
) -> Decision:
    """Run one step, sync or async, and return what it decided. Raises what it raises; touches no database of Roost's.

    Without `snapshot` it is the first step. `context` is usually a `RecordingContext` to be looked at afterwards.
    """
    return asyncio.run(_run_step(engine, make_item(payload), snapshot, context or RecordingContext()))


async def _run_step(engine: Engine, item: Item, snapshot: Snapshot | None, context: StepContext) -> Decision:
    token = _current.set(context)
    if isinstance(context, RecordingContext):
        context.is_async = engine.is_async
    try:
        if snapshot is None:
            first = await _awaited(engine.init_snapshot(item))
            snapshot = first if isinstance(first, Snapshot) else Snapshot(data=first)
        step: Callable[..., Any] = engine.step
        more = (context,) if takes(step, 3) else ()
        decision: Decision = await _awaited(step(snapshot, item, *more))
    finally:
        _current.reset(token)
    return decision


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


# Work that is due ---------------------------------------------------------------------------------------------------


def drain(
    *,
    max_steps: int | None = None,
    engines: Sequence[str] | None = None,
    until: Callable[[], bool] | None = None,
    skip_delays: bool = False,
    using: str | None = None,
) -> int:
    """Run what is due, item by item, in this thread; return how many steps were run, failed ones counted.

    Ends when nothing is due any more, after `max_steps`, or when `until()` is true after a step; an item it leaves is
    released. Waits whose time is over are expired on the way. `skip_delays` moves the clock (inside the call) to
    whatever is due next: delays, backoffs and timers pass at once, but not the patience with people. Raises
    `RoostError` after 10,000 steps if `max_steps` was not given.
    """
    triggering.forget()
    notifying.forget()
    return _Inline(get_store(using), engines).run(max_steps, until or (lambda: False), skip_delays)


class _Context(Context):
    """Stores artifacts in the test's own thread, whose transaction nobody else may wait for."""

    __slots__ = ()

    async def aartifact(self, name: str, content: bytes | str | Any, **more: Any) -> str:
        return await sync_to_async(self.artifact)(name, content, **more)


class _Inline:
    """A worker that lives inside a call."""

    def __init__(self, store: Store, engines: Sequence[str] | None) -> None:
        self._store = store
        names = registry.names() if engines is None else list(engines)
        self._engines = {name: registry.get(name) for name in names}
        options = WorkerOptions.defaults(store.using, once=True, concurrency=1)
        self._registration = Registration(options, sorted(self._engines), store.using)
        self._journal = InlineJournal(store)
        self._steps = 0

    def run(self, max_steps: int | None, until: Callable[[], bool], skip_delays: bool) -> int:
        self._registration.enter()
        try:
            with contextlib.ExitStack() as moved:
                over = self._over(max_steps, until)
                while not over():
                    run = self._claim()
                    if run is not None:
                        self._run(run, over)
                    elif not (expire(self._store.using, MOST_WAITS) or (skip_delays and self._skip(moved))):
                        break
        finally:
            self._registration.leave()
        return self._steps

    def _over(self, max_steps: int | None, until: Callable[[], bool]) -> Callable[[], bool]:
        def over() -> bool:
            if max_steps is None and self._steps >= MOST_STEPS:
                raise RoostError(
                    f"Work is still due after {MOST_STEPS} steps. Does an engine never end? Give max_steps."
                )
            return self._steps == max_steps or (self._steps > 0 and until())

        return over

    def _claim(self) -> Run | None:
        for alone in (False, True):
            for claimed in self._store.claim(self._request(alone=alone)):
                return Run(claimed, self._engines[claimed.engine], self._journal)
        return None

    def _request(self, *, alone: bool = False) -> ClaimRequest:
        return ClaimRequest(worker=self._registration.id, engines=tuple(self._engines), pools=(), limit=1, alone=alone)

    def _skip(self, moved: contextlib.ExitStack) -> bool:
        spans = [self._store.next_due_in(self._request()), next_timer_in(self._store.using)]
        known = [seconds for seconds in spans if seconds is not None]
        if not known:
            return False
        moved.enter_context(advance(max(0.0, min(known)) + INSTANT))
        return True

    def _run(self, run: Run, over: Callable[[], bool]) -> None:
        try:
            while not run.lost:
                outcome, state = self._step(run)
                self._steps += 1
                run.lost = state != State.RUNNING
                if run.lost:
                    return
                follow(run, outcome)
                if over():
                    return
        finally:
            if not run.lost:
                self._store.release(self._registration.id, [run.held], Reason.RELEASED)

    def _step(self, run: Run) -> tuple[Outcome, str | None]:
        worker, using = self._registration.id, self._store.using
        if run.engine.is_async:
            context = _Context(run, using)
            outcome = async_to_sync(execute.run_async)(worker, run, using, context)
        else:
            try:
                return atomic.run_step(worker, run, self._store, lambda run, outcome: outcome)
            except Exception as error:  # noqa: BLE001 - whatever a step raises is its failure
                outcome = outcomes.fail(worker, run, error)
        return outcome, self._store.commit([outcome]).get(run.id)


# Time and death -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def advance(seconds: float) -> Iterator[None]:
    """Move the database's clock, as this process sees it, forward while the block runs."""
    with clock.shifted(dt.timedelta(seconds=seconds)):
        yield


def fire_schedules(*, using: str | None = None) -> int:
    """Fire the schedules that are due now, as a worker would; return how many items that made."""
    return firing.fire_due(get_store(using), registry.names())


class Clock:
    """A clock that moves on and stays moved until it is closed."""

    def __init__(self) -> None:
        self._moved = contextlib.ExitStack()

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._moved.enter_context(advance(seconds))

    def close(self) -> None:
        """Put the clock back."""
        self._moved.close()


def expire_leases(using: str | None = None) -> int:
    """Let every lease run out and its worker be dead; return how many items were recovered. Each counts a death."""
    store = get_store(using)
    leases = Lease.objects.using(store.using)
    leases.update(expires_at=clock.now(store.using) - dt.timedelta(seconds=1))
    owners = set(leases.values_list("worker_id", flat=True))
    return store.sweep(dead_workers=owners, batch=max(leases.count(), 1)).recovered


def assert_enqueued(engine: str | None = None, *, using: str | None = None, **lookups: Any) -> WorkItem:
    """Return the newest item that fits, or fail and name what there is.

    `lookups` are Django's; `payload__contains={…}` fits a payload that has at least these fields, on any database.
    """
    wanted = lookups.pop("payload__contains", {})
    if engine is not None:
        lookups["engine"] = engine
    items: QuerySet[WorkItem] = WorkItem.objects.using(using or work_database())
    for item in items.filter(**lookups).order_by("-created_at", "-id"):
        if not wanted or (isinstance(item.payload, dict) and wanted.items() <= item.payload.items()):
            return item
    found = "".join(f"\n  {item.engine} {item.state} {item.payload!r:.200}" for item in items.order_by("id")[:20])
    raise AssertionError(f"No such item was enqueued: {lookups} {wanted or ''}. There are:{found or ' none.'}")
