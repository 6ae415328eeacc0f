"""What is enqueued while `runtime.testing.inline` stands there runs at once, as its transaction ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TestCase, TransactionTestCase, override_settings

from runtime.choices import Reason, State
from runtime.exceptions import RoostError
from runtime.models import Event, Lease, Snapshot, WorkItem
from runtime.operations.approve import approve
from runtime.operations.enqueue import aenqueue, enqueue
from runtime.operations.enqueue_many import enqueue_many
from runtime.operations.signal import send_signal
from runtime.operations.triggers import set_trigger
from runtime.testing import drain, inline
from tests.runtime.inlining import ENGINES, Refused, in_both_cases, order, signed


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the engines of these tests and no others."""
    settings.ROOST_ENGINES = ENGINES


# When it runs -------------------------------------------------------------------------------------------------------


@in_both_cases
@pytest.mark.parametrize("payload", [{"count_to": 3}, {"count_to": 3, "sleep": 0}])
def test_an_item_has_run_to_its_end_when_enqueue_returns(payload: Any) -> None:
    with inline():
        item = enqueue("counter", payload)
    assert (item.state, item.version, item.result) == (State.DONE, 3, {"count": 3})
    assert Snapshot.objects.filter(work_item=item).count() == 4
    kinds = list(Event.objects.filter(work_item=item).order_by("seq").values_list("kind", flat=True))
    assert kinds == ["enqueued", "claimed", "step", "step", "step", "done"]
    assert not Lease.objects.exists()


@in_both_cases
def test_it_runs_when_the_products_transaction_has_ended_and_not_before() -> None:
    with inline():
        with transaction.atomic():
            Group.objects.create(name="order")
            with transaction.atomic():
                item = enqueue("signs", {"name": "a"})
            with transaction.atomic(savepoint=False):
                enqueue_many([{"engine": "signs", "payload": {"name": name}} for name in "bc"])
            assert (item.state, signed()) == (State.QUEUED, ["order"])
        assert signed() == ["order", "a", "b", "c"]
        with transaction.atomic(savepoint=False):
            enqueue("signs", {"name": "d"})
            assert "d" not in signed()
        assert "d" in signed()
        with transaction.atomic(durable=True):
            enqueue("signs", {"name": "e"})
        assert "e" in signed()


@in_both_cases
def test_what_was_rolled_back_does_not_run() -> None:
    with inline():
        with pytest.raises(Refused):
            order("all", refused=True)
        with transaction.atomic():
            enqueue("signs", {"name": "kept"})
            with pytest.raises(Refused):
                order("part", refused=True)
        with transaction.atomic():
            enqueue("signs", {"name": "undone"})
            transaction.set_rollback(True)
    assert signed() == ["kept"]
    assert WorkItem.objects.count() == 1


@in_both_cases
def test_async_code_has_its_items_run_too() -> None:
    async def view() -> WorkItem:
        return await aenqueue("counter", {"count_to": 2})

    with inline():
        assert async_to_sync(view)().state == State.DONE


@in_both_cases
def test_the_same_key_gives_the_item_that_was_run() -> None:
    with inline():
        first = enqueue("signs", {"name": "once"}, idempotency_key="k")
        again = enqueue("signs", {"name": "once"}, idempotency_key="k")
    assert (again.pk, again.state) == (first.pk, State.DONE)
    assert signed() == ["once"]


@pytest.mark.django_db
def test_nothing_runs_by_itself_once_the_block_is_left() -> None:
    before = BaseDatabaseWrapper.on_commit, transaction.Atomic.__exit__
    with inline(), inline(skip_delays=True):
        assert enqueue("counter", {"count_to": 1}, delay=60).state == State.DONE
    assert (BaseDatabaseWrapper.on_commit, transaction.Atomic.__exit__) == before
    with transaction.atomic():
        item = enqueue("counter", {"count_to": 1})
    item.refresh_from_db()
    assert item.state == State.QUEUED


@pytest.mark.django_db
def test_only_the_products_own_hooks_wait_for_the_test_to_run_them(django_capture_on_commit_callbacks: Any) -> None:
    with inline():
        transaction.on_commit(lambda: enqueue("signs", {"name": "hook"}) and None)
        assert not WorkItem.objects.exists()
        with django_capture_on_commit_callbacks(execute=True):
            transaction.on_commit(lambda: enqueue("signs", {"name": "caught"}) and None)
    assert signed() == ["caught"]


# How far it goes ----------------------------------------------------------------------------------------------------


@in_both_cases
def test_what_steps_enqueue_runs_after_them_in_order() -> None:
    with inline():
        enqueue("signs", {"name": "a", "then": ["b", "c"]})
    assert signed() == ["a", "b", "c"]


@in_both_cases
def test_children_run_and_their_parent_goes_on() -> None:
    with inline():
        parent = enqueue("calls")
    assert (parent.state, parent.result) == (State.DONE, ["done", "done"])
    assert set(signed()) == {"from a step", "first", "second"}


@in_both_cases
def test_triggers_fire_and_what_they_enqueue_runs() -> None:
    set_trigger("after", engine="counter", on="done", target="signs", payload={"name": "told"})
    with inline():
        enqueue("counter", {"count_to": 1})
    assert signed() == ["told"]


@in_both_cases
def test_an_item_that_waits_stays_there_until_somebody_answers() -> None:
    with inline():
        item = enqueue("asks")
        assert (item.state, item.reason) == (State.WAITING, Reason.APPROVAL)
        approve(item.pk, actor="ann")
        item.refresh_from_db()
        assert (item.state, item.reason) == (State.WAITING, Reason.SIGNAL)
        with transaction.atomic():
            send_signal("paid", 120, item=item.pk)
        item.refresh_from_db()
    assert (item.state, item.result) == (State.DONE, 120)


@in_both_cases
def test_delays_wait_for_the_clock_unless_they_are_skipped() -> None:
    with inline():
        assert enqueue("counter", {"count_to": 3, "delay_seconds": 9}).version == 1
        assert enqueue("counter", {"count_to": 1}, delay=60).state == State.QUEUED
    with inline(skip_delays=True):
        assert enqueue("counter", {"count_to": 2, "delay_seconds": 9}).state == State.DONE
    assert set(WorkItem.objects.values_list("state", flat=True)) == {State.DONE}


@pytest.mark.django_db
def test_other_engines_are_left_to_a_worker() -> None:
    with inline(engines=["signs"]):
        assert enqueue("counter", {"count_to": 1}).state == State.QUEUED
        assert enqueue("signs", {"name": "a"}).state == State.DONE


@in_both_cases
def test_work_that_never_ends_is_an_error_and_not_a_test_that_hangs() -> None:
    with inline(max_steps=5), pytest.raises(RoostError, match="after 5 steps"):
        enqueue("endless")
    assert WorkItem.objects.filter(state=State.DONE).count() == 5


# How it is asked for ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.usefixtures("roost_inline")
def test_a_fixture_stands_for_the_whole_test() -> None:
    assert enqueue("counter", {"count_to": 1}).state == State.DONE


@pytest.mark.django_db
@pytest.mark.roost_inline(raises=False, skip_delays=True)
def test_a_marker_gives_the_fixture_its_options() -> None:
    assert enqueue("counter", {"count_to": 1}, delay=5).state == State.DONE
    assert enqueue("signs", {"name": "a", "refused": True}, max_attempts=1).state == State.FAILED


@pytest.mark.django_db
@inline()
def test_a_decorator_does_it_for_a_function() -> None:
    assert enqueue("counter", {"count_to": 1}).state == State.DONE


@pytest.fixture
def quiet() -> Iterator[None]:
    """Leave what is enqueued before the block to it."""
    enqueue("signs", {"name": "before"})
    yield
    drain()


@pytest.mark.usefixtures("db", "quiet")
def test_what_was_due_before_runs_with_the_first_that_is_told() -> None:
    with inline():
        assert signed() == []
        enqueue("signs", {"name": "after"})
        assert signed() == ["before", "after"]


@override_settings(ROOST_ENGINES=ENGINES)
class InTestCase(TestCase):
    """As a product without pytest has it."""

    @classmethod
    def setUpTestData(cls) -> None:
        """Have items run in the data of the class."""
        with inline():
            cls.item = enqueue("counter", {"count_to": 1})

    def setUp(self) -> None:
        """Stand for each test."""
        self.enterContext(inline())

    def test_items_run_in_a_test_case(self) -> None:
        assert self.item.state == State.DONE
        with transaction.atomic():
            enqueue("signs", {"name": "a"})
        assert signed() == ["a"]
        assert connection.in_atomic_block


@override_settings(ROOST_ENGINES=ENGINES)
class InTransactionTestCase(TransactionTestCase):
    """The same without a transaction around each test."""

    def setUp(self) -> None:
        """Stand for each test."""
        self.enterContext(inline())

    def test_items_run_in_a_transaction_test_case(self) -> None:
        assert not connection.in_atomic_block
        with transaction.atomic():
            enqueue("signs", {"name": "a"})
        assert signed() == ["a"]
