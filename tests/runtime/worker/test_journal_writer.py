"""The journal's writer: writes in groups, a bad one fails alone, and nothing is given up while the database is away."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from django.db import DataError, InterfaceError, OperationalError, connection, connections, transaction

from runtime.exceptions import JournalRefused, JournalUnavailable
from runtime.faults import InjectedFault
from runtime.journal.entries import BUSY, Answer, Begin, End, Found, Place, Write
from runtime.models import JournalEntry, WorkItem
from runtime.store import get_store
from runtime.store.values import Claimed
from runtime.worker.journal import JournalWriter
from tests.contracts.builders import Hand, Together, put, until

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 20.0
Play = Callable[[Sequence[Write]], list[Found]]


class Between:
    """A store with something between it and the database; `calls` are the sizes of the groups."""

    def __init__(self, play: Callable[[Between, Sequence[Write]], list[Found]]) -> None:
        self.using = get_store().using
        self.calls: list[int] = []
        self._play = play

    def journal(self, writes: Sequence[Write]) -> list[Found]:
        self.calls.append(len(writes))
        return self._play(self, writes)


def straight(between: Between, writes: Sequence[Write]) -> list[Found]:
    return get_store().journal(writes)


@pytest.fixture
def stopping() -> list[bool]:
    return []


@pytest.fixture
def make(stopping: list[bool]) -> Iterator[Callable[..., JournalWriter]]:
    made: list[JournalWriter] = []

    def writer(store: Any = None) -> JournalWriter:
        made.append(JournalWriter(store or get_store(), lambda: bool(stopping)))
        return made[-1]

    yield writer
    stopping.append(True)
    for one in made:
        one.stop()


def claimed(count: int = 1) -> list[Claimed]:
    for _ in range(count):
        put()
    return Hand().claim(limit=count)


def begin(item: Claimed, key: str = "k") -> Begin:
    place = Place(item=item.id, base_version=0, key=key, epoch=item.epoch, version=item.version)
    return Begin(place=place, call=uuid.uuid4(), name="n", input_hash="h", idempotency_key="i")


def held_up(writer: JournalWriter, between: Between, writes: Sequence[Write]) -> list[Future[Found]]:
    """Hand all writes over while the writer is held up, so that it finds them together."""
    between_play, gate = between._play, threading.Event()

    def wait(between: Between, some: Sequence[Write]) -> list[Found]:
        gate.wait(SECONDS)
        between._play = between_play
        return between_play(between, some)

    between._play = wait
    first = writer._submit(writes[0])
    until(lambda: bool(between.calls), "the first write")
    rest = [writer._submit(write) for write in writes[1:]]
    gate.set()
    return [first, *rest]


def test_what_is_ready_is_written_together(make: Callable[..., JournalWriter]) -> None:
    between = Between(straight)
    futures = held_up(make(between), between, [begin(item) for item in claimed(20)])
    assert {future.result(SECONDS).answer for future in futures} == {Answer.WRITTEN}
    assert between.calls == [1, 19]
    assert JournalEntry.objects.count() == 20


@pytest.mark.scenario("L47")
def test_a_bad_write_fails_alone(make: Callable[..., JournalWriter]) -> None:
    items = claimed(8)
    between = Between(straight)
    writer = make(between)
    begun = [begin(item) for item in items]
    for write in begun:
        writer.write(write)
    # Past every check of ours: jsonb has no such escape, and SQLite's JSON column no such text.
    broken = '"\\u0000"' if connection.vendor == "postgresql" else "{"
    ends = [
        End(place=write.place, call=write.call, state="succeeded", result=broken if number == 5 else "1")
        for number, write in enumerate(begun)
    ]
    futures = held_up(writer, between, ends)
    answers = [future.exception(SECONDS) for future in futures]
    assert [number for number, error in enumerate(answers) if error] == [5]
    assert isinstance(answers[5], JournalRefused)
    assert JournalEntry.objects.filter(state="succeeded").count() == 7


@pytest.mark.scenario("L40")
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_a_write_whose_answer_was_lost_is_sent_again_and_counts_once(
    make: Callable[..., JournalWriter], error: type[Exception], applied: bool
) -> None:
    [item] = claimed()

    def lose(between: Between, writes: Sequence[Write]) -> list[Found]:
        answers = get_store().journal(writes) if applied or len(between.calls) > 1 else []
        if len(between.calls) > 1:
            return answers
        connections["default"].close()
        raise error("server closed the connection unexpectedly")

    between = Between(lose)
    writer = make(between)
    assert writer.write(begin(item)) == Found(answer=Answer.WRITTEN, attempts=1)
    assert between.calls == [1, 1]
    assert JournalEntry.objects.get().attempts == 1


def test_while_the_database_is_away_a_step_waits_until_the_worker_has_to_stop(
    make: Callable[..., JournalWriter], stopping: list[bool]
) -> None:
    [item] = claimed()

    def away(between: Between, writes: Sequence[Write]) -> list[Found]:
        connections["default"].close()
        raise OperationalError("connection refused")

    between = Between(away)
    future = make(between)._submit(begin(item))
    until(lambda: len(between.calls) >= 3, "a third try")
    assert not future.done()
    stopping.append(True)
    assert isinstance(future.exception(SECONDS), JournalUnavailable)


def test_a_write_for_an_item_that_somebody_has_locked_is_sent_again_and_holds_up_nobody(
    make: Callable[..., JournalWriter],
) -> None:
    busy, free = claimed(2)
    let_go = threading.Event()

    def locked(between: Between, writes: Sequence[Write]) -> list[Found]:
        answers = get_store().journal([one for one in writes if one.place.item != busy.id or let_go.is_set()])
        return [BUSY if one.place.item == busy.id and not let_go.is_set() else answers.pop(0) for one in writes]

    writer = make(Between(locked))
    waiting = writer._submit(begin(busy))
    assert writer.write(begin(free)).answer is Answer.WRITTEN
    assert not waiting.done()
    let_go.set()
    assert waiting.result(SECONDS).answer is Answer.WRITTEN


def test_a_write_that_is_never_let_in_is_given_up_at_last(make: Callable[..., JournalWriter], settings: Any) -> None:
    settings.ROOST_STATEMENT_TIMEOUT_MS = 50
    [item] = claimed()
    with pytest.raises(JournalUnavailable, match="locked"):
        make(Between(lambda between, writes: [BUSY] * len(writes))).write(begin(item))


@pytest.mark.scenario("S1", "L40")
@pytest.mark.parametrize("how", ["busy", "refused", "away"])
def test_how_a_call_has_ended_is_written_however_often_that_fails(
    make: Callable[..., JournalWriter], settings: Any, how: str
) -> None:
    """A begin would be given up by then; an end says that the call was made."""
    settings.ROOST_STATEMENT_TIMEOUT_MS = 1
    [item] = claimed()
    first = begin(item)
    get_store().journal([first])

    def fail_for_a_while(between: Between, writes: Sequence[Write]) -> list[Found]:
        if len(between.calls) > 5:
            return straight(between, writes)
        if how == "busy":
            return [BUSY] * len(writes)
        connections["default"].ensure_connection()
        if how == "away":
            connections["default"].close()
        raise OperationalError("canceling statement due to lock timeout")

    between = Between(fail_for_a_while)
    end = End(place=first.place, call=first.call, state="succeeded", result="1")
    assert make(between).write(end).answer is Answer.WRITTEN
    assert between.calls == [1] * 6
    assert JournalEntry.objects.get().state == "succeeded"


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no row locks")
def test_a_row_lock_on_one_item_holds_up_no_other_on_postgresql(make: Callable[..., JournalWriter]) -> None:
    busy, free = claimed(2)
    writer = make()
    with transaction.atomic():
        WorkItem.objects.select_for_update().get(pk=busy.id)
        waiting = Together([lambda: writer.write(begin(busy))])
        assert Together([lambda: writer.write(begin(free))]).results()[0].answer is Answer.WRITTEN
        assert waiting.running()
    assert waiting.results()[0].answer is Answer.WRITTEN


def test_any_other_error_is_told_and_the_writer_goes_on(make: Callable[..., JournalWriter]) -> None:
    [item] = claimed()

    def fault(between: Between, writes: Sequence[Write]) -> list[Found]:
        if len(between.calls) == 1:
            raise InjectedFault("asked for")
        return get_store().journal(writes)

    writer = make(Between(fault))
    with pytest.raises(InjectedFault):
        writer.write(begin(item))
    assert writer.write(begin(item)).answer is Answer.WRITTEN


def test_a_data_error_of_a_lone_write_refuses_it(make: Callable[..., JournalWriter]) -> None:
    def refuse(between: Between, writes: Sequence[Write]) -> list[Found]:
        raise DataError("no")

    [item] = claimed()
    with pytest.raises(JournalRefused):
        make(Between(refuse)).write(begin(item))


def test_a_step_that_was_cancelled_begins_no_call_and_its_last_one_is_recorded(
    make: Callable[..., JournalWriter],
) -> None:
    one, two = claimed(2)
    between = Between(straight)
    writer = make(between)
    first = begin(one)
    writer.write(first)
    gate = threading.Event()
    between._play = lambda between, writes: (gate.wait(SECONDS), straight(between, writes))[1]

    async def cancelled() -> None:
        blocks = asyncio.create_task(writer.awrite(begin(two, "blocks")))
        while len(between.calls) < 2:
            await asyncio.sleep(0.001)
        writes = [End(place=first.place, call=first.call, state="succeeded", result="1"), begin(two, "never")]
        tasks = [blocks, *(asyncio.create_task(writer.awrite(write)) for write in writes)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gate.set()

    asyncio.run(cancelled())
    until(lambda: JournalEntry.objects.filter(state="succeeded").exists(), "the end of the call")
    writer.stop()
    assert not JournalEntry.objects.filter(key="never").exists()


def test_a_worker_that_has_ended_records_nothing_more(make: Callable[..., JournalWriter]) -> None:
    [item] = claimed()
    writer = make()
    assert writer.write(begin(item)).answer is Answer.WRITTEN
    writer.stop()
    with pytest.raises(JournalUnavailable):
        writer.write(begin(item, "late"))
