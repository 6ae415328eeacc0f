"""Of those who wait for results in a process, one reads for all."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import nullcontext

import pytest

from console.api import waiting
from console.departures import Departure
from runtime.models import WorkItem
from tests.processes.tree import eventually

PATIENCE = 20.0


class World:
    """Items that live until a test says otherwise, and who has asked after them."""

    def __init__(self) -> None:
        self.alive = {uuid.UUID(int=number) for number in range(5)}
        self.asked: list[tuple[int, frozenset[uuid.UUID]]] = []
        self.gone: set[uuid.UUID] = set()
        self.fails = False

    def ended(self, wanted: Collection[uuid.UUID]) -> dict[uuid.UUID, WorkItem | None]:
        """Stand in for the query."""
        self.asked.append((threading.get_ident(), frozenset(wanted)))
        if self.fails:
            raise ConnectionError("the database is away")
        alive = frozenset(self.alive)
        return {item: None if item in self.gone else WorkItem(pk=item) for item in wanted if item not in alive}

    @property
    def wanted(self) -> frozenset[uuid.UUID]:
        """What was asked for last."""
        return self.asked[-1][1] if self.asked else frozenset()


class Waiting(threading.Thread):
    """Somebody who waits for an item."""

    def __init__(self, item: uuid.UUID, seconds: float = PATIENCE) -> None:
        super().__init__(daemon=True)
        self.item, self.seconds, self.client = item, seconds, Departure()
        self.error: Exception | None = None
        self.found: WorkItem | None = None
        self.start()

    def run(self) -> None:
        """Wait."""
        try:
            self.found = waiting.until_ended(self.item, self.seconds, self.client)
        except ConnectionError as error:
            self.error = error


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Have requests wait in a world without a database, and nobody wait at the end."""
    made = World()
    monkeypatch.setattr(waiting.items, "ended", made.ended)
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


def test_who_waits_is_told_what_was_read_for_all(world: World) -> None:
    reader, ends, goes = (Waiting(item) for item in sorted(world.alive)[:3])
    eventually(PATIENCE, lambda: world.wanted == {reader.item, ends.item, goes.item}, "a question for all")
    world.gone.add(goes.item)
    world.alive -= {ends.item, goes.item}
    eventually(PATIENCE, lambda: not ends.is_alive() and not goes.is_alive(), "an end of two waits")
    world.alive.clear()
    eventually(PATIENCE, lambda: not reader.is_alive(), "an end of the reader's")
    assert (reader.found, ends.found, goes.found) == (WorkItem(pk=reader.item), WorkItem(pk=ends.item), None)


def test_those_who_are_told_by_one_read_are_told_one_after_another_the_reader_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd, until = waiting.Crowd(), time.monotonic() + 1_000
    me, *others = many = [waiting.Waiter(item=uuid.uuid4(), until=until) for _ in range(500)]
    gaps: list[float] = []

    def rest(waiter: waiting.Waiter, seconds: float) -> None:
        assert waiter is me
        assert not me.over
        assert not crowd._guard.locked(), "others come and go meanwhile"
        gaps.append(seconds)
        assert sum(one.over for one in others) == len(gaps)

    monkeypatch.setattr(waiting, "rest", rest)
    few = many[:3]
    crowd._tell(me, few, {one.item: None for one in few})
    assert gaps == [waiting.GAP] * 2
    assert all(one.over and one.woken.is_set() for one in few)
    me.over, others[0].over, others[1].over = False, False, False
    gaps.clear()
    crowd._tell(me, many, {one.item: None for one in many})
    assert all(one.over for one in many)
    assert sum(gaps) <= waiting.ALL_TOLD


def test_a_reader_whose_client_goes_meanwhile_tells_the_others_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd, until = waiting.Crowd(), time.monotonic() + 1_000
    me, *others = [waiting.Waiter(item=uuid.uuid4(), until=until) for _ in range(5)]
    gaps: list[float] = []

    def rest(waiter: waiting.Waiter, seconds: float) -> None:
        gaps.append(seconds)
        crowd._send_away(waiter)

    monkeypatch.setattr(waiting, "rest", rest)
    crowd._tell(me, others, {one.item: None for one in others})
    assert len(gaps) == 1
    assert all(one.over for one in others)


def test_who_reads_holds_no_connection_while_it_tells_or_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    gone = {uuid.uuid4(), uuid.uuid4()}
    monkeypatch.setattr(waiting.items, "ended", lambda wanted: done.append("read") or dict.fromkeys(wanted))
    monkeypatch.setattr(waiting, "bounded", nullcontext)
    monkeypatch.setattr(waiting, "give_back_connection", lambda: done.append("give back"))
    monkeypatch.setattr(waiting, "rest", lambda _waiter, _seconds: done.append("rest"))
    crowd, until = waiting.Crowd(), time.monotonic() + 1_000
    mine, other = sorted(gone)
    crowd._waiters.append(waiting.Waiter(item=other, until=until))
    crowd.wait(mine, until)
    assert done == ["read", "give back", "rest"]


def test_who_comes_while_a_read_is_under_way_is_not_told_what_it_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, late = min(world.alive), []

    def brought_back(wanted: Collection[uuid.UUID]) -> dict[uuid.UUID, WorkItem | None]:
        world.alive.discard(item)
        found = world.ended(wanted)
        if not late:
            # Before anybody is told of the end, a person brings the item back, and waits for what comes of it now.
            world.alive.add(item)
            late.append(Waiting(item))
            eventually(PATIENCE, lambda: len(waiting._crowd._waiters) == 2, "a second who waits")
            monkeypatch.setattr(waiting.items, "ended", world.ended)
        return found

    monkeypatch.setattr(waiting.items, "ended", brought_back)
    early = Waiting(item)
    eventually(PATIENCE, lambda: not early.is_alive(), "an end of the first wait")
    eventually(PATIENCE, lambda: world.asked[-1][0] == late[0].ident or not late[0].is_alive(), "a read by the second")
    assert early.found is not None
    assert late[0].is_alive()
    assert late[0].found is None


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


def test_who_waits_for_a_client_that_goes_leaves_at_once_and_another_reads_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, goes, stays = (Waiting(item) for item in sorted(world.alive)[:3])
    eventually(PATIENCE, lambda: world.wanted == {reader.item, goes.item, stays.item}, "a question for all")
    monkeypatch.setattr(waiting, "LONGEST_PAUSE", 1_000.0)
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 1_000.0)
    for one in (goes, reader):
        one.client.tell()
        eventually(PATIENCE / 2, lambda one=one: not one.is_alive(), "an end of the wait")
        assert one.found is None
    eventually(PATIENCE / 2, lambda: world.asked[-1][0] == stays.ident, "a question by another")
    assert world.wanted == {stays.item}
    stays.client.tell()


def test_for_a_client_that_has_gone_already_nobody_waits(world: World) -> None:
    client = Departure()
    client.tell()
    assert waiting.until_ended(min(world.alive), PATIENCE * 100, client) is None
    assert world.asked == []


def test_a_database_that_is_away_is_told_to_everybody(world: World) -> None:
    threads = [Waiting(item) for item in sorted(world.alive)]
    eventually(PATIENCE, lambda: len(world.wanted) == len(threads), "a question for all")
    world.fails = True
    eventually(PATIENCE, lambda: not any(thread.is_alive() for thread in threads), "an end of all waits")
    assert all(isinstance(thread.error, ConnectionError) for thread in threads)


def test_an_end_makes_the_next_reads_come_soon(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = sorted(world.alive)[:2]
    pauses: list[float] = []

    def rest(_waiter: waiting.Waiter, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) in (4, 6):
            world.alive.discard(other if len(pauses) == 4 else mine)

    monkeypatch.setattr(waiting, "FIRST_PAUSE", 1.0)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE", 2.0)
    monkeypatch.setattr(waiting, "rest", rest)
    crowd, until = waiting.Crowd(), time.monotonic() + 1_000
    crowd._waiters.append(waiting.Waiter(item=other, until=until))
    crowd.wait(mine, until)
    assert pauses == [1.0, 1.5, 2.0, 2.0, 1.0, 1.5]
