"""An item with more rows than a transaction should remove goes in parts, and is nobody's any more meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from runtime import faults
from runtime.exceptions import Conflict, NotFound
from runtime.faults import InjectedFault, Plan
from runtime.models import Artifact, Event, JournalEntry, PrunedHistory, Signal, Snapshot, Wait, WorkItem
from runtime.operations.acknowledge import acknowledge
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import fork
from runtime.operations.hold import hold
from runtime.operations.prune import cutoffs, finish, prune
from runtime.operations.redrive import redrive
from runtime.operations.requeue import requeue
from runtime.queries import verify
from runtime.queries.export import export
from runtime.queries.why import why
from runtime.store import going, heavy, retention
from tests.factories import (
    ArtifactFactory,
    EventFactory,
    JournalEntryFactory,
    SignalFactory,
    WaitFactory,
    WorkItemFactory,
    now,
)
from tests.ledger.models import Invoice, Order, Receipt
from tests.properties.worldly import rows_of
from tests.runtime.operations.aged import ended
from tests.runtime.operations.looking import fresh

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folder")]

ROWS = 7
MANY = 10


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a transaction take few rows."""
    monkeypatch.setattr(heavy, "ROWS", ROWS)


def with_events(item: WorkItem) -> None:
    for _ in range(MANY):
        EventFactory(work_item=item)


def with_calls(item: WorkItem) -> None:
    for _ in range(MANY):
        JournalEntryFactory(work_item=item)


def with_files(item: WorkItem) -> None:
    for number in range(MANY):
        ArtifactFactory(work_item=item, name=f"file {number}")


def with_signals(item: WorkItem) -> None:
    for number in range(MANY):
        wait = WaitFactory(
            work_item=item, kind="signal", base_version=0, key=f"w{number}", state="consumed", consumed_version=1
        )
        SignalFactory(taken_by=wait, consumed_version=1)
        SignalFactory(target=item)


def with_children(item: WorkItem) -> None:
    for _ in range(MANY):
        ended(40, parent=item)


def with_forks(item: WorkItem) -> None:
    for _ in range(MANY):
        ended(1, forked_from=item, forked_version=0)


MADE_HEAVY: list[Callable[[WorkItem], None]] = [
    *(with_events, with_calls, with_files, with_signals, with_children, with_forks)
]


def heavy_item(*makers: Callable[[WorkItem], None], state: str = "done") -> WorkItem:
    """Return an item that may go, with as many rows of these kinds."""
    item = ended(40 if state == "done" else 100, state=state, version=9)
    for make in makers or MADE_HEAVY:
        make(item)
    return fresh(item)


def ticking() -> SimpleNamespace:
    """Return a clock on which each look takes a second."""
    moments = itertools.count()
    return SimpleNamespace(monotonic=lambda: float(next(moments)))


@contextmanager
def sizes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Collect how many rows each transaction removes."""
    found: list[int] = []
    take = retention.take

    def counted(*given: Any) -> Any:
        done = take(*given)
        found.append(sum(done.rows.values()))
        return done

    with monkeypatch.context() as patched:
        patched.setattr(retention, "take", counted)
        yield found


@pytest.mark.parametrize("make", MADE_HEAVY, ids=lambda make: make.__name__)
def test_an_item_goes_in_transactions_of_bounded_size_whatever_it_has_many_of(
    make: Callable[[WorkItem], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    item = heavy_item(make)
    light = ended(39)
    with sizes(monkeypatch) as found:
        done = prune()
    assert not WorkItem.objects.filter(pk__in=[item.pk, light.pk]).exists()
    assert done.kept == 0
    assert max(found) <= ROWS + 2, "the item itself, and the row that says that it is going"
    assert list(verify.everything()) == []
    for model in (Event, Snapshot, JournalEntry, Artifact, Wait):
        assert not model._default_manager.filter(work_item=item.pk).exists()
    assert not Signal.objects.exists()


def test_a_batch_has_no_more_rows_than_one_transaction_removes(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        ended(40 + number)
    with sizes(monkeypatch) as found:
        assert prune().items == 12
    assert max(found) <= ROWS + 2


@pytest.mark.slow
def test_the_children_of_a_heavy_item_go_with_it() -> None:
    item = heavy_item(with_children)
    grandchild = ended(40, parent=item.children.first())
    done = prune()
    assert (done.items, done.kept) == (MANY + 2, 0)
    assert not WorkItem.objects.filter(pk=grandchild.pk).exists()


@pytest.mark.slow
@pytest.mark.parametrize("state", ["done", "failed"])
def test_wherever_it_is_cut_off_what_is_left_is_sound_and_nobodys_any_more(state: str) -> None:
    item = heavy_item(state=state)
    cuts = 0
    while WorkItem.objects.filter(pk=item.pk).exists():
        cuts += 1
        assert cuts < 100
        with faults.planned(Plan(point="prune.before", action="raise", nth=2)):
            try:
                prune(items=[item.pk])
            except InjectedFault:
                look_at_what_is_left(item)
    assert cuts > 8
    assert list(verify.everything()) == []


def look_at_what_is_left(item: WorkItem) -> None:
    """See that the item is sound and that nobody can do anything with it."""
    assert list(verify.everything()) == []
    assert PrunedHistory.objects.get(pk=item.pk).going_since is not None
    assert "being_removed" in why(fresh(item)).codes
    before = rows_of(item.pk)
    back = [redrive, partial(acknowledge, reason="seen")] if item.state == "failed" else [requeue]
    for verb in (*back, follow_up, fork, lambda pk: hold(pk, reason="late")):
        with pytest.raises(Conflict, match="is being removed now"):
            verb(item.pk)
    with pytest.raises(NotFound, match="is being removed now"):
        export(item.pk)
    assert rows_of(item.pk) == before


def wait_for(item: WorkItem) -> None:
    WaitFactory(kind="children", data={"children": [str(item.pk)], "need": "all", "on_failure": "wait"})


def protect(item: WorkItem) -> None:
    Receipt.objects.create(item=item)


def protect_a_file(item: WorkItem) -> None:
    Receipt.objects.create(file=item.artifacts.first())


def protect_an_order(item: WorkItem) -> None:
    Invoice.objects.create(order=Order.objects.create(item=item))


@pytest.mark.parametrize("keep", [wait_for, protect, protect_a_file, protect_an_order], ids=lambda keep: keep.__name__)
def test_a_heavy_item_that_has_to_stay_loses_nothing_and_stands_in_nobodys_way(
    keep: Callable[[WorkItem], None],
) -> None:
    item, light = heavy_item(), ended(39)
    keep(item)
    before = rows_of(item.pk)
    done = prune(items=[item.pk, light.pk])
    assert (done.items, done.kept) == (1, 1)
    assert rows_of(item.pk) == before
    assert not PrunedHistory.objects.exists()
    assert requeue(item.pk).state == "queued"


def test_a_heavy_item_that_was_brought_back_is_left_alone() -> None:
    item = WorkItemFactory(version=6)
    with_events(item)
    before = rows_of(item.pk)
    wanted = retention.Wanted(cutoffs={"done": now()})
    assert retention.take("default", wanted, [item.pk]).kept == {item.pk}
    assert rows_of(item.pk) == before


def test_an_order_of_the_products_goes_with_its_item() -> None:
    item = ended(40)
    Order.objects.create(item=item)
    assert prune().items == 1
    assert not Order.objects.exists()


@pytest.mark.slow
def test_rounds_without_time_still_come_to_the_end_of_a_heavy_item(monkeypatch: pytest.MonkeyPatch) -> None:
    item = heavy_item()
    monkeypatch.setattr("runtime.operations.prune.time", ticking())
    place, rounds = None, 0
    while WorkItem.objects.filter(pk=item.pk).exists():
        done = prune(seconds=2.5, after=place)
        place, rounds = done.place, rounds + 1
        assert rounds < 300
        assert done.more or done.place is None
    assert rounds > 3
    assert list(verify.everything()) == []


def test_a_heavy_item_does_not_hold_up_what_comes_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going, "LOOK", 1)
    item = heavy_item(with_events, with_calls, with_files)
    behind = [ended(35 - number) for number in range(3)]
    monkeypatch.setattr("runtime.operations.prune.time", ticking())
    done = prune(seconds=13.5)
    assert WorkItem.objects.filter(pk=item.pk).exists()
    assert not WorkItem.objects.filter(pk__in=[one.pk for one in behind]).exists()
    assert done.more, "the heavy one is still to be finished"


def test_what_a_shorter_period_began_to_remove_is_finished(settings: Any) -> None:
    settings.ROOST_RETENTION_DAYS = None
    item = ended(10)
    with_events(item)
    ended(9)
    assert prune(older_than=1, limit=1).items == 1
    assert going.is_going(item.pk, using="default")
    assert prune().items == 0, "by its own time it would stay, and nobody could use it"
    assert finish().items == 1
    assert not WorkItem.objects.filter(pk=item.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_a_heavy_item_loses_nothing_while_its_fork_is_in_somebodys_hands(folder: Path) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer")
    item = heavy_item(with_events)
    made = ended(40, forked_from=item, forked_version=0)
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM roost_workitem WHERE id = %s FOR NO KEY UPDATE", [made.pk])
        wanted = going.Wanted(cutoffs=cutoffs(now()), items=frozenset({item.pk}))
        assert retention.take("default", wanted, [item.pk]).kept == {item.pk}
        assert not going.is_going(item.pk, using="default")
    finally:
        other.rollback()
        other.close()
