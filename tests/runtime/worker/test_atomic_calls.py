"""Recorded calls of atomic steps: beside the transaction, and without writing in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from runtime.choices import EventKind, State
from runtime.exceptions import CallFailed
from runtime.models import JournalEntry, WorkItem
from runtime.operations.enqueue import enqueue
from tests.ledger.models import Entry
from tests.runtime.worker.calling import Calling, note, put, read, told, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("calling")]


@pytest.mark.parametrize("how", ["row", "enqueue"])
def test_what_an_atomic_step_calls_may_not_write_to_the_work_database(how: str, run: Callable[[], Any]) -> None:
    def write() -> None:
        if how == "row":
            Entry.objects.create(item=item.pk, number=1, pid=0)
        else:
            enqueue("async", {})

    def handled(ctx: Any) -> Any:
        with pytest.raises(CallFailed, match="wrote to the work database"):
            ctx.run("k", write)
        Entry.objects.create(item=item.pk, number=2, pid=0)
        return Entry.objects.count()

    item = put("atomic", handled)
    run()
    assert (read(item).state, read(item).result) == (State.DONE, [1])
    assert list(Entry.objects.values_list("number", flat=True)) == [2]
    assert WorkItem.objects.count() == 1
    assert JournalEntry.objects.get().error["code"] == "write_in_call"


def test_what_an_atomic_step_calls_may_read(run: Callable[[], Any]) -> None:
    item = put("atomic", lambda ctx: ctx.run("k", lambda: WorkItem.objects.filter(state="running").count()))
    run()
    assert read(item).result == [1]


def test_what_an_async_step_calls_may_write(run: Callable[[], Any]) -> None:
    item = put("async", lambda ctx: ctx.run("k", lambda: Entry.objects.create(item=item.pk, number=1, pid=0).number))
    run()
    assert read(item).result == [1]


def test_a_row_and_a_call_of_an_atomic_step_are_there_once_each(run: Callable[[], Any]) -> None:
    def both(ctx: Any) -> Any:
        result = ctx.run("k", note, 1)
        Entry.objects.create(item=item.pk, number=1, pid=0)
        return result

    item = put("atomic", both, fails=2)
    run()
    assert (read(item).state, Entry.objects.count(), Calling.called) == (State.DONE, 1, [1])


@pytest.mark.scenario("L46")
def test_a_deadlock_after_a_call_runs_the_step_again_and_not_the_call(run: Callable[[], Any]) -> None:
    tries: list[int] = []

    def deadlocks_once(ctx: Any) -> Any:
        result = ctx.run("k", note, 1)
        tries.append(1)
        if len(tries) == 1:
            cause = Exception()
            cause.sqlstate = "40P01"  # type: ignore[attr-defined]
            raise OperationalError("deadlock detected") from cause
        return result

    item = put("atomic", deadlocks_once)
    run()
    assert (read(item).state, read(item).attempt, len(tries), Calling.called) == (State.DONE, 0, 2, [1])
    assert told(item, EventKind.REPLAYED) == [{"key": "k"}]


def test_a_call_after_the_first_write_is_refused_on_sqlite_and_works_on_postgresql() -> None:
    def wrong_order(ctx: Any) -> Any:
        Entry.objects.create(item=item.pk, number=1, pid=0)
        return ctx.run("k", note, 1)

    item = put("atomic", wrong_order)
    work()
    found = read(item)
    if connection.vendor == "sqlite":
        assert (found.state, found.last_error["code"]) == (State.FAILED, "call_after_write")
        assert "write afterwards" in found.last_error["message"]
        assert Calling.called == []
    else:
        assert (found.state, Entry.objects.count(), Calling.called) == (State.DONE, 1, [1])
