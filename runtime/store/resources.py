"""Grant claims on named resources, or park who cannot have them. Shared by both stores; never the hot path.

A transaction that gives claims begins by locking: `lock` the Resource rows by id, then the WorkItem rows by id in one
go. Only then, in a later statement, does it read what is held (`judge`), so that two claimers of one key see each
other. Nobody waits *for a resource* in the database: an item whose claims do not fit is parked, with its claims wanted,
and whoever frees the resource wakes it in the same transaction (`runtime.store.waking`).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runtime.choices import ClaimMode, EventKind, Reason
from runtime.jsondata import loads
from runtime.models import Event, Lease, Resource, ResourceClaim, WorkItem
from runtime.store.history import next_event, touch, write_events
from runtime.store.making import make


class Key(NamedTuple):
    """The name of a resource."""

    namespace: str
    key: str


class Ask(NamedTuple):
    """One claim that an item asks for, or has."""

    mode: str
    units: int
    scope: str


class Holder(NamedTuple):
    """Who uses a resource, and how."""

    item: uuid.UUID
    mode: str
    units: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A due item that needs resources: all of them, or it does not run."""

    item: uuid.UUID
    asks: Mapping[Key, Ask]

    @classmethod
    def of(cls, item: uuid.UUID, namespace: str, resources: str | Sequence[Mapping[str, Any]]) -> Candidate:
        """Read the item's `resources` column, as JSON text or as data."""
        entries = loads(resources) if isinstance(resources, str) else resources
        asks = {
            Key(namespace, entry["key"]): Ask(entry["mode"], int(entry.get("units", 1)), entry["scope"])
            for entry in entries
        }
        return cls(item, asks)


def fits(
    item: uuid.UUID,
    asks: Mapping[int, Ask],
    held: Mapping[int, Sequence[Holder]],
    capacities: Mapping[int, int],
) -> bool:
    """Say whether the item can have all it asks for, beside what others hold. Pure; resources are named by row id.

    An exclusive claim tolerates no other holder, and is tolerated by none. Shared claims go together with shared and
    counted ones. Counted claims fit while their units add up to no more than the capacity. What the item itself holds
    never stands in its way.
    """
    return all(_one_fits(item, ask, held.get(row, ()), capacities[row]) for row, ask in asks.items())


def _one_fits(item: uuid.UUID, ask: Ask, held: Sequence[Holder], capacity: int) -> bool:
    others = [holder for holder in held if holder.item != item]
    if ask.mode == ClaimMode.EXCLUSIVE:
        return not others
    if any(holder.mode == ClaimMode.EXCLUSIVE for holder in others):
        return False
    used = sum(holder.units for holder in others if holder.mode == ClaimMode.COUNTED)
    return ask.mode != ClaimMode.COUNTED or used + ask.units <= capacity


def lock(using: str, keys: Iterable[Key], *, skip_locked: bool = False) -> dict[Key, Resource]:
    """Lock the rows of these resources in id order, making those that are missing; return them by key.

    One that was removed while it was waited for is made again. With `skip_locked`, rows that others have locked, make
    or remove are left out of the answer instead of being waited for.
    """
    wanted = sorted(set(keys))
    while True:
        found = find(using, wanted)
        missing = [key for key in wanted if key not in found]
        if missing:
            rows = [Resource(namespace=namespace, key=key) for namespace, key in missing]
            make(using, rows, patient=not skip_locked)
            found = find(using, wanted)
        locked = lock_rows(using, [row.pk for row in found.values()], skip_locked=skip_locked)
        if skip_locked or len(locked) == len(wanted):
            return {Key(row.namespace, row.key): row for row in locked.values()}


def find(using: str, keys: Sequence[Key]) -> dict[Key, Resource]:
    """Return the resources that exist, by key."""
    found: dict[Key, Resource] = {}
    for namespace in sorted({key.namespace for key in keys}):
        names = [key.key for key in keys if key.namespace == namespace]
        for row in Resource.objects.using(using).filter(namespace=namespace, key__in=names):
            found[Key(row.namespace, row.key)] = row
    return found


def lock_rows(using: str, ids: Collection[int], *, skip_locked: bool = False) -> dict[int, Resource]:
    """Lock Resource rows in id order and return them by id."""
    if not ids:
        return {}
    rows = Resource.objects.using(using).select_for_update(skip_locked=skip_locked, no_key=True)
    return {row.pk: row for row in rows.filter(pk__in=ids).order_by("pk")}


@dataclass(slots=True)
class Verdict:
    """Which candidates get their claims now, which have to wait, and which are left for another claimer."""

    granted: list[Candidate] = field(default_factory=list)
    parked: list[Candidate] = field(default_factory=list)
    passed: list[Candidate] = field(default_factory=list)


def judge(using: str, candidates: Sequence[Candidate], locked: Mapping[Key, Resource]) -> Verdict:
    """Decide, in the given order, who gets all of its claims; a grant counts for those that follow. Writes nothing.

    `locked` is what `lock` returned in this transaction: a candidate that needs a row missing there is passed over.
    A candidate whose lease an operator revoked is parked until its worker has let go, since the step may still be
    touching what the claims guard.
    """
    verdict = Verdict()
    held, capacities = holders(using, [row.pk for row in locked.values()])
    fenced = set(Lease.objects.using(using).filter(pk__in=[c.item for c in candidates]).values_list("pk", flat=True))
    for candidate in candidates:
        if any(key not in locked for key in candidate.asks):
            verdict.passed.append(candidate)
            continue
        # What it holds already, for as long as it lives, it need not be given, and must not count twice for the others.
        asks = {
            locked[key].pk: ask
            for key, ask in candidate.asks.items()
            if all(holder.item != candidate.item for holder in held[locked[key].pk])
        }
        if candidate.item in fenced or not fits(candidate.item, asks, held, capacities):
            verdict.parked.append(candidate)
            continue
        verdict.granted.append(candidate)
        for row, ask in asks.items():
            held[row].append(Holder(candidate.item, ask.mode, ask.units))
    return verdict


class Foresight:
    """Tells who would get its resources, one after the other, by the rule of `judge`. Locks and writes nothing."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._rows: dict[Key, int] = {}
        self._held: defaultdict[int, list[Holder]] = defaultdict(list)
        self._capacities: dict[int, int] = {}

    def granted(self, candidates: Sequence[Candidate]) -> set[uuid.UUID]:
        """Return who of these would get all of its claims; a grant counts for all that are asked about later."""
        self._read({key for candidate in candidates for key in candidate.asks} - self._rows.keys())
        items = [candidate.item for candidate in candidates]
        fenced = set(Lease.objects.using(self._using).filter(pk__in=items).values_list("pk", flat=True))
        granted: set[uuid.UUID] = set()
        for candidate in candidates:
            asks = {self._rows[key]: ask for key, ask in candidate.asks.items()}
            if candidate.item not in fenced and fits(candidate.item, asks, self._held, self._capacities):
                granted.add(candidate.item)
                for row, ask in asks.items():
                    self._held[row].append(Holder(candidate.item, ask.mode, ask.units))
        return granted

    def _read(self, keys: Collection[Key]) -> None:
        found = find(self._using, sorted(keys))
        held, capacities = holders(self._using, [row.pk for row in found.values()])
        self._held |= held
        self._capacities |= capacities
        for number, key in enumerate(sorted(keys), start=len(self._rows) + 1):
            # A resource that nobody has claimed yet has no row, and the capacity that its row will have.
            self._rows[key] = found[key].pk if key in found else -number
            self._capacities.setdefault(self._rows[key], Resource(key=key.key).capacity)


def holders(using: str, ids: Collection[int]) -> tuple[defaultdict[int, list[Holder]], dict[int, int]]:
    """Return who holds these resources, whatever the epoch of the claim, and their capacities."""
    held: defaultdict[int, list[Holder]] = defaultdict(list)
    claims = ResourceClaim.objects.using(using).filter(resource__in=ids, held=True)
    for row, item, mode, units in claims.values_list("resource_id", "work_item_id", "mode", "units"):
        held[row].append(Holder(item, mode, units))
    return held, dict(Resource.objects.using(using).filter(pk__in=ids).values_list("pk", "capacity"))


def grant(
    using: str,
    candidates: Sequence[Candidate],
    locked: Mapping[Key, Resource],
    epochs: Mapping[uuid.UUID, int],
    now: dt.datetime,
) -> None:
    """Write the claims of granted candidates, held under the epoch that each of them has now."""
    items = [candidate.item for candidate in candidates]
    ResourceClaim.objects.using(using).filter(work_item__in=items, held=False).delete()
    rows = [
        _claim(locked[key], candidate.item, ask, now, held=True, epoch=epochs[candidate.item], acquired_at=now)
        for candidate in candidates
        for key, ask in candidate.asks.items()
    ]
    # Claims of scope `item` are there from an earlier step: they move on to the new epoch.
    ResourceClaim.objects.using(using).bulk_create(
        rows, update_conflicts=True, unique_fields=["resource", "work_item"], update_fields=["epoch"]
    )


def park(using: str, candidates: Sequence[Candidate], locked: Mapping[Key, Resource], now: dt.datetime) -> None:
    """Take items out of the due index until their resources are free: reason `resource`, claims wanted, an event.

    The items are queued and their rows locked.
    """
    items = WorkItem.objects.using(using).in_bulk([candidate.item for candidate in candidates])
    events: list[Event] = []
    wanted: list[ResourceClaim] = []
    for candidate in candidates:
        item = items[candidate.item]
        keys = sorted(key.key for key in candidate.asks)
        events.append(next_event(item, EventKind.PARKED, now, reason=Reason.RESOURCE, data={"resources": keys}))
        wanted += [_claim(locked[key], candidate.item, ask, now) for key, ask in candidate.asks.items()]
    touch(using, items.keys(), now, reason=Reason.RESOURCE)
    # Where the item holds a claim already, that row stays as it is.
    ResourceClaim.objects.using(using).bulk_create(wanted, ignore_conflicts=True)
    write_events(using, events)


def _claim(resource: Resource, item: uuid.UUID, ask: Ask, now: dt.datetime, **held: Any) -> ResourceClaim:
    return ResourceClaim(
        resource=resource,
        work_item_id=item,
        mode=ask.mode,
        units=ask.units,
        scope=ask.scope,
        created_at=now,
        **held,
    )
