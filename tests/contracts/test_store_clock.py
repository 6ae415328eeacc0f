"""Times come from the database's clock at the moment of the statement, not of the transaction."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection, transaction

from runtime import clock
from runtime.choices import State
from runtime.models import Lease, WorkItem
from tests.contracts.builders import Hand, item, put

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.scenario("L51", "B12")
def test_a_step_of_a_long_transaction_leaves_its_due_time_behind_its_end() -> None:
    pk = put()
    hand = Hand()
    claimed = hand.take()
    with transaction.atomic():
        WorkItem.objects.count()
        began = clock.now("default")
        _let_time_pass()
        assert hand.store.commit([hand.outcome(claimed, State.QUEUED, delay=600.0)]) == {pk: State.QUEUED}
    due_in = (item(pk).run_at - began).total_seconds()
    assert 600.4 < due_in < 605
    assert (item(pk).updated_at - began).total_seconds() > 0.4


@pytest.mark.scenario("L51")
def test_a_lease_taken_inside_a_long_transaction_lives_as_long_as_any_other() -> None:
    put()
    hand = Hand()
    with transaction.atomic():
        began = clock.now("default")
        _let_time_pass()
        hand.take()
    lease = Lease.objects.get()
    assert lease.expires_at - began > dt.timedelta(seconds=15.4)
    assert lease.acquired_at - began > dt.timedelta(seconds=0.4)


def _let_time_pass() -> None:
    """Let half a second go by on the database's clock inside the open transaction."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_sleep(0.5)")
            return
    until = clock.now("default") + dt.timedelta(seconds=0.5)
    while clock.now("default") < until:
        pass


@pytest.mark.scenario("B21", "L30")
def test_the_sweep_leaves_work_alone_that_waits_for_its_time() -> None:
    later, retried = put(delay=3600.0), put()
    hand = Hand()
    hand.store.commit([hand.outcome(hand.take(), State.QUEUED, advance=False, delay=1800.0, reason="retry")])
    before = {pk: (item(pk).run_at, item(pk).event_seq) for pk in (later, retried)}
    for _ in range(3):
        hand.store.sweep(batch=100)
    assert {pk: (item(pk).run_at, item(pk).event_seq) for pk in (later, retried)} == before
    assert hand.claim() == []
