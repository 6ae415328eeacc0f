"""Play the model's strides on the real store: each session of the model is a transaction of its own there."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from django.db import transaction

from runtime import clock
from runtime.choices import State
from runtime.models import Lease, Snapshot, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.pause import pause
from runtime.operations.requeue import requeue
from runtime.operations.resume import resume
from runtime.store import get_store
from runtime.store.values import Claimed, Held, Outcome
from runtime.worker.committer import read_back
from tests.contracts.builders import Hand, put
from tests.model.walk import Stride
from tests.model.world import HISTORY as SNAPSHOTS
from tests.model.world import ITEM, ITEMS, LEASE, OPERATOR, ORPHAN, WORKERS, Grip, Rules, Session, World

VERBS: Mapping[str, Callable[..., Any]] = {
    "cancel": cancel,
    "requeue": requeue,
    "pause": pause,
    "pause now": lambda item, *, using: pause(item, now=True, using=using),
    "resume": resume,
}
OF_AN_ITEM = ("state", "epoch", "version", "pause_requested")
"""The columns that the model knows of an item."""
OF_ITS_LEASE = ("lease__worker", "lease__epoch", "lease__expires_at", "lease__revoked_at")
"""What it knows of the item's lease; the first is null where there is none."""


class Player:
    """Keeps the real items, workers and open transactions beside the model's."""

    def __init__(self, aliases: list[str], rules: Rules) -> None:
        self.aliases = list(aliases)
        self.rules = rules
        self.hands = [Hand() for _ in range(WORKERS)]
        self.items = sorted(put() for _ in range(ITEMS))
        self.open: dict[int, AbstractContextManager[Any]] = {}
        self.claimed: dict[tuple[int, int], Claimed] = {}
        self.sent: dict[int, list[Outcome]] = {}

    def using(self, slot: int) -> Any:
        """Return the store as one session has it."""
        return get_store(self.aliases[slot])

    def begin(self, slot: int) -> None:
        """Open the session's transaction."""
        self.open[slot] = transaction.atomic(using=self.aliases[slot])
        self.open[slot].__enter__()

    def end(self, slot: int, *, commit: bool) -> None:
        """Commit the session's transaction, or roll it back."""
        if not commit:
            transaction.set_rollback(True, using=self.aliases[slot])
        self.open.pop(slot).__exit__(None, None, None)

    def cut_off(self, slot: int) -> None:
        """Give the session's connection to the orphan, and another one to who had it."""
        self.aliases[slot], self.aliases[ORPHAN] = self.aliases[ORPHAN], self.aliases[slot]
        self.open[ORPHAN] = self.open.pop(slot)

    def close(self) -> None:
        """Roll back what is open, and leave no item that a later walk could claim."""
        for slot in list(self.open):
            self.end(slot, commit=False)
        WorkItem.objects.filter(pk__in=self.items).delete()

    # What the sessions do ---------------------------------------------------------------------------------------------

    def claim(self, worker: int) -> list[int]:
        """Claim, and return the numbers of the items that it came to."""
        self.begin(worker)
        hand = self.hands[worker]
        found = self.using(worker).claim(hand.request(self.rules.batch))
        for one in found:
            self.claimed[worker, self.items.index(one.id)] = one
        if not found:
            self.end(worker, commit=True)
        return sorted(self.items.index(one.id) for one in found)

    def run(self, world: World, stride: Stride) -> None:
        """Do what the stride's session does, up to its COMMIT."""
        slot, session = stride.slot, stride.session
        assert session is not None
        self.begin(slot)
        if slot < WORKERS:
            self._commit(slot, session, stride.after)
        elif slot == OPERATOR:
            verb, number = session.given
            VERBS[verb](self.items[number], using=self.aliases[slot])
        else:
            self._keep_house(world, slot, session)

    def _commit(self, worker: int, session: Session, after: World) -> None:
        outcome = after.hands[worker].outcome
        told = [(grip, self._outcome(worker, grip, outcome), state) for grip, state in session.given]
        self.sent[worker] = [one for _, one, _ in told]
        accepted = self.using(worker).commit(self.sent[worker])
        assert accepted == {one.item: state for _, one, state in told if state}

    def _outcome(self, worker: int, grip: Grip, outcome: str) -> Outcome:
        advance = outcome != "retry"
        final = advance and grip.version + 1 >= self.rules.steps
        state = State.DONE if final else State.RUNNING if outcome == "on" else State.QUEUED
        values: dict[str, Any] = {"data": json.dumps({"count": grip.state + 1})} if advance else {}
        claimed = self.claimed[worker, grip.item]
        return self.hands[worker].outcome(
            claimed, state, version=grip.version, epoch=grip.epoch, advance=advance, **values
        )

    def _keep_house(self, world: World, slot: int, session: Session) -> None:
        store, worker = self.using(slot), self.hands[slot - WORKERS].id
        if session.program == "renew":
            number = session.locks[0] - LEASE(0)
            store.renew(worker, [Held(self.items[number], world.rows[LEASE(number)].epoch)])
        elif session.program == "sweep" or session.given[0][2] is None:
            dead = [hand.id for hand, alive in zip(self.hands, world.alive, strict=True) if not alive]
            store.sweep(dead_workers=dead, batch=100)
            # Deaths are not modelled, and a suspect is claimed by other rules.
            touched = [self.items[row] for row in session.locks if row < ITEMS]
            WorkItem.objects.using(store.using).filter(pk__in=touched).update(deaths=0)
        else:
            held = [Held(self.items[number], epoch) for number, epoch, _ in session.given]
            store.acknowledge(worker, held) if session.program == "drop" else store.release(worker, held, "released")

    def read_back(self, worker: int) -> bool:
        """Ask what became of what was sent; say whether it is to be sent again."""
        _, missing = read_back(self.using(worker), self.sent[worker], lambda: True)
        return bool(missing)

    def expire(self, number: int) -> None:
        """Let a lease expire."""
        past = clock.now("default") - dt.timedelta(seconds=1)
        Lease.objects.filter(pk=self.items[number]).update(expires_at=past)

    # What is committed ------------------------------------------------------------------------------------------------

    def rows(self) -> tuple[Any, ...]:
        """Return the committed rows as the model has them."""
        read = WorkItem.objects.filter(pk__in=self.items).values_list("pk", *OF_AN_ITEM, *OF_ITS_LEASE)
        items = {pk: values for pk, *values in read}
        known = len(OF_AN_ITEM)
        now = clock.now("default") if any(values[known] for values in items.values()) else None
        histories: dict[uuid.UUID, list[int]] = {pk: [0] for pk in self.items}
        kept = Snapshot.objects.filter(work_item__in=self.items, version__gt=0).order_by("version")
        for pk, data in kept.values_list("work_item", "data"):
            histories[pk].append(data["count"])
        return (
            *(tuple(items[pk][:known]) for pk in self.items),
            *(self._lease(*items[pk][known:], now) for pk in self.items),
            *(tuple(histories[pk]) for pk in self.items),
        )

    def _lease(
        self, owner: uuid.UUID | None, epoch: int, expires: Any, revoked: Any, now: Any
    ) -> tuple[int, int, bool, bool] | None:
        if owner is None:
            return None
        return [hand.id for hand in self.hands].index(owner), epoch, expires > now, revoked is not None


def rows_of(world: World) -> tuple[Any, ...]:
    """Return the model's committed rows in the same form."""
    rows = [world.rows[place(number)] for place in (ITEM, LEASE, SNAPSHOTS) for number in range(ITEMS)]
    return tuple(None if row is None else tuple(row) for row in rows)
