"""Atomic steps: the rows a step writes and its snapshot, together or not at all."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from runtime.choices import State
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.models import Event, WorkItem
from runtime.models import Snapshot as SnapshotRow
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.testing import drain
from runtime.worker import atomic
from tests.ledger.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)
sqlite_only = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="how SQLite takes its one write lock")


class Writer(Engine):
    """Writes a row and then does what the payload says."""

    calls = 0

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        type(self).calls += 1
        number = snapshot.data["n"] + 1
        Entry.objects.create(item=item.id, number=number, pid=0)
        getattr(self, item.payload["then"])(item)
        return Continue({"n": number}) if number < 3 else Complete(number)

    def nothing(self, item: Item) -> None:
        """Go on."""

    def fail(self, item: Item) -> None:
        raise ValueError("after the row")

    def hook_fails(self, item: Item) -> None:
        transaction.on_commit(lambda: 1 / 0)

    def is_cancelled(self, item: Item) -> None:
        WorkItem.objects.filter(pk=item.id).update(epoch=99)

    def deadlock_once(self, item: Item) -> None:
        if type(self).calls == 1:
            cause = Exception()
            cause.sqlstate = "40P01"  # type: ignore[attr-defined]
            raise OperationalError("deadlock detected") from cause

    def break_a_rule(self, item: Item) -> None:
        raise IntegrityError("the product's own constraint")

    def nested(self, item: Item) -> None:
        with transaction.atomic():
            Entry.objects.create(item=item.id, number=100, pid=0)
        try:
            with transaction.atomic():
                Entry.objects.create(item=item.id, number=200, pid=0)
                raise KeyError
        except KeyError:
            pass


@pytest.fixture(autouse=True)
def writer(settings: Any) -> None:
    settings.ROOST_ENGINES = {"writer": f"{__name__}.Writer"}
    Writer.calls = 0


def run(then: str) -> WorkItem:
    item = enqueue("writer", {"then": then}, max_attempts=1)
    drain(max_steps=3)
    item.refresh_from_db()
    return item


def numbers() -> list[int]:
    return sorted(Entry.objects.values_list("number", flat=True))


def test_rows_and_snapshots_of_each_step_are_there_once() -> None:
    assert run("nothing").state == State.DONE
    assert numbers() == [1, 2, 3]


def test_a_step_that_fails_leaves_no_row_and_its_failure_is_kept() -> None:
    item = run("fail")
    assert (item.state, item.version, item.last_error["message"]) == (State.FAILED, 0, "after the row")
    assert numbers() == []


def test_a_hook_that_fails_after_the_commit_is_no_failed_step() -> None:
    item = run("hook_fails")
    assert (item.state, item.attempt) == (State.DONE, 0)
    assert numbers() == [1, 2, 3]


@pytest.mark.scenario("L26", "B4")
def test_the_rows_of_a_step_that_was_fenced_off_are_gone_with_it() -> None:
    item = run("is_cancelled")
    assert item.version == 0
    assert numbers() == []
    assert not SnapshotRow.objects.exists()
    assert not Event.objects.filter(kind="step").exists()


@pytest.mark.scenario("L46")
def test_a_deadlock_runs_the_step_again_and_costs_no_attempt() -> None:
    item = run("deadlock_once")
    assert (item.state, item.attempt, Writer.calls) == (State.DONE, 0, 4)
    assert numbers() == [1, 2, 3]


@pytest.mark.scenario("B9")
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no row locks")
def test_an_item_row_that_others_keep_locked_is_waited_for_in_bounds_and_costs_no_attempt(settings: Any) -> None:
    settings.ROOST_LOCK_TIMEOUT_MS = 200
    item = enqueue("writer", {"then": "nothing"}, max_attempts=1)
    holder = connection.copy()
    claim = atomic.execute.run_sync

    def lock_it_first(*args: Any) -> Any:
        if Writer.calls == 0:
            holder.set_autocommit(False)
            with holder.cursor() as cursor:
                cursor.execute("SELECT FROM roost_workitem WHERE id = %s FOR UPDATE", [item.pk])
        elif holder.connection is not None:
            holder.close()
        return claim(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic.execute, "run_sync", lock_it_first)
        drain(max_steps=3)
    item.refresh_from_db()
    assert (item.state, item.attempt, Writer.calls) == (State.DONE, 0, 4)
    assert numbers() == [1, 2, 3]


def test_an_error_of_the_products_own_constraints_is_the_steps_failure() -> None:
    item = run("break_a_rule")
    assert (item.state, item.last_error["type"]) == (State.FAILED, "IntegrityError")


def test_transactions_of_the_steps_own_are_part_of_it() -> None:
    assert run("nested").state == State.DONE
    assert numbers() == [1, 2, 3, 100, 100, 100]


@sqlite_only
def test_until_its_first_write_a_step_locks_nobody_out_on_sqlite() -> None:
    with atomic.step_transaction("default"):
        Entry.objects.count()
        assert _others_may_write()
        Entry.objects.create(item=WorkItem().pk, number=1, pid=0)
        assert not _others_may_write()
    assert _others_may_write()
    assert numbers() == [1]


@sqlite_only
def test_what_others_wrote_after_the_steps_first_read_does_not_break_its_write_on_sqlite() -> None:
    with atomic.step_transaction("default"):
        assert Entry.objects.count() == 0
        other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        other.execute("INSERT INTO ledger_entry (item, number, pid) VALUES ('x', 7, 0)")
        other.close()
        with transaction.atomic():
            Entry.objects.create(item=WorkItem().pk, number=1, pid=0)
    assert numbers() == [1, 7]


@sqlite_only
def test_a_step_that_fails_gives_the_write_lock_back_on_sqlite() -> None:
    with pytest.raises(KeyError):
        _write_and_fail()
    assert numbers() == []
    assert _others_may_write()
    with transaction.atomic():
        Entry.objects.create(item=WorkItem().pk, number=2, pid=0)
    assert numbers() == [2]


def _write_and_fail() -> None:
    with atomic.step_transaction("default"):
        Entry.objects.create(item=WorkItem().pk, number=1, pid=0)
        raise KeyError


def _others_may_write() -> bool:
    other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        other.close()
    return True


def test_cancel_of_a_queued_item_between_two_steps_stops_it() -> None:
    item = enqueue("writer", {"then": "nothing"})
    drain(max_steps=1, until=lambda: WorkItem.objects.get(pk=item.pk).version == 1)
    cancel(item.pk)
    drain()
    item.refresh_from_db()
    assert (item.state, item.version) == (State.CANCELLED, 1)
    assert numbers() == [1]
