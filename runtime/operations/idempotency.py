"""Place new items so that one idempotency key never makes two.

The key is unique per namespace in the database, so of any number of racing callers one inserts and the others read
what it inserted. The first statement inserts what is free, a *later* one reads who has the rest: in one statement
they would not see a row that was committed while they waited.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q

from runtime import jsondata, offload
from runtime.exceptions import Conflict, IdempotencyConflict
from runtime.models import WorkItem
from runtime.sentences import say as _
from runtime.store.base import Store
from runtime.store.values import NewItem

TRIES = 5
_LOOKUP_CHUNK = 200

Key = tuple[str, str | None]


def place(store: Store, items: Sequence[NewItem]) -> tuple[list[uuid.UUID], set[uuid.UUID]]:
    """Insert what is new; return the id that stands for each item, in order, and the ids inserted.

    Raises `IdempotencyConflict` when a key is taken by other work. Then items of the same call may have been
    inserted: the caller holds a transaction around several items with keys.
    """
    firsts = _firsts(items)
    stands_for: dict[uuid.UUID, uuid.UUID] = {}
    inserted: set[uuid.UUID] = set()
    missing = list(firsts.values())
    for _try in range(TRIES):
        inserted |= store.insert(missing)
        left = [item for item in missing if item.id not in inserted]
        holders = _holders(store.using, left) if left else {}
        missing = []
        for item in left:
            holder = holders.get((item.namespace, item.idempotency_key))
            if holder is None:
                missing.append(item)  # its holder was removed in between: try again
            else:
                _require_same(item, holder.pk, holder.engine, holder.payload, holder.state)
                stands_for[item.id] = holder.pk
        if not missing:
            return [_resolve(item, firsts, stands_for) for item in items], inserted
    raise _comes_and_goes(missing[0])


def place_one(store: Store, item: NewItem) -> tuple[WorkItem, bool]:
    """Insert the item, or find the one that has its key; return its row, and whether it was inserted.

    Raises `IdempotencyConflict` when the key is taken by other work: nothing was inserted then.
    """
    for _try in range(TRIES):
        made = store.insert_one(item)
        if made is not None:
            return made, True
        if item.idempotency_key is None:
            raise WorkItem.DoesNotExist(f"Work item {item.id} was not inserted, though it has no key to be taken.")
        rows = WorkItem.objects.using(store.using).filter(namespace=item.namespace)
        holder = rows.filter(idempotency_key=item.idempotency_key).first()
        # Else its holder was removed in between: try again.
        if holder is not None:
            _require_same(item, holder.pk, holder.engine, holder.payload, holder.state)
            return holder, False
    raise _comes_and_goes(item)


def _firsts(items: Iterable[NewItem]) -> dict[Any, NewItem]:
    """Return the first item of each key; items without a key stand for themselves."""
    firsts: dict[Any, NewItem] = {}
    for item in items:
        first = firsts.setdefault(_slot(item), item)
        if first is not item:
            _require_same(item, first.id, first.engine, jsondata.loads(first.payload), "")
    return firsts


def _slot(item: NewItem) -> Key | uuid.UUID:
    return item.id if item.idempotency_key is None else (item.namespace, item.idempotency_key)


def _resolve(item: NewItem, firsts: dict[Any, NewItem], stands_for: dict[uuid.UUID, uuid.UUID]) -> uuid.UUID:
    first = firsts[_slot(item)].id
    return stands_for.get(first, first)


def _holders(using: str, items: Sequence[NewItem]) -> dict[Key, WorkItem]:
    found: dict[Key, WorkItem] = {}
    rows = WorkItem.objects.using(using).only("id", "namespace", "idempotency_key", "engine", "payload", "state")
    for start in range(0, len(items), _LOOKUP_CHUNK):
        by_namespace: dict[str, list[str | None]] = {}
        for item in items[start : start + _LOOKUP_CHUNK]:
            by_namespace.setdefault(item.namespace, []).append(item.idempotency_key)
        wanted = reduce(or_, (Q(namespace=name, idempotency_key__in=keys) for name, keys in by_namespace.items()))
        found.update({(row.namespace, row.idempotency_key): row for row in rows.filter(wanted)})
    return found


def _require_same(new: NewItem, holder: uuid.UUID, engine: str, payload: Any, state: str) -> None:
    if engine != new.engine:
        other = f"the engine {engine!r}"
    elif not same_value(payload, jsondata.loads(new.payload), f"payload of work item {holder}"):
        other = "another payload"
    else:
        return
    raise IdempotencyConflict(
        _(
            "The idempotency key %(idempotency_key)r is taken by work item %(holder)s with %(other)s. Send what was "
            "sent first, or use a new key.",
            idempotency_key=new.idempotency_key,
            holder=holder,
            other=other,
        ),
        state=state,
    )


def _comes_and_goes(item: NewItem) -> Conflict:
    return Conflict(
        _("The idempotency key %(idempotency_key)r comes and goes. Try again.", idempotency_key=item.idempotency_key)
    )


def same_value(held: Any, new: Any, owner: str) -> bool:
    """Say whether two values are the same; of those in the artifact storage the references usually tell.

    Equal values may have been written in other words (1.0 and 1), or one of them before the setting was changed: then
    the contents are read. `owner` names what is held in an error: `CorruptArtifact` or `StorageUnavailable`.
    """
    if jsondata.same_json(held, new):
        return True
    if offload.in_value(held) is None and offload.in_value(new) is None:
        return False
    return jsondata.same_json(offload.whole(held, owner), offload.whole(new, f"what is to be the {owner}"))
