"""The thread beside the pump: it never takes from those who could not help being late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from runtime.choices import Reason, State
from runtime.models import Event, Lease, Worker, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.store import get_store
from runtime.store.values import Held, SweepReport
from runtime.worker import duties
from runtime.worker.drain import Drain
from runtime.worker.duties import Duties
from runtime.worker.options import WorkerOptions
from runtime.worker.stop import StopToken
from tests.contracts.builders import Hand, until
from tests.factories import WorkItemFactory, now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def make_drain() -> Iterator[Callable[[], Drain]]:
    made: list[Drain] = []

    def make() -> Drain:
        made.append(Drain(WorkerOptions.defaults(get_store().using), StopToken()))
        made[-1].crew.async_lane.start()
        return made[-1]

    yield make
    for one in made:
        one.crew.async_lane.stop()


@pytest.fixture
def drain(make_drain: Callable[[], Drain]) -> Drain:
    return make_drain()


@pytest.mark.scenario("L26", "B17")
def test_after_a_suspend_of_the_host_leases_are_renewed_before_any_is_taken(
    drain: Drain, make_drain: Callable[[], Drain], monkeypatch: pytest.MonkeyPatch
) -> None:
    drain.crew.registration.enter()
    sibling = make_drain()
    sibling.crew.registration.enter()
    monkeypatch.setattr("runtime.worker.takeover.is_settled", lambda using: True)
    monkeypatch.setattr("runtime.worker.takeover.find_living", lambda using: [])
    enqueue("hop", {"steps": 1})
    (claimed,) = sibling.store.claim(sibling.request(1))
    Lease.objects.update(expires_at=now(-1))
    asleep = duties.now() + 60
    monkeypatch.setattr(duties, "now", lambda: asleep)

    drain.crew.sweeper._let_others_beat_after_a_stall()
    drain.crew.sweeper._sweep()
    assert Lease.objects.get().worker_id == sibling.worker
    sibling.store.renew(sibling.worker, [Held(claimed.id, claimed.epoch)])

    monkeypatch.setattr(duties, "now", lambda: asleep + 10)
    drain.crew.sweeper._sweep()
    assert WorkItem.objects.get().deaths == 0
    assert Lease.objects.get().worker_id == sibling.worker


@pytest.mark.scenario("L42", "B1")
def test_a_database_that_has_just_come_back_gives_at_once_what_the_dead_held(
    drain: Drain, make_drain: Callable[[], Drain], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, living = make_drain(), make_drain()
    for one in (drain, dead, living):
        one.crew.registration.enter()
    Worker.objects.filter(pk=dead.worker).update(process_started="1")
    monkeypatch.setattr("runtime.worker.takeover.is_settled", lambda using: False)
    enqueue("hop", {"steps": 1}), enqueue("hop", {"steps": 1})
    (lost,), (kept,) = (one.store.claim(one.request(1)) for one in (dead, living))
    Lease.objects.update(expires_at=now(-1))
    drain.crew.sweeper._sweep()
    assert WorkItem.objects.get(pk=lost.id).reason == Reason.RECOVERED
    assert Lease.objects.get().pk == kept.id


def test_a_thread_that_was_not_held_up_sweeps_in_its_turn(drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[int] = []
    monkeypatch.setattr("runtime.worker.takeover.is_settled", lambda using: True)
    monkeypatch.setattr("runtime.worker.takeover.is_quiet", lambda using, me: False)
    store = type(drain.store)
    before = store.sweep

    def sweep(self: object, **values: object) -> object:
        swept.append(1)
        return before(self, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "sweep", sweep)
    drain.crew.sweeper._let_others_beat_after_a_stall()
    drain.crew.sweeper._sweep()
    assert swept == [1]


@pytest.mark.scenario("B1", "F5")
@pytest.mark.parametrize("written", [0, 2], ids=["before anything was written", "after a part was written"])
def test_a_database_that_goes_away_in_the_midst_of_a_sweep_strands_nothing(
    drain: Drain, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    monkeypatch.setattr("runtime.worker.takeover.is_settled", lambda using: True)
    monkeypatch.setattr("runtime.worker.takeover.find_living", lambda using: [])
    monkeypatch.setattr("runtime.conf.Settings.SWEEP_SECONDS", 0.01)
    lost, store = Hand(), type(drain.store)
    pks = [enqueue("hop", {"steps": 1}).pk for _ in range(5)]
    lost.claim()
    Lease.objects.update(expires_at=now(-1))
    sweep, outages = store.sweep, iter(range(3))

    def cut_off(self: Any, *, batch: int, **values: Any) -> SweepReport:
        if next(outages, None) is None:
            return sweep(self, batch=batch, **values)
        if written:
            sweep(self, batch=written, **values)
        with transaction.atomic():
            sweep(self, batch=1, **values)
            end_session()
        raise AssertionError("the session has ended")

    monkeypatch.setattr(store, "sweep", cut_off)
    drain.crew.sweeper.start()
    try:
        until(lambda: not WorkItem.objects.filter(state=State.RUNNING).exists(), "the last recovery")
    finally:
        drain.crew.sweeper.stop()
    assert next(outages, None) is None, "the sweep went on before the database had come back"
    assert set(WorkItem.objects.values_list("pk", "reason", "deaths")) == {(pk, "recovered", 1) for pk in pks}
    assert Event.objects.filter(kind="recovered").count() == 5


def end_session() -> None:
    """Lose this thread's session as a restart of the database would lose it; raises what the driver raises."""
    if connection.vendor == "sqlite":
        raise OperationalError("disk I/O error")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.scenario("B3")
def test_held_items_that_the_workers_code_goes_on_with_are_taken_up(drain: Drain) -> None:
    fits = WorkItemFactory(paused=True, reason=Reason.HELD, engine="hop", away_since=now(-60))
    of_another = WorkItemFactory(paused=True, reason=Reason.HELD, engine="gone", away_since=now(-60))
    drain.crew.sweeper.start()
    try:
        until(lambda: WorkItem.objects.get(pk=fits.pk).state == State.QUEUED, "taking it up")
    finally:
        drain.crew.sweeper.stop()
    assert WorkItem.objects.get(pk=of_another.pk).reason == Reason.HELD


@pytest.mark.scenario("L26", "B17")
def test_a_heartbeat_does_not_wait_for_a_sweep(drain: Drain, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ROOST_HEARTBEAT_SECONDS = 0.1
    monkeypatch.setattr("runtime.worker.takeover.is_settled", lambda using: True)
    monkeypatch.setattr("runtime.worker.takeover.is_quiet", lambda using, me: False)
    inside, over = threading.Event(), threading.Event()

    def long(*_args: Any, **_values: Any) -> SweepReport:
        inside.set()
        over.wait(20)
        return SweepReport()

    monkeypatch.setattr(type(drain.store), "sweep", long)
    drain.crew.registration.enter()
    drain.crew.sweeper.start()
    try:
        assert inside.wait(20)
        before = Worker.objects.get(pk=drain.worker).heartbeat_at
        drain.crew.housekeeping.start()
        until(lambda: Worker.objects.get(pk=drain.worker).heartbeat_at > before, "a heartbeat")
        assert not over.is_set()
    finally:
        over.set()
        drain.crew.sweeper.stop()
        drain.crew.housekeeping.stop()
    assert not drain.crew.sweeper.is_alive()


def test_where_the_database_refuses_a_heartbeat_no_time_that_has_passed_counts_for_the_sweep(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled, swept = iter([True, False]), []
    monkeypatch.setattr("runtime.worker.takeover.is_settled", lambda using: next(settled))
    monkeypatch.setattr("runtime.worker.takeover.is_quiet", lambda using, me: False)
    monkeypatch.setattr(drain.crew.sweeper, "take_back", lambda only_dead: swept.append(only_dead) or SweepReport())
    drain.crew.sweeper._sweep()
    drain.crew.housekeeping._refused(lost=False)
    drain.crew.sweeper._sweep_at = 0.0
    drain.crew.sweeper._sweep()
    assert swept == [False, True]


def test_where_the_database_was_lost_expired_leases_count_three_beats_after_it_is_back(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the server says that it has been up for hours, as a promoted standby does."""
    swept: list[bool] = []
    time = [100.0]
    monkeypatch.setattr("runtime.conf.Settings.HEARTBEAT_SECONDS", 2.0)
    monkeypatch.setattr("runtime.worker.takeover.is_settled", lambda using: True)
    monkeypatch.setattr("runtime.worker.takeover.is_quiet", lambda using, me: False)
    monkeypatch.setattr("runtime.worker.duties.now", lambda: time[0])
    sweeper = drain.crew.sweeper
    monkeypatch.setattr(sweeper, "take_back", lambda only_dead: swept.append(only_dead) or SweepReport())
    sweeper.unsettle(lost=True)
    for time[0] in (101.0, 105.9, 106.0):
        sweeper._sweep_at = 0.0
        sweeper._sweep()
    assert swept == [True, True, False]
    sweeper.unsettle(lost=True)
    assert not sweeper.is_settled(), "nor for a worker that ends when it is idle"


def test_a_worker_that_starts_while_the_database_is_away_lets_the_living_come_back_first(
    drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def enter() -> None:
        tried.append("")
        if len(tried) == 1:
            raise OperationalError("away")

    monkeypatch.setattr("runtime.worker.takeover.is_settled", lambda using: True)
    monkeypatch.setattr("runtime.worker.crew.RETRY_SECONDS", 0.0)
    monkeypatch.setattr(drain.crew.registration, "enter", enter)
    for thread in (drain.crew.async_lane, drain.crew.housekeeping, drain.crew.sweeper, drain.crew.link):
        monkeypatch.setattr(thread, "start", lambda: None)
    assert drain.crew.sweeper.is_settled()
    assert drain.crew.open()
    assert not drain.crew.sweeper.is_settled()
    drain.crew.link.close()


def test_what_unsettles_a_sweep_while_it_asks_is_not_forgotten(drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeper = drain.crew.sweeper

    def asked(using: str) -> bool:
        sweeper.unsettle(lost=False)
        return True

    monkeypatch.setattr("runtime.worker.takeover.is_settled", asked)
    assert not sweeper._settle()


@pytest.mark.parametrize("lost", [True, False])
def test_a_thread_of_duties_knows_a_refusal_from_a_loss(lost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []

    class Refused(Duties):
        def _refused(self, *, lost: bool) -> None:
            told.append(lost)
            self._ending.set()

    def refuse() -> None:
        raise OperationalError

    monkeypatch.setattr(type(connections["default"]), "is_usable", lambda self: not lost)
    thread = Refused("roost-test", "default")
    thread._duties = (refuse,)
    thread.run()
    assert told == [lost]
