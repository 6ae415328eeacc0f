"""Write rows as a store would have left them, without a store."""

from __future__ import annotations

import datetime as dt
from typing import Any

from runtime import clock
from runtime.choices import ArtifactKind, ClaimMode, ClaimScope, EventKind, Reason, State, WorkerState
from runtime.models import (
    Artifact,
    Blob,
    Event,
    Lease,
    Resource,
    ResourceClaim,
    Snapshot,
    Wait,
    Worker,
    WorkItem,
)


def now(seconds: float = 0.0) -> dt.datetime:
    """Return the database's time, moved by some seconds."""
    return clock.now("default") + dt.timedelta(seconds=seconds)


def item(state: str = State.QUEUED, **values: Any) -> WorkItem:
    """Write an item, due since a second ago unless said otherwise, with its `enqueued` event."""
    at = now()
    reason = {State.QUEUED: Reason.NEW, State.PAUSED: Reason.OPERATOR, State.WAITING: Reason.SIGNAL}.get(state, "")
    defaults: dict[str, Any] = {
        "engine": "counter",
        "state": state,
        "reason": reason,
        "run_at": at - dt.timedelta(seconds=1),
        "max_attempts": 5,
        "created_at": at,
        "updated_at": at,
        "event_seq": 1,
        "finished_at": at if state in {State.DONE, State.FAILED, State.CANCELLED} else None,
        "paused_from": State.QUEUED if state == State.PAUSED else "",
    }
    made: WorkItem = WorkItem.objects.create(**defaults | values)
    for seq in range(1, made.event_seq + 1):
        event(made, seq, EventKind.ENQUEUED if seq == 1 else EventKind.STEP)
    for version in range(1, made.version + 1):
        snapshot(made, version)
    return made


def ask(key: str, mode: str = ClaimMode.EXCLUSIVE, units: int = 1) -> dict[str, Any]:
    """Return an entry of an item's resources."""
    return {"key": key, "mode": mode, "units": units, "scope": ClaimScope.STEP}


def event(of: WorkItem, seq: int, kind: str, **values: Any) -> Event:
    """Write an event."""
    return Event.objects.create(work_item=of, seq=seq, kind=kind, version=0, epoch=of.epoch, created_at=now(), **values)


def snapshot(of: WorkItem, version: int, data: Any = None) -> Snapshot:
    """Write a snapshot."""
    return Snapshot.objects.create(
        work_item=of, version=version, epoch=of.epoch, data=data or {"n": version}, created_at=now()
    )


def worker(*, beat: float = 0.0, **values: Any) -> Worker:
    """Write a worker that was last heard of `beat` seconds ago."""
    defaults: dict[str, Any] = {
        "host": "here",
        "pid": 4711,
        "engines": ["counter"],
        "capacity": 2,
        "state": WorkerState.ONLINE,
        "started_at": now(-60),
        "heartbeat_at": now(-beat),
    }
    made: Worker = Worker.objects.create(**defaults | values)
    return made


def lease(of: WorkItem, by: Worker, *, lasts: float = 15.0, **values: Any) -> Lease:
    """Write a lease on an item."""
    defaults: dict[str, Any] = {"epoch": of.epoch, "acquired_at": now(-1), "expires_at": now(lasts)}
    made: Lease = Lease.objects.create(work_item=of, worker=by, **defaults | values)
    return made


def running(by: Worker, **values: Any) -> WorkItem:
    """Write an item that runs on a worker."""
    made = item(State.RUNNING, epoch=1, **values)
    lease(made, by)
    return made


def claim(of: WorkItem, key: str, *, held: bool, **values: Any) -> ResourceClaim:
    """Write a claim on the resource of that key."""
    resource, _ = Resource.objects.get_or_create(namespace=of.namespace, key=key)
    at = now(-5)
    made: ResourceClaim = ResourceClaim.objects.create(
        resource=resource, work_item=of, held=held, created_at=at, acquired_at=at if held else None, **values
    )
    return made


def wait(of: WorkItem, key: str, **values: Any) -> Wait:
    """Write something that an item asks for, open: an approval unless said otherwise."""
    defaults: dict[str, Any] = {"kind": "approval", "base_version": of.version, "created_at": now(-5)}
    made: Wait = Wait.objects.create(work_item=of, key=key, **defaults | values)
    return made


def artifact(of: WorkItem, name: str, sha256: str, *, version: int = 1) -> Artifact:
    """Write an artifact whose bytes are nowhere."""
    blob, _ = Blob.objects.get_or_create(
        sha256=sha256, defaults={"size": 2, "path": f"{sha256[:2]}/{sha256[2:4]}/{sha256}", "touched_at": now()}
    )
    made: Artifact = Artifact.objects.create(
        work_item=of, version=version, name=name, kind=ArtifactKind.JSON, size=2, blob=blob, created_at=now()
    )
    return made
