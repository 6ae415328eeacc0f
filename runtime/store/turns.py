"""Let fairness keys take turns. Pure; shared by both stores.

Due items stand in lanes: those of one priority that nothing but their due time tells apart. A claim looks at the
heads of lanes, never through a backlog, so that a key with one item is not behind a key with a hundred thousand.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

MOST_LANES = 500
"""Lanes of one priority looked at by one claim; with more of them, the next claim begins where this one ended."""
HEADS_SPARE = 2
"""Heads looked at for each item wanted where another claimer may have some of them."""

TIGHT_CLAIMS = 20
"""Claims made in a way that needs less room, after one for which limits had none."""


class Lane(NamedTuple):
    """What the items of one lane have in common, in the order of the index `roost_item_lane`."""

    fair_key: str
    engine: str
    namespace: str
    pool: str


class Head(NamedTuple):
    """A due item near the front of its lane, its id as the database gives it; `resources` None where it needs none."""

    item: Any
    lane: Lane
    run_at: dt.datetime
    resources: str | None = None


class Turns:
    """Whose turn it is, for one process: the last fairness key served, by priority, and how many keys there were.

    Only hints where to begin and how far to look: every process goes round all keys, so that each gets the same from
    each of them. `ruled` says that limits or keys had a say at the last claim.
    """

    def __init__(self) -> None:
        self.ruled = False
        self._last: dict[int, str] = {}
        self._keys: dict[int, int] = {}
        self._tight = {True: 0, False: 0}

    def roomy(self, *, shared: bool) -> bool:
        """Say whether to try a claim that counts no single items: not soon after one that limits left no room for."""
        self._tight[shared] = max(self._tight[shared] - 1, 0)
        return not self._tight[shared]

    def tight(self, *, shared: bool) -> None:
        """Remember that limits left no room."""
        self._tight[shared] = TIGHT_CLAIMS

    def last(self, priority: int) -> str | None:
        """Return the key after which the round goes on, None to begin with the first."""
        return self._last.get(priority)

    def served(self, priority: int, key: str) -> None:
        """Remember the last key of a round."""
        self._last[priority] = key

    def heads(self, priority: int, wanted: int, *, spare: int = HEADS_SPARE) -> int:
        """Return how many heads of each lane to look at for so many items, a power of two: statements are few then."""
        each = -(-wanted * spare // self._keys.get(priority, 1))
        return 1 << (max(each, 1) - 1).bit_length()

    def seen(self, priority: int, keys: int) -> None:
        """Remember how many keys had items that might start."""
        self._keys[priority] = max(keys, 1)

    def copy(self) -> Turns:
        """Return another one that stands at the same keys."""
        copied = Turns()
        copied._last = dict(self._last)
        copied._keys = dict(self._keys)
        return copied


def in_turn(heads: Iterable[Head], last: str | None) -> list[Head]:
    """Return the heads in the order of a claim: one of each key in turn, beginning after `last`; in a key, by due time.

    Items without a key are one more key.
    """
    of_key: defaultdict[str, list[Head]] = defaultdict(list)
    for head in heads:
        of_key[head.lane.fair_key].append(head)
    for found in of_key.values():
        found.sort(key=lambda head: (head.run_at, head.item))
    order = sorted(of_key, key=lambda key: (last is not None and key <= last, key))
    return list(_rounds([of_key[key] for key in order]))


def _rounds(of_keys: Sequence[Sequence[Head]]) -> Iterator[Head]:
    for one_round in zip_longest(*of_keys):
        yield from (head for head in one_round if head is not None)
