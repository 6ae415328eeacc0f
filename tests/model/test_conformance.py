"""The real store does what the model does: random walks through the model, played on the database, row by row.

On PostgreSQL the walks leave transactions open beside each other, each on a connection of its own; the model says when
a statement would have to wait, and such statements are not played: one that waits all the same fails the test. On
SQLite, where one transaction at a time has the database, they follow each other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections

from tests.model.player import Player, rows_of
from tests.model.walk import Stride, strides
from tests.model.world import HISTORY, ORPHAN, SESSIONS, WORKERS, Left, Rules, World, world
from tests.model.worlds import ALL_VERBS

ON_SQLITE = "sqlite" in django_settings.DATABASES["default"]["ENGINE"]
WALKS = 15 if ON_SQLITE else 25
LONGEST = 60
LEFT = Left(expiries=2, crashes=1, answers=2, moves=3, retries=2)
LOCK_TIMEOUT = "-c lock_timeout=5000"


@pytest.fixture
def aliases(transactional_db: None) -> Iterator[list[str]]:
    """Give each session a connection of its own; on SQLite all share one."""
    if ON_SQLITE:
        yield ["default"] * SESSIONS
        return
    names = [f"session{number}" for number in range(SESSIONS)]
    ours = connections.databases["default"]
    for name in names:
        options = {**ours.get("OPTIONS", {}), "options": LOCK_TIMEOUT}
        connections.databases[name] = {**ours, "OPTIONS": options}
        connections[name].ensure_connection = partial(_connect, connections[name])
    yield names
    for name in names:
        connections[name].close()
        del connections[name]
        del connections.databases[name]


def _connect(connection: Any) -> None:
    """Connect without asking, as Django's tests do, whether the alias was there when the test began."""
    if connection.connection is None:
        connection.connect()


@pytest.fixture(autouse=True)
def long_leases(settings: Any) -> None:
    """Let leases expire only where the model says so."""
    settings.ROOST_LEASE_SECONDS = 3600


@pytest.mark.slow
@pytest.mark.scenario("L4", "L26", "L28", "L40", "B4", "B11")
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("part", range(5))
def test_the_store_goes_where_the_model_goes(aliases: list[str], batch: int, part: int) -> None:
    rules = Rules(steps=2, batch=batch, verbs=ALL_VERBS, sweepers=(0, 1))
    played: set[str] = set()
    for seed in range(part * WALKS, (part + 1) * WALKS):
        player = Player(aliases, rules)
        walk = Walk(player, rules, random.Random(seed))
        try:
            walk.go()
        except Exception as error:
            error.add_note("\n".join([f"walk {seed}, batch {batch}:", *walk.trace]))
            raise
        finally:
            player.close()
        played |= {label.split(": ")[-1] for label in walk.trace}
    assert not EXPECTED - played, "the walks leave something out"


EXPECTED = {
    "COMMIT of claim",
    "COMMIT of claim, no answer",
    "COMMIT of commit",
    "COMMIT of commit, no answer",
    "COMMIT of drop",
    "COMMIT of move",
    "COMMIT of release",
    "COMMIT of renew",
    "COMMIT of sweep",
    "is killed",
    "reads back",
    "the server rolls the cut off transaction back",
}


class Walk:
    """One walk, in the model and in the database at once."""

    def __init__(self, player: Player, rules: Rules, chance: random.Random) -> None:
        self.player = player
        self.rules = rules
        self.chance = chance
        self.world: World = world(LEFT)
        self.trace: list[str] = []

    def go(self) -> None:
        """Go on until nothing is left to do, or the walk is long enough; compare after each stride."""
        for _ in range(LONGEST):
            found = strides(self.world, self.rules, alone=ON_SQLITE)
            if not found:
                return
            self._stride(self._choose(found))
            if not (ON_SQLITE and self.player.open):
                assert self.player.rows() == rows_of(self.world)

    def _choose(self, found: list[Stride]) -> list[Stride]:
        """Choose who acts, then what; of a claim all that it may come to, since the database chooses."""
        by_slot = [list(group) for _, group in groupby(sorted(found, key=_slot), key=_slot)]
        ways = self.chance.choice(by_slot)
        chosen = self.chance.choice(ways)
        return [way for way in ways if _claims(way)] if _claims(chosen) else [chosen]

    def _stride(self, ways: list[Stride]) -> None:
        stride = self._claimed(ways) if _claims(ways[0]) else ways[0]
        self.trace.append(stride.label)
        if not _claims(stride):
            self._play(stride)
        self.world = stride.after
        if stride.label.endswith("COMMIT of claim") and stride.slot < WORKERS:
            self._same_state(stride.slot)

    def _claimed(self, ways: list[Stride]) -> Stride:
        """Claim, and return the stride that came to the same."""
        taken = self.player.claim(ways[0].slot)
        fitting = [way for way in ways if _items(way) == taken]
        self.trace.append(f"claimed {taken}")
        assert fitting, f"the store claimed {taken}, the model {[_items(way) for way in ways]}"
        return fitting[0]

    def _play(self, stride: Stride) -> None:
        label, slot = stride.label, stride.slot
        if "no answer" in label or "killed" in label:
            self._cut_off(stride)
        elif "COMMIT of" in label or "rolls" in label:
            self.player.end(slot, commit="COMMIT of" in label)
        elif "expires" in label:
            self.player.expire(int(label.split()[-2]))
        elif "reads back" in label:
            assert self.player.read_back(slot) == bool(stride.after.hands[slot].outcome)
        elif stride.session is not None:
            self.player.run(self.world, stride)

    def _cut_off(self, stride: Stride) -> None:
        """Leave the one transaction that became the orphan's to the server, and roll back the others of the dead."""
        gone = [slot for slot in self.player.open if slot != ORPHAN and stride.after.sessions[slot] is None]
        for slot in gone:
            if self.world.sessions[slot] == stride.after.sessions[ORPHAN] and self.world.sessions[ORPHAN] is None:
                self.player.cut_off(slot)
            else:
                self.player.end(slot, commit=False)

    def _same_state(self, worker: int) -> None:
        """Compare what the claim handed out with the state that the model's worker has read."""
        for grip in self.world.hands[worker].grips:
            claimed = self.player.claimed[worker, grip.item]
            state = self.world.rows[HISTORY(grip.item)][grip.version]
            told = "null" if claimed.data is None else claimed.data
            assert (claimed.epoch, claimed.version) == (grip.epoch, grip.version)
            assert told.replace(" ", "") == ("null" if not state and told == "null" else f'{{"count":{state}}}')


def _slot(stride: Stride) -> int:
    return stride.slot


def _claims(stride: Stride) -> bool:
    return "claim" in stride.label and "COMMIT" not in stride.label


def _items(stride: Stride) -> list[int]:
    return [grip.item for grip in stride.session.given] if stride.session is not None else []
