"""Explore every world that can be reached, breadth first, and tell the shortest way to one that breaks a promise."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.model.invariants import NOTHING_LOST, is_good_end, violated, waits_for_ever
from tests.model.protocol import moves
from tests.model.world import ITEM, ITEMS, Rules, World


@dataclass(kw_only=True)
class Explored:
    """What was found: how many worlds and moves, and the promise that was broken, with the moves that led there."""

    states: int = 0
    steps: int = 0
    depth: int = 0
    broken: str = ""
    trace: list[str] = field(default_factory=list)
    transitions: set[tuple[str, str]] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)

    def story(self) -> str:
        """Tell the way to the broken promise, a line a move."""
        return "\n".join(
            [f"broken: {self.broken}", *(f"  {number}. {move}" for number, move in enumerate(self.trace, 1))]
        )


class Exploration:
    """One exhaustive search."""

    def __init__(self, rules: Rules, begin: World) -> None:
        self.rules = rules
        self.found = Explored()
        self.numbers = {begin: 0}
        self.worlds = [begin]
        self.parents: list[tuple[int, str]] = [(-1, "")]
        self.depths = [0]
        self.back: list[list[int]] = [[]]

    def run(self) -> Explored:
        """Go on until everything was seen or a promise is broken."""
        number = 0
        while number < len(self.worlds) and not self.found.broken:
            self._look_from(number)
            number += 1
        self.found.states = len(self.worlds)
        self.found.depth = max(self.depths)
        if not self.found.broken:
            self._all_can_end()
        return self.found

    def _look_from(self, number: int) -> None:
        world, dead_end = self.worlds[number], True
        for label, after in moves(world, self.rules):
            dead_end = False
            self.found.steps += 1
            self._reach(number, label, world, after)
            if self.found.broken:
                return
        if dead_end and (broken := waits_for_ever(world)):
            self._breaks(number, broken)

    def _reach(self, number: int, label: str, before: World, after: World) -> None:
        known = self.numbers.get(after)
        if known is None:
            known = self.numbers[after] = len(self.worlds)
            self.worlds.append(after)
            self.parents.append((number, label))
            self.depths.append(self.depths[number] + 1)
            self.back.append([])
            self.found.labels.add(label)
            if broken := violated(after):
                self._breaks(known, broken)
        self.back[known].append(number)
        if after.rows is not before.rows:
            self._note_transitions(before, after)

    def _note_transitions(self, before: World, after: World) -> None:
        for item in range(ITEMS):
            old, new = before.rows[ITEM(item)], after.rows[ITEM(item)]
            if old != new:
                self.found.transitions.add((old.state, new.state))

    def _all_can_end(self) -> None:
        """From each world some way must lead to a good end: walk back from those."""
        good = deque(number for number, world in enumerate(self.worlds) if is_good_end(world))
        reached = set(good)
        while good:
            for before in self.back[good.popleft()]:
                if before not in reached:
                    reached.add(before)
                    good.append(before)
        lost = next((number for number in range(len(self.worlds)) if number not in reached), None)
        if lost is not None:
            self._breaks(lost, NOTHING_LOST)

    def _breaks(self, number: int, broken: str) -> None:
        self.found.broken = broken
        trace = []
        while number:
            number, label = self.parents[number]
            trace.append(label)
        self.found.trace = trace[::-1]


def explore(rules: Rules, begin: World) -> Explored:
    """Explore everything that follows from `begin` under these rules, or up to the first broken promise."""
    with _no_collection():
        return Exploration(rules, begin).run()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the collector out: hundreds of thousands of tuples, none of them in a ring, cost it a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
