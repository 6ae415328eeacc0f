"""Read who holds which resource, who waits for it, and who stands in whose way."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from runtime.models import Resource, ResourceClaim, WorkItem
from runtime.queries.page import Page, behind, checked_limit, page_of
from runtime.store import work_database
from runtime.store.resources import Ask, Candidate, Holder, fits


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimView:
    """A claim: an item that holds, or wants, a resource. `worker` is whose lease the item runs under, if any."""

    item: uuid.UUID
    engine: str
    state: str
    mode: str
    units: int
    scope: str
    since: dt.datetime
    worker: uuid.UUID | None
    worker_name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceView:
    """A resource with its holders and its waiters, each in the order they came."""

    namespace: str
    key: str
    capacity: int
    holders: tuple[ClaimView, ...]
    waiters: tuple[ClaimView, ...]


def page(
    *,
    namespace: str = "",
    key: str = "",
    after: tuple[str, str] | None = None,
    limit: int = 50,
    busy: bool = False,
    using: str | None = None,
) -> Page[ResourceView]:
    """Return resources with their claims; `busy` leaves out those that nobody holds or wants.

    The next page is `after` the namespace and the key of the last row. Raises `InvalidInput` for the limit.
    """
    found: QuerySet[Resource] = Resource.objects.using(using or work_database()).order_by("namespace", "key")
    if namespace:
        found = found.filter(namespace=namespace)
    if key:
        found = found.filter(key=key)
    if busy:
        found = found.filter(claims__isnull=False).distinct()
    if after is not None:
        found = found.filter(behind("namespace", "key", after))
    part = page_of(found[: checked_limit(limit) + 1], limit)
    held = _claims([resource.pk for resource in part.rows], held=True, using=using)
    wanted = _claims([resource.pk for resource in part.rows], held=False, using=using)
    rows = (
        ResourceView(
            namespace=resource.namespace,
            key=resource.key,
            capacity=resource.capacity,
            holders=tuple(held[resource.pk]),
            waiters=tuple(wanted[resource.pk]),
        )
        for resource in part.rows
    )
    return Page(rows=tuple(rows), more=part.more)


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """A resource that an item could not have now: whose claims stand in its way, or that it asks for too much.

    `holders` is empty when the item asks for more units than the capacity, which no release ever mends.
    """

    key: str
    units: int
    capacity: int
    holders: tuple[ClaimView, ...]


def obstacles(item: WorkItem, *, using: str | None = None) -> list[Obstacle]:
    """Return what keeps the item from its resources, by the claim's own rule; nothing when it could have them all."""
    asks = Candidate.of(item.pk, item.namespace, item.resources).asks
    keys = [key.key for key in asks]
    rows = Resource.objects.using(using or work_database()).filter(namespace=item.namespace, key__in=keys)
    found = {resource.key: resource for resource in rows}
    held = _claims([resource.pk for resource in found.values()], held=True, using=using)
    return [
        obstacle
        for key, ask in sorted(asks.items())
        # A resource that nobody has claimed yet has no row, and the capacity that its row will have.
        if (obstacle := _obstacle(item, ask, found.get(key.key) or Resource(key=key.key, pk=0), held))
    ]


def _obstacle(item: WorkItem, ask: Ask, resource: Resource, held: Mapping[int, Sequence[ClaimView]]) -> Obstacle | None:
    def fit(claims: Sequence[ClaimView]) -> bool:
        holders = [Holder(claim.item, claim.mode, claim.units) for claim in claims]
        return fits(item.pk, {resource.pk: ask}, {resource.pk: holders}, {resource.pk: resource.capacity})

    claims = held.get(resource.pk, [])
    if fit(claims):
        return None
    others = [claim for claim in claims if claim.item != item.pk]
    # Some stand in the way each by itself; counted units do so together.
    alone = [claim for claim in others if not fit([claim])]
    together = [claim for claim in others if claim.mode == ask.mode]
    return Obstacle(
        key=resource.key,
        units=ask.units,
        capacity=resource.capacity,
        holders=tuple(alone or together) if fit([]) else (),
    )


def _claims(resources: Iterable[int], *, held: bool, using: str | None) -> defaultdict[int, list[ClaimView]]:
    found = (
        ResourceClaim.objects.using(using or work_database())
        .filter(resource_id__in=list(resources), held=held)
        .select_related("work_item__lease__worker")
        .order_by("acquired_at" if held else "created_at", "id")
    )
    views: defaultdict[int, list[ClaimView]] = defaultdict(list)
    for claim in found:
        views[claim.resource_id].append(_view(claim))
    return views


def _view(claim: ResourceClaim) -> ClaimView:
    item = claim.work_item
    lease = getattr(item, "lease", None)
    worker = getattr(lease, "worker", None)  # its row may be gone: nothing binds it
    return ClaimView(
        item=item.pk,
        engine=item.engine,
        state=item.state,
        mode=claim.mode,
        units=claim.units,
        scope=claim.scope,
        since=claim.acquired_at if claim.held and claim.acquired_at else claim.created_at,
        worker=lease.worker_id if lease is not None else None,
        worker_name=str(worker) if worker is not None else "",
    )
