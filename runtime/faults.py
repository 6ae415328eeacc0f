"""Named places at which a test lets this process fail: before and after durable writes and outside effects.

    ROOST_FAULT=commit.after:kill:2:/tmp/once manage.py runworker

dies by SIGKILL right after its second commit, once: the process that creates the file `/tmp/once` first is the one
that fails, and those which take its place go on undisturbed. In the place of `kill`, `raise` raises `InjectedFault`,
and `drop` closes this thread's database connections: at `commit.after` that is a COMMIT whose answer was lost.
The variable is read when the module is imported; without it, reaching a point costs a look at one name.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db import OperationalError, connections

from runtime.exceptions import InvalidInput, RoostError

VARIABLE = "ROOST_FAULT"
SIDES = ("before", "after")

PLACES = {
    "insert": "items are enqueued",
    "claim": "due items are taken",
    "commit": "outcomes of steps are written",
    "atomic": "the transaction of an atomic step is committed, with the rows that it wrote",
    "journal": "the begin or the end of a recorded call is written",
    "call": "a recorded call is made",
    "content": "the row of an artifact's content is written, before its bytes",
    "artifact": "bytes are put into the artifact storage",
    "orphans": "content that nobody needs is found or removed",
    "renew": "leases are prolonged",
    "release": "items are given back",
    "acknowledge": "claims of items that were taken away are freed",
    "sweep": "items of lost workers are taken back",
    "move": "an operator's move is written",
    "fire": "a schedule's items are enqueued and its next run is written",
    "signal": "a signal is kept",
    "deliver": "the item of a webhook's delivery is enqueued, and counted",
    "notice": "a delivery to a webhook target is counted there, or the target disabled",
    "workspace": "an item's workspace, made aside, is put in its place",
    "prune": "ended items, or old history, are removed",
    "clear": "an item's workspace is taken out of its place",
    "settle": "waits that are over are settled, and parents are told of an end, in a transaction of its own",
    "follow_up": "an item that has ended is reopened, with its new input",
    "fork": "an item is begun from another one's snapshot",
    "import": "an imported run is written",
    "rule": "a limit, a schedule, a trigger, a capacity or what is wanted of a worker is written",
    "attach": "the row of an uploaded file is written, with its event",
    "once": "a request with a key is noted, in the transaction that does it",
    "token": "a token of the API is made, exchanged or revoked, or its use is noted",
    "worker": "a worker's own row is written",
}
"""What happens between the points `<place>.before` and `<place>.after`."""

POINTS = tuple(f"{place}.{side}" for place in PLACES for side in SIDES)


class InjectedFault(RoostError):
    """A test asked for this failure."""

    code = "injected_fault"


def _kill(point: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise(point: str) -> None:
    raise InjectedFault(f"The fault that was asked for at {point}.")


def _drop(point: str) -> None:
    """Close this thread's connections without telling who uses them, and raise what a lost connection raises."""
    for wrapper in connections.all(initialized_only=True):
        raw: Any = wrapper.connection
        if raw is not None:
            raw.close()
    raise OperationalError(f"The connection was lost at {point}, as was asked for.")


ACTIONS: dict[str, Callable[[str], None]] = {"kill": _kill, "raise": _raise, "drop": _drop}
"""What can happen at a point, by name. A test may add actions of its own."""


class Follower(Protocol):
    """Who is told of every point that the process reaches."""

    def reach(self, point: str) -> None:
        """Take note of the point; may raise, or end the process."""


@dataclass(slots=True)
class Plan:
    """Which point fails, how, at which pass, and the file that says it has."""

    point: str
    action: str = "kill"
    nth: int = 1
    once: str = ""
    _passes: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Read `point:action:nth:file`; what is left out has its default. Raises `InvalidInput`."""
        point, action, nth, once = (*text.split(":", 3), "", "", "")[:4]
        if point not in POINTS or (action or "kill") not in ACTIONS or not (nth or "1").isdecimal():
            raise InvalidInput(
                f"{VARIABLE} is {text!r}; it must be point:action:number:file, the point one of {', '.join(POINTS)}, "
                f"the action one of {', '.join(ACTIONS)}."
            )
        return cls(point=point, action=action or "kill", nth=int(nth or 1), once=once)

    def reach(self, point: str) -> None:
        """Fail if this is the point and the pass."""
        if point != self.point:
            return
        with self._guard:
            self._passes += 1
            due = self._passes == self.nth
        if due and self._is_first():
            ACTIONS[self.action](point)

    @property
    def due(self) -> bool:
        """Whether the point was passed often enough for the fault to happen."""
        return self._passes >= self.nth

    def _is_first(self) -> bool:
        if not self.once:
            return True
        try:
            os.close(os.open(self.once, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True


class Died(BaseException):
    """The process is dead, as a test plays it: no `except Exception` brings it back."""


@dataclass(slots=True)
class Death:
    """A follower by whom the process dies at the `nth` pass of a point.

    Whatever it does while it is taken apart raises at its next point: of a process that is dead nothing is written.
    """

    point: str
    nth: int = 1
    passes: int = 0
    dead: bool = False

    def reach(self, point: str) -> None:
        """Die if this is the point and the pass, and be dead from then on."""
        if point == self.point and not self.dead:
            self.passes += 1
            self.dead = self.passes == self.nth
        if self.dead:
            raise Died(f"The process died at {self.point}, and would be at {point} now.")


_plan: Follower | None = Plan.parse(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def armed() -> bool:
    """Say whether this process is to fail somewhere."""
    return _plan is not None


def reach(point: str) -> None:
    """Note that the process is at a point, and fail there if a test asked for it."""
    if _plan is not None:
        _plan.reach(point)


@contextmanager
def around(place: str) -> Iterator[None]:
    """Reach the points before and after what the block does."""
    reach(f"{place}.before")
    yield
    reach(f"{place}.after")


@contextmanager
def planned(plan: Follower) -> Iterator[None]:
    """Follow this plan, or tell this recorder, while the block runs. For tests."""
    global _plan
    before, _plan = _plan, plan
    try:
        yield
    finally:
        _plan = before
