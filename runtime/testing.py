"""Help products test what they build on Roost, without a worker and without waiting.

    run_step(engine, {"count_to": 3})        one step of an engine, no database
    drain()                                  run what is due in the test itself, through the real store
    drain(skip_delays=True)                  … and what is due later, by moving the clock
    with inline(): …                         run what is enqueued in the block at once, as its transaction ends
    answer("refund", True)                   an answer for RecordingContext(given=[…])
    advance(60)                              move the database's clock for a block
    expire_leases()                          play the death of every worker
    with crash_at("commit.before"): drain()  play a SIGKILL there; a second drain() is the worker that follows
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
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Unpack

from django.db.models import QuerySet
from django.utils import timezone

from runtime import clock, faults, registry
from runtime.artifacts import Prepared, prepare
from runtime.asks import Answer
from runtime.engine import Decision, Engine, Item, Snapshot, takes
from runtime.exceptions import InvalidInput
from runtime.journal.memory import MemoryJournal
from runtime.journal.outside import Journal
from runtime.models import Lease, WorkItem
from runtime.models.workitem import new_id
from runtime.operations import children, firing, notifying, triggering
from runtime.step import ChildOptions, StepContext, _current
from runtime.store import get_store, work_database
from runtime.usage import checked
from runtime.worker.inline_mode import InlineMode, standing
from runtime.worker.inline_worker import InlineWorker

# One step, no database ----------------------------------------------------------------------------------------------


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


@dataclass
class RecordingContext(StepContext):
    """A step context that keeps what the step asked for, to be looked at; nothing is stored.

    `run` makes each call once for its key and replays it afterwards, as Roost would: also in a later step that is given
    this context. `is_async` and `work_item` are set by `run_step`.
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
    used: list[dict[str, Any]] = field(default_factory=list)
    given: Sequence[Answer] = ()
    folder: Path | None = None
    work_item: Item = field(default_factory=make_item)

    @property
    def item(self) -> Item:
        """The item that the test has given to `run_step`, or as `work_item`."""
        return self.work_item

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

    def usage(self, *, tokens: int = 0, cost: int | float | Decimal = 0, call: str = "") -> None:
        """Check it as Roost would, and keep it in `used`."""
        checked(tokens, cost)
        if call and call not in self.calls:
            raise InvalidInput(f"The step has made no call {call!r}.", field="call")
        self.used.append({"tokens": tokens, "cost": cost, "call": call})

    def spawn(
        self, engine: str, payload: Any = None, *, relation: str = "child", **options: Unpack[ChildOptions]
    ) -> uuid.UUID:
        """Check what is said of the child as Roost would, keep it in `children` and return an id for it.

        Whether there is such an engine, and what it thinks of the payload, is not asked.
        """
        child = children.check_child(engine, payload, relation, options).id
        wanted = {"id": child, "engine": engine, "payload": payload, "relation": relation}
        self.children.append({**wanted, "delay": 0.0, "priority": None, "resources": [], **options})
        return child


def answer(key: str, value: Any = None, **more: Any) -> Answer:
    """Return the answer that a step under test gets to what it asks under `key`; `more` are fields of `Answer`."""
    return Answer(key=key, value=value, **{"kind": "input", **more})


def run_step(
    engine: Engine,
    payload: Any = None,
    *,
    snapshot: Snapshot | None = None,
    context: StepContext | None = None,
    item: Item | None = None,
) -> Decision:
    """Run one step, sync or async, and return what it decided. Raises what it raises; touches no database of Roost's.

    Without `snapshot` it is the first step. `context` is usually a `RecordingContext` to be looked at afterwards.
    `item` stands in for one that is made of the payload.
    """
    made, context = item or make_item(payload), context or RecordingContext()
    if isinstance(context, RecordingContext):
        context.is_async, context.work_item = engine.is_async, made
    with running(context):
        decision: Decision = _now(step(engine, snapshot or first_snapshot(engine, made), made, context))
    return decision


def first_snapshot(engine: Engine, item: Item) -> Snapshot:
    """Return the state that the engine begins the item with."""
    first = _now(engine.init_snapshot(item))
    return first if isinstance(first, Snapshot) else Snapshot(data=first)


def step(engine: Engine, snapshot: Snapshot, item: Item, context: StepContext) -> Any:
    """Call the engine's step as a worker does; an async one returns what is to be awaited."""
    call: Callable[..., Any] = engine.step
    return call(snapshot, item, *((context,) if takes(call, 3) else ()))


@contextlib.contextmanager
def running(context: StepContext) -> Iterator[None]:
    """Let `current_context()` be this one while the block runs."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def _now(value: Any) -> Any:
    """Return the value; of what is to be awaited, in an event loop of its own."""
    return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


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
    return InlineWorker(get_store(using), engines).run(max_steps, until or (lambda: False), skip_delays)


def inline(
    *,
    engines: Sequence[str] | None = None,
    skip_delays: bool = False,
    raises: bool = True,
    max_steps: int | None = None,
    using: str | None = None,
) -> contextlib.AbstractContextManager[None]:
    """Run what becomes due while the block runs, at once: when the transaction that made it so has ended.

    A TestCase's own transaction is left out of account. Every operation counts, an approval or a signal as much as an
    enqueue, and whatever is due is run as by `drain()`, in this thread, before the operation returns or the product's
    `atomic` block is left; what steps enqueue runs after them. An item goes as far as it can without the clock: one
    that waits for a due time or for somebody stays there, and with `skip_delays` due times and timers come at once.
    When an item's last step failed, for now or for good, the exception that it raised is raised after the commit, with
    a note that names the item; with `raises=False` it is only kept with the item. Raises `RoostError` after
    `max_steps` (10,000) steps that follow one another. Also a decorator; inside another one it stands in for it.
    """
    mode = InlineMode(engines=engines, skip_delays=skip_delays, raises=raises, max_steps=max_steps, using=using)
    return standing(mode)


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


@contextlib.contextmanager
def crash_at(point: str, *, nth: int = 1, using: str | None = None) -> Iterator[None]:
    """Let the worker that `drain()` plays in the block die at a point, as by SIGKILL, at its `nth` pass there.

    What the database had taken until then stays, nothing is written afterwards, the rest of the block is left out, and
    the leases of the dead run out: a `drain()` after the block plays the worker that follows. `roost doctor
    --fault-points` lists the points. Raises `InvalidInput` for another one, `AssertionError` when the block did not
    come by.
    """
    if point not in faults.POINTS:
        raise InvalidInput(f"There is no point {point!r}. There are: {', '.join(faults.POINTS)}.", field="point")
    get_store(using)  # one that is made while a fault is planned has points of its own
    death = faults.Death(point=point, nth=nth)
    with faults.planned(death), contextlib.suppress(faults.Died):
        yield
    if not death.dead:
        raise AssertionError(f"The block came by {point} {death.passes} times, and not {nth}: nothing crashed.")
    expire_leases(using)


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
