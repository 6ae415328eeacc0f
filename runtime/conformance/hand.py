"""Play a worker that holds items, through a store's contract alone."""

from __future__ import annotations

import json
import uuid
from typing import Any

from runtime.choices import EventKind, State
from runtime.models.workitem import new_id
from runtime.store.base import Store
from runtime.store.values import Beat, Claimed, ClaimRequest, Held, NewEvent, NewItem, Outcome, SweepReport


def new_item(**values: Any) -> NewItem:
    """Return an item that can be inserted; `resources` and `payload` may be given as data."""
    resources = [
        {"mode": "exclusive", "units": 1, "scope": "step", **({"key": entry} if isinstance(entry, str) else entry)}
        for entry in values.pop("resources", [])
    ]
    usual: dict[str, Any] = {
        "id": new_id(),
        "namespace": "default",
        "engine": "counter",
        "engine_version": "1",
        "pool": "default",
        "payload": json.dumps(values.pop("payload", {"count_to": 3})),
        "config": None,
        "priority": 0,
        "fair_key": "",
        "resources": json.dumps(resources),
        "limited": bool(resources),
        "delay": 0.0,
        "run_at": None,
        "deadline_at": None,
        "max_attempts": 5,
        "max_steps": None,
        "pause_at_step": None,
        "step_timeout": None,
        "item_timeout": None,
        "parent_id": None,
        "relation": "",
        "idempotency_key": None,
        "actor": "",
    }
    return NewItem(**(usual | values))


def held(*claimed: Claimed) -> list[Held]:
    """Return the fences of claimed items."""
    return [Held(one.id, one.epoch) for one in claimed]


class Hand:
    """A worker's hand: claims items and commits outcomes in the name of one Worker row."""

    def __init__(self, store: Store, worker: uuid.UUID, engines: tuple[str, ...] | None = None) -> None:
        self.id = worker
        self.store = store
        self._engines = engines

    def request(self, limit: int = 50, **values: Any) -> ClaimRequest:
        """Return a request for anything of this hand's engines, at most `limit`."""
        usual: dict[str, Any] = {"engines": self._engines, "pools": (), "alone": False}
        return ClaimRequest(worker=self.id, limit=limit, **(usual | values))

    def claim(self, limit: int = 50, **values: Any) -> list[Claimed]:
        """Claim."""
        return self.store.claim(self.request(limit, **values))

    def take(self, **values: Any) -> Claimed:
        """Claim, and make sure that it is exactly one item."""
        found = self.claim(**values)
        if len(found) != 1:
            raise AssertionError(f"A claim took {len(found)} items where one is due.")
        return found[0]

    def outcome(self, claimed: Claimed, state: str = State.RUNNING, **values: Any) -> Outcome:
        """Return the outcome of a step that moves the item on; `advance=False` of one that does not."""
        advances = values.setdefault("advance", True)
        if advances:
            values.setdefault("data", json.dumps({"count": values.get("version", claimed.version) + 1}))
            values.setdefault("initial", json.dumps({"count": 0}) if claimed.data is None else None)
        usual: dict[str, Any] = {
            "worker": self.id,
            "item": claimed.id,
            "epoch": claimed.epoch,
            "version": claimed.version,
            "limited": claimed.limited,
            "answers": tuple(one["key"] for one in json.loads(claimed.answers)["answers"]) if claimed.answers else (),
            "events": (NewEvent(kind=EventKind.STEP if advances else EventKind.WAITED),),
        }
        return Outcome(state=state, **(usual | values))

    def commit(self, claimed: Claimed, state: str = State.RUNNING, **values: Any) -> str | None:
        """Commit one outcome; return the state the item was left in, None when it was fenced off."""
        return self.store.commit([self.outcome(claimed, state, **values)]).get(claimed.id)

    def renew(self, *claimed: Claimed) -> Beat:
        """Beat for these items."""
        return self.store.renew(self.id, held(*claimed))

    def release(self, *claimed: Claimed) -> int:
        """Give these items back."""
        return self.store.release(self.id, held(*claimed), "released")

    def acknowledge(self, *claimed: Claimed) -> int:
        """Let go of these items, which were taken away."""
        return self.store.acknowledge(self.id, held(*claimed))

    def die(self) -> SweepReport:
        """Be found dead by a sweep, whose report is returned."""
        return self.store.sweep(dead_workers=[self.id], batch=100)
