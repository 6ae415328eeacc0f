"""Of those who wait for results in a process, one reads for all."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Collection, Iterator
from contextlib import nullcontext

import pytest

from console.api import waiting
from tests.processes.tree import eventually

PATIENCE = 20.0


class World:
    """Items that live until a test says otherwise, and who has asked after them."""

    def __init__(self) -> None:
        self.alive = {uuid.UUID(int=number) for number in range(5)}
        self.asked: list[tuple[int, frozenset[uuid.UUID]]] = []
        self.fails = False

    def live(self, wanted: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Stand in for the query."""
        self.asked.append((threading.get_ident(), frozenset(wanted)))
        if self.fails:
            raise ConnectionError("the database is away")
        return self.alive & set(wanted)

    @property
    def wanted(self) -> frozenset[uuid.UUID]:
        """What was asked for last."""
        return self.asked[-1][1] if self.asked else frozenset()


class Waiting(threading.Thread):
    """Somebody who waits for an item."""

    def __init__(self, item: uuid.UUID, seconds: float = PATIENCE) -> None:
        super().__init__(daemon=True)
        self.item, self.seconds = item, seconds
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Wait."""
        try:
            waiting.until_ended(self.item, self.seconds)
        except ConnectionError as error:
            self.error = error


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Have requests wait in a world without a database, and nobody wait at the end."""
    made = World()
    monkeypatch.setattr(waiting.items, "live", made.live)
    monkeypatch.setattr(waiting, "bounded", nullcontext)
    monkeypatch.setattr(waiting, "give_back_connection", lambda: None)
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE", 0.002)
    yield made
    made.alive.clear()
    eventually(PATIENCE, lambda: waiting._waiting == 0, "an end of all waits")
    assert waiting._crowd._waiters == []


def test_one_reads_for_all_and_hands_it_on_when_it_leaves(world: World) -> None:
    everybody = sorted(world.alive)
    threads = [Waiting(everybody[0])]
    eventually(PATIENCE, lambda: world.asked, "a first question")
    threads += [Waiting(item) for item in everybody[1:]]
    eventually(PATIENCE, lambda: world.wanted == set(everybody), "a question for all")
    assert {asker for asker, _ in world.asked} == {threads[0].ident}
    world.alive.discard(everybody[0])
    eventually(PATIENCE, lambda: not threads[0].is_alive(), "an end of the first wait")
    eventually(PATIENCE, lambda: world.wanted == set(everybody[1:]), "a question by another")
    assert world.asked[-1][0] in {thread.ident for thread in threads[1:]}
    world.alive.clear()
    eventually(PATIENCE, lambda: not any(thread.is_alive() for thread in threads), "an end of all waits")


def test_who_has_waited_long_enough_goes_and_another_reads_on(world: World) -> None:
    first, second = sorted(world.alive)[:2]
    reader = Waiting(first, seconds=0.2)
    eventually(PATIENCE, lambda: world.asked, "a first question")
    other = Waiting(second)
    eventually(PATIENCE, lambda: not reader.is_alive(), "an end of the time")
    eventually(PATIENCE, lambda: world.wanted == {second}, "a question by the other")
    assert other.is_alive()
    world.alive.clear()
    eventually(PATIENCE, lambda: not other.is_alive(), "an end of the wait")


def test_a_database_that_is_away_is_told_to_everybody(world: World) -> None:
    threads = [Waiting(item) for item in sorted(world.alive)]
    eventually(PATIENCE, lambda: len(world.wanted) == len(threads), "a question for all")
    world.fails = True
    eventually(PATIENCE, lambda: not any(thread.is_alive() for thread in threads), "an end of all waits")
    assert all(isinstance(thread.error, ConnectionError) for thread in threads)
