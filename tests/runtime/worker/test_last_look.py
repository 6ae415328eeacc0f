"""When a worker that ends as idle may end: not while work comes due without anybody's doing."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from runtime import clock
from runtime.choices import EventKind, State, WorkerState
from runtime.models import Event, Lease, Wait, Worker, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.schedules import set_schedule
from runtime.store import get_store
from runtime.store.values import Held
from runtime.tasks import drain_here
from runtime.worker.drain import Drain
from runtime.worker.options import WorkerOptions
from runtime.worker.stop import StopToken
from tests.contracts.asking import wait_for
from tests.contracts.builders import Hand, after, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.ROOST_LEASE_SECONDS = 1.5
    settings.ROOST_HEARTBEAT_SECONDS = 0.2
    settings.ROOST_SWEEP_SECONDS = 0.2


def options() -> WorkerOptions:
    return WorkerOptions.defaults(get_store().using, until_idle=True, grace_seconds=1.0)


def states() -> list[str]:
    return list(WorkItem.objects.order_by("pk").values_list("state", flat=True))


def naps(hand: Hand, seconds: float) -> uuid.UUID:
    """Return an item that waits for a time."""
    item = enqueue("hop", {"steps": 1})
    timer = wait_for("nap", "timer", expires_in=seconds, has_default=True)
    state = {"n": 0, "pad": ""}
    hand.commit(hand.take(), State.WAITING, reason="timer", waits=(timer,), advance=False, initial=json.dumps(state))
    return item.pk


@contextmanager
def living(hand: Hand) -> Iterator[None]:
    """Have a worker beat, and renew what it holds, while the block runs."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.1):
            leases = Lease.objects.filter(worker=hand.id).values_list("work_item_id", "epoch")
            hand.store.renew(hand.id, [Held(*lease) for lease in leases])
        connections.close_all()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.scenario("L28", "B4")
def test_a_worker_is_not_idle_while_a_dead_one_has_the_only_work() -> None:
    enqueue("hop", {"steps": 1})
    Hand().take()
    drain_here(options())
    assert states() == [State.DONE]
    assert Event.objects.filter(kind=EventKind.RECOVERED).count() == 1


@pytest.mark.parametrize("row", ["offline", "none"])
def test_a_lease_of_a_worker_that_is_not_there_is_waited_for(row: str) -> None:
    enqueue("hop", {"steps": 1})
    gone = Hand()
    gone.take()
    of_it = Worker.objects.filter(pk=gone.id)
    if row == "none":
        of_it.delete()
    else:
        of_it.update(state=WorkerState.OFFLINE)
    drain_here(options())
    assert states() == [State.DONE]


def test_who_waits_for_a_resource_of_the_dead_is_waited_for() -> None:
    held, wants = (enqueue("hop", {"steps": 1}, resources=["r"]).pk for _ in range(2))
    gone = Hand()
    assert [one.id for one in gone.claim(2)] == [held]
    WorkItem.objects.filter(pk=held).update(engine="nobody's")
    drain_here(options())
    assert WorkItem.objects.get(pk=wants).state == State.DONE


def test_what_a_living_worker_runs_is_not_waited_for(settings: Any) -> None:
    enqueue("hop", {"steps": 1})
    other = Hand()
    other.take()
    with living(other):
        drain_here(options())
        assert states() == [State.RUNNING]
        assert Lease.objects.get().worker_id == other.id


@pytest.mark.scenario("L40")
def test_what_this_worker_claimed_without_hearing_of_it_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue("hop", {"steps": 1})
    with StopToken() as stop:
        drain = Drain(options(), stop)
        claim, lost = drain.store.claim, []

        def deaf(request: Any) -> Any:
            claimed = claim(request)
            if claimed and not lost:
                lost.extend(claimed)
                raise OperationalError("the answer was lost")
            return claimed

        monkeypatch.setattr(drain.store, "claim", deaf)
        drain.run()
    assert len(lost) == 1
    assert states() == [State.DONE]


def test_a_time_that_is_over_is_seen_to_and_one_to_come_is_not_waited_for() -> None:
    hand = Hand()
    over, to_come = (naps(hand, span) for span in (0.3, 3600))
    with after(0.5):
        drain_here(options())
    assert WorkItem.objects.get(pk=over).state == State.DONE
    assert WorkItem.objects.get(pk=to_come).state == State.WAITING


def test_work_that_is_due_later_is_not_waited_for() -> None:
    enqueue("hop", {"steps": 1}, delay=3600)
    drain_here(options())
    assert states() == [State.QUEUED]


def test_a_schedule_that_is_due_is_fired_and_its_work_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.worker.punctual.Punctual.fire_if_due", lambda self: None)
    moment = clock.now("default") + dt.timedelta(seconds=0.2)
    set_schedule("once", engine="hop", payload={"steps": 1}, at=moment)
    until(lambda: clock.now("default") > moment, "the time of the schedule")
    drain_here(options())
    assert states() == [State.DONE]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_what_the_housekeeping_sees_to_meanwhile_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = naps(Hand(), 0.1)
    with StopToken() as stop:
        drain = Drain(options(), stop)
        sweep, first = drain.store.sweep, threading.Event()

        def slow(**how: Any) -> Any:
            if threading.current_thread() is drain.crew.sweeper and not first.is_set():
                with transaction.atomic():
                    report = sweep(**how)
                    first.set()
                    time.sleep(1.0)
                return report
            return sweep(**how)

        until(lambda: Wait.objects.filter(expires_at__lte=clock.now("default")).exists(), "the end of the wait's time")
        monkeypatch.setattr(drain.store, "sweep", slow)
        look = drain.last_look.look
        monkeypatch.setattr(drain.last_look, "look", lambda: first.wait(20) and look())
        drain.run()
    assert WorkItem.objects.get(pk=over).state == State.DONE
