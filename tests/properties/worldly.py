"""A small world of items that call, spawn, wait and fail, as a plan says, with or without pruning."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.db.models import Q

from runtime.asks import AwaitChildren, AwaitSignal
from runtime.choices import LIVE, TERMINAL
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.exceptions import Declined, RoostError
from runtime.models import Event, JournalEntry, Lease, Signal, Wait, WorkItem
from runtime.models import Snapshot as StoredSnapshot
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import fork
from runtime.operations.hold import hold, unhold
from runtime.operations.pause import pause
from runtime.operations.redrive import redrive
from runtime.operations.resume import resume
from runtime.operations.signal import send_signal
from runtime.step import StepContext
from runtime.store.children import TRIGGERED
from runtime.testing import Clock, drain
from tests.contracts.builders import Hand

ENGINE = {"worldly": "tests.properties.worldly.Worldly"}
OF_ITEM = (Event, StoredSnapshot, JournalEntry, Wait)
DAY = 86_400.0


class Worldly(Engine):
    """Do what the payload's script says, a word a step. What it comes to depends on all that a step can read."""

    def init_snapshot(self, item: Item) -> Any:
        return {"got": []}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        got, script = list(snapshot.data["got"]), item.payload["script"]
        place = len(got)
        if place >= len(script):
            return Complete([*got, told(ctx.ask(AwaitChildren("last")).value) if "kids" in script else None])
        word = script[place]
        if word == "call":
            got.append([await ctx.run("step", lambda: place), await ctx.run("run", lambda: place, scope="item")])
        elif word == "kids":
            for kid in ("call", "fail"):
                ctx.spawn("worldly", {"script": [kid]})
            got.append(told(ctx.ask(AwaitChildren("kids")).value))
        elif word == "signal":
            got.append(ctx.ask(AwaitSignal("go")).value)
        else:
            raise Declined("it was to fail", code="asked")
        return Continue({"got": got})


def told(children: Any) -> list[Any]:
    """Return what a parent makes of its children."""
    return sorted([child["state"], child["result"]] for child in children)


class World:
    """Items by the order in which they were made; moves name them by that."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.made: list[uuid.UUID] = []

    def do(self, move: tuple[Any, ...]) -> bool:
        """Make a move; return whether it could be made."""
        word, *more = move
        try:
            return getattr(self, word)(*more) is not False
        except RoostError:
            return False

    def begin(self, script: list[str]) -> None:
        """Enqueue an item."""
        self.made.append(enqueue("worldly", {"script": script}, max_attempts=1).pk)

    def work(self, steps: int | None) -> None:
        """Let a worker make some steps, or all that are due."""
        drain(max_steps=steps, skip_delays=True)

    def wait(self, days: float) -> None:
        """Let days pass."""
        self.clock.advance(days * DAY)

    def verb(self, word: str, number: int) -> None:
        """Do what an operator would."""
        VERBS[word](self._of(number))

    def copy(self, number: int, version: int) -> None:
        """Fork an item, which then is one of those that are named."""
        self.made.append(fork(self._of(number), version=version).pk)

    def thin(self, number: int, policy: str) -> bool:
        """Let snapshots be missing as the policies leave them."""
        item = WorkItem.objects.filter(pk=self._of(number)).first()
        if item is None:
            return False
        rows = StoredSnapshot.objects.filter(work_item=item, version__lt=item.version)
        odd = [version for version in rows.values_list("version", flat=True) if version % 2]
        return bool((rows.filter(version__in=odd) if policy == "interval" else rows).delete()[0])

    def _of(self, number: int) -> uuid.UUID:
        if not self.made:
            raise RoostError("nothing was made yet")
        return self.made[number % len(self.made)]

    def outcome(self, pk: uuid.UUID) -> tuple[Any, ...] | None:
        """Return what an item has come to, None when it is gone."""
        return WorkItem.objects.filter(pk=pk).values_list(*COMES_TO).first()


COMES_TO = ("state", "reason", "version", "result", "steps_total", "attempt")
VERBS: dict[str, Callable[[uuid.UUID], Any]] = {
    "hold": lambda pk: hold(pk, reason="a case"),
    "unhold": lambda pk: unhold(pk, reason="closed"),
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
    "redrive": redrive,
    "follow up": follow_up,
    "signal": lambda pk: send_signal("go", {"n": 1}, item=pk),
}


# What may go, told in another way than the store tells it -------------------------------------------------------------


def expected_to_go(cutoffs: dict[str, Any]) -> set[uuid.UUID]:
    """Return what pruning must remove now, by looking at everything again and again."""
    there = {item.pk: item for item in WorkItem.objects.all()}
    owned = set(Lease.objects.values_list("pk", flat=True))
    named = {
        uuid.UUID(one)
        for wait in Wait.objects.filter(
            Q(state="open") | Q(state__in=["withdrawn", "expired", "resolved"], work_item__asked=True), kind="children"
        )
        for one in wait.data["children"]
    }
    gone: set[uuid.UUID] = set()

    def may_go(item: WorkItem) -> bool:
        old = item.state in TERMINAL and item.finished_at < cutoffs[item.state]
        left = [one for one in there.values() if one.pk not in gone]
        pointing = [one for one in left if one.parent_id == item.pk and (one.state in LIVE or one.legal_hold)]
        pointing += [one for one in left if one.forked_from_id == item.pk and (one.state in LIVE or one.legal_hold)]
        parent = there.get(item.parent_id)
        below = parent is not None and parent.pk not in gone and (item.relation != TRIGGERED or parent.legal_hold)
        return old and not (item.legal_hold or pointing or below or item.pk in owned or item.pk in named)

    while more := {pk for pk, item in there.items() if pk not in gone and may_go(item)}:
        gone |= more
    return gone


def rows_of(pk: uuid.UUID) -> list[Any]:
    """Return everything that is stored of an item."""
    own = [list(model._default_manager.filter(work_item=pk).order_by("pk").values()) for model in OF_ITEM]
    signals = Signal.objects.filter(Q(target=pk) | Q(taken_by__work_item=pk)).order_by("pk").values()
    return [list(WorkItem.objects.filter(pk=pk).values()), *own, list(signals)]


def mid_step() -> tuple[Hand, list[Any]]:
    """Let a worker take all that is due, as if its steps were under way."""
    hand = Hand()
    return hand, hand.claim(50)
