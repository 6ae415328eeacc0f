"""Enqueue a work item. Joins the caller's transaction: a rollback leaves nothing and wakes nobody."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

from asgiref.sync import sync_to_async
from django.db import DatabaseError, IntegrityError, OperationalError, connections, transaction

from runtime import instrument
from runtime.exceptions import Conflict, InvalidInput, NotFound
from runtime.models import WorkItem
from runtime.operations.base import actor_name, check_permission, clean_click, clean_reason, require_reach
from runtime.operations.idempotency import place, place_one
from runtime.operations.spec import DEFAULT_NAMESPACE, ItemOptions, build, parse_item_id
from runtime.sentences import say as _
from runtime.store import get_store, offloading
from runtime.store.base import Store
from runtime.store.transactions import lock_not_available, transacted
from runtime.store.values import NewItem

PERMISSION = "enqueue_workitem"
VERB = "enqueue work items"


class Enqueue:
    """Enqueue one item.

    `by` is a Django user whose permission is checked, or None for trusted code, which may give `actor`. `reason` is
    kept in the item's history, and so is `click`, the id of the press of a button that asked for it.
    """

    def __init__(
        self,
        engine: str,
        payload: Any = None,
        *,
        by: Any = None,
        actor: str = "",
        reason: str = "",
        click: str = "",
        using: str | None = None,
        **options: Unpack[ItemOptions],
    ) -> None:
        self.engine = engine
        self.payload = payload
        self.by = by
        self.actor = actor_name(by, actor)
        self.reason = clean_reason(reason, required=False)
        self.click = clean_click(click)
        self.options = options
        self.store: Store = get_store(using)

    def check(self) -> NewItem:
        """Return the item as it would be stored. Raises what `execute()` would, but for a taken key; stores nothing."""
        check_permission(self.by, PERMISSION, VERB)
        options = _in_parents_namespace(self.store.using, self.options, self.by)
        item = build(self.engine, self.payload, actor=self.actor, using=self.store.using, **options)
        require_reach(self.by, item.namespace)
        return replace(item, reason=self.reason, click=self.click) if self.reason or self.click else item

    def execute(self) -> WorkItem:
        """Store the item, or find the one that has its idempotency key, and return it.

        Raises `InvalidInput` (naming the field), `NotFound` (parent), `Forbidden`, `IdempotencyConflict`, `Conflict`.
        """
        item = self.check()
        fresh = item.idempotency_key is None and self.options.get("item_id") is None
        return store_item(self.store, item, fresh=fresh)


def enqueue(
    engine: str,
    payload: Any = None,
    *,
    by: Any = None,
    actor: str = "",
    reason: str = "",
    click: str = "",
    using: str | None = None,
    **options: Unpack[ItemOptions],
) -> WorkItem:
    """Enqueue one item for the engine and return it; options are those of `ItemOptions`.

    Joins the caller's transaction. Who asked and the reason are kept in the item's history. With an idempotency key, a
    repeated call returns the item of the first.
    Raises `InvalidInput` (naming the field), `NotFound` (parent), `Forbidden`, `IdempotencyConflict`.
    """
    return Enqueue(engine, payload, by=by, actor=actor, reason=reason, click=click, using=using, **options).execute()


async def aenqueue(
    engine: str,
    payload: Any = None,
    *,
    by: Any = None,
    actor: str = "",
    reason: str = "",
    click: str = "",
    using: str | None = None,
    **options: Unpack[ItemOptions],
) -> WorkItem:
    """Do what `enqueue()` does without blocking the event loop."""
    told = {"by": by, "actor": actor, "reason": reason, "click": click}
    return await sync_to_async(partial(enqueue, engine, payload, using=using, **told, **options))()


def _in_parents_namespace(using: str, options: ItemOptions, by: Any) -> ItemOptions:
    parent = options.get("parent")
    if parent is None:
        return options
    parent = parse_item_id(parent, "parent")
    found = WorkItem.objects.using(using).filter(pk=parent).values_list("namespace", flat=True).first()
    missing = NotFound(_("There is no work item %(parent)s to be the parent.", parent=parent))
    if found is None:
        raise missing
    require_reach(by, found, missing)
    return {**options, "parent": parent, "namespace": family_namespace(options, found)}


def family_namespace(options: ItemOptions | Mapping[str, Any], parents: str) -> str:
    """Return the namespace of a child: its parent's. Raises `InvalidInput` when another one is asked for."""
    wanted = options.get("namespace", DEFAULT_NAMESPACE)
    if wanted not in (DEFAULT_NAMESPACE, parents):
        raise InvalidInput(
            _(
                "namespace %(wanted)r is not the parent's, %(parents)r. A child lives in its parent's: leave it out.",
                wanted=wanted,
                parents=parents,
            ),
            field="namespace",
        )
    return parents


def store_item(store: Store, item: NewItem, *, fresh: bool = False) -> WorkItem:
    """Place the item, have workers woken at the commit, and return the one that stands for it.

    One item is one statement, which needs no transaction around it: whoever has its key is looked up after it. Inside
    the caller's, what may fail needs a savepoint; `fresh` says that the item cannot, since nobody has its id and it has
    no key. A large payload is put into the artifact storage first (`ROOST_OFFLOAD_BYTES`): `StorageUnavailable` stores
    nothing.
    """
    [item] = offloading.move_payloads(store.using, [item])
    work = partial(place_one, store, item)
    with _conflicts(store.using, [item]):
        alone = fresh or not connections[store.using].in_atomic_block
        found, is_new = work() if alone else transacted(store.using, work)
    if is_new:
        _tell(store.using, {item.id}, [item])
        if instrument.runs_at_once:
            found.refresh_from_db(using=store.using)
    return found


def store_items(store: Store, items: Sequence[NewItem]) -> list[uuid.UUID]:
    """Do what `store_item` does for many, in one transaction; return the ids that stand for them, in order."""
    items = offloading.move_payloads(store.using, items)
    with _conflicts(store.using, items):
        ids, inserted = transacted(store.using, partial(place, store, items))
    if inserted:
        _tell(store.using, inserted, items)
    return ids


def _tell(using: str, inserted: set[uuid.UUID], items: Sequence[NewItem]) -> None:
    due = any(not item.delay for item in items if item.id in inserted)
    transaction.on_commit(partial(instrument.enqueued, using, inserted, due=due), using=using, robust=True)


@contextmanager
def _conflicts(using: str, items: Sequence[NewItem]) -> Iterator[None]:
    try:
        yield
    except (IntegrityError, OperationalError) as error:
        conflict = _conflict(using, items, error)
        if conflict is None:
            raise
        raise conflict from error


def _conflict(using: str, items: Sequence[NewItem], error: DatabaseError) -> Conflict | None:
    """Return what a database error of an insert means to the caller, None when it is no matter of other items."""
    if isinstance(error, OperationalError):
        if not lock_not_available(error):
            return None
        return Conflict(_("Another transaction holds an idempotency key of this enqueue and does not end. Try again."))
    taken = WorkItem.objects.using(using).filter(pk__in=[item.id for item in items]).first()
    if taken is None:
        return None
    return Conflict(_("There is a work item %(taken)s already. Give another item_id, or none.", taken=taken.pk))
