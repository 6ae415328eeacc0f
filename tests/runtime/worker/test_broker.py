from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from django_q.signing import SignedPackage

from runtime.exceptions import RoostError
from runtime.worker.broker import RoostBroker
from runtime.worker.options import WorkerOptions
from runtime.worker.stop_pipe import StopPipe
from runtime.worker.tickets import PILL, TicketQueue

OPTIONS = WorkerOptions.defaults("default", engines=("counter",), pools=("gpu",), grace_seconds=5.0)


@pytest.fixture
def stop() -> Iterator[StopPipe]:
    pipe = StopPipe()
    yield pipe
    pipe.close()


@pytest.fixture
def tickets(stop: StopPipe) -> Iterator[TicketQueue]:
    queue = TicketQueue(stop, ends_at_stop=True)
    yield queue
    queue.dispose()


@pytest.fixture
def broker(stop: StopPipe, tickets: TicketQueue) -> RoostBroker:
    broker = RoostBroker(OPTIONS, stop)
    broker.hand_out_through(tickets)
    return broker


def hand_out(broker: RoostBroker, tickets: TicketQueue) -> int:
    """Do what django-q2's pusher does; return how many tickets came."""
    given = broker.dequeue() or []
    for _, ticket in given:
        tickets.put(SignedPackage.loads(ticket))
    return len(given)


def test_there_is_one_spare_ticket_and_a_new_one_only_when_it_was_taken(
    broker: RoostBroker, tickets: TicketQueue
) -> None:
    assert [hand_out(broker, tickets) for _ in range(3)] == [1, 0, 0]
    assert broker.queue_size() == 1
    tickets.get()
    assert [hand_out(broker, tickets) for _ in range(3)] == [1, 0, 0]


def test_a_new_pusher_knows_whether_a_spare_ticket_is_there(
    broker: RoostBroker, tickets: TicketQueue, stop: StopPipe
) -> None:
    hand_out(broker, tickets)
    reborn = RoostBroker(OPTIONS, stop)
    reborn.hand_out_through(tickets)
    assert hand_out(reborn, tickets) == 0


@pytest.mark.scenario("B16")
def test_a_ticket_has_no_time_limit_stores_nothing_and_brings_the_options(
    broker: RoostBroker, tickets: TicketQueue
) -> None:
    hand_out(broker, tickets)
    ticket = tickets.get()
    assert ticket["func"] == "runtime.tasks.drain"
    assert ticket["timeout"] == -1
    assert ticket["save"] is False
    assert isinstance(ticket["started"], datetime)
    assert WorkerOptions.from_dict(json.loads(json.dumps(ticket["kwargs"]))) == OPTIONS


def test_dequeue_waits_no_longer_than_a_fifth_of_a_second(broker: RoostBroker, tickets: TicketQueue) -> None:
    hand_out(broker, tickets)
    took = []
    for _ in range(8):
        start = time.monotonic()
        assert broker.dequeue() is None
        took.append(time.monotonic() - start)
    assert sorted(took)[5] < 0.3, "a busy machine delays some"


def test_no_ticket_is_given_once_a_stop_is_ordered_and_readers_are_told(
    broker: RoostBroker, tickets: TicketQueue, stop: StopPipe
) -> None:
    stop.set()
    assert broker.dequeue() is None
    assert tickets.get() == PILL


def test_pusher_and_readers_end_when_the_first_process_is_gone() -> None:
    orphaned = StopPipe()
    orphaned.only_listen()
    queues = [TicketQueue(orphaned, ends_at_stop=ends) for ends in (True, False)]
    for queue in queues:
        with pytest.raises(SystemExit):
            queue.get()
        queue.dispose()
    with pytest.raises(SystemExit):
        RoostBroker(OPTIONS, orphaned).dequeue()


def test_results_are_still_read_after_a_stop_was_ordered(stop: StopPipe) -> None:
    results = TicketQueue(stop, ends_at_stop=False)
    stop.set()
    results.put({"name": "roost-drain"})
    results.put(PILL)
    assert [results.get(), results.get()] == [{"name": "roost-drain"}, PILL]
    results.dispose()


def test_a_message_without_room_is_dropped_and_told(
    stop: StopPipe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("runtime.worker.tickets.FULL_SECONDS", 0.0)
    queue = TicketQueue(stop, ends_at_stop=False)
    while "dropped" not in caplog.text:
        queue.put("x" * 10_000)
    queue.dispose()


def test_other_tasks_are_refused_with_a_word_on_where_they_belong(broker: RoostBroker) -> None:
    with pytest.raises(RoostError, match=r"operations\.enqueue"):
        broker.enqueue("a task")


def test_nothing_of_the_products_cache_is_touched(broker: RoostBroker) -> None:
    assert broker.get_cache() is None
    assert broker.get_stat("any") is None
    assert broker.set_stat("any", "value", 3) is None
