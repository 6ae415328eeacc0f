"""Pass over what somebody else keeps locked, so that a sweep does the rest.

A product may have an item cancelled in a transaction of its own, and take minutes until that commits. Whoever waits for
such rows waits for all of it: nothing that comes after them would be swept, by any worker.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TypeVar

from django.db import OperationalError

from runtime.store.postgres.arrays import plain
from runtime.store.postgres.look import FREE, Found, look
from runtime.store.postgres.session import rows
from runtime.store.transactions import lock_not_available

T = TypeVar("T")
logger = logging.getLogger("roost.store")

PATIENCE_MS = 200
"""How long a sweep waits for a lock: the rest of what it finds waits meanwhile."""
MOST_WAITS = 5
"""So many locks that are not to be had end a part of a sweep; the next one begins with others."""
REACHES = (1, 8, 64)
"""How many batches are looked at, one reach after the other, while all that is found is locked."""

UNLOCKED = """
SELECT found.id FROM (SELECT * FROM unnest(%s::uuid[]) LIMIT %s::int) AS c(id), LATERAL (
    SELECT id FROM roost_workitem WHERE id = c.id FOR NO KEY UPDATE SKIP LOCKED
) found
"""
"""Those of the items that nobody has locked just now, locked in the order of ids."""


def look_past(
    using: str, dead: Sequence[uuid.UUID], batch: int, *, only_dead: bool = False
) -> tuple[defaultdict[str, list[Found]], bool]:
    """Look for what a sweep may have to do, up to `batch` of each kind, past items that are locked just now.

    Also says whether there may be more. The locks of the look end with it, and whoever acts looks again.
    """
    for reach in REACHES:
        found = look(using, dead, batch * reach, only_dead=only_dead)
        full = [kind for kind, some in found.items() if kind != FREE and len(some) >= batch * reach]
        unlocked = lock_free(using, {one.item for kind in found if kind != FREE for one in found[kind]})
        for kind in found.keys() - {FREE}:
            found[kind] = [one for one in found[kind] if one.item in unlocked]
        if all(found[kind] for kind in full):
            break
    more = full or [kind for kind, some in found.items() if kind != FREE and len(some) > batch]
    return defaultdict(list, {kind: some[:batch] for kind, some in found.items()}), bool(more)


def lock_free(using: str, items: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Lock those of the items that nobody has locked, until the transaction ends, and return them. Waits for nobody."""
    return {row[0] for row in rows(using, UNLOCKED, [plain(sorted(items)), str(len(items))])} if items else set()


def together_or_singly(found: Sequence[T], work: Callable[[Sequence[T]], int]) -> int:
    """Do one transaction's work for all of them; where a lock is not to be had, for one after the other.

    Returns the sum of what came of it. Those whose lock somebody keeps are left to a later sweep.
    """
    if not found:
        return 0
    try:
        return work(found)
    except OperationalError as error:
        if not lock_not_available(error):
            raise
    return one_by_one(partial(work, [one]) for one in found)


def one_by_one(works: Iterable[Callable[[], int]]) -> int:
    """Do some transactions' work in any order, passing over whose lock is not to be had; return the sum."""
    done = waits = 0
    left = list(works)
    random.shuffle(left)
    while left and waits < MOST_WAITS:
        try:
            done += left.pop()()
        except OperationalError as error:
            if not lock_not_available(error):
                raise
            waits += 1
    if waits:
        logger.info("the sweep passed over %d rows that somebody keeps locked", waits)
    return done
