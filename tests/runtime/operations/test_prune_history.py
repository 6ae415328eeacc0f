"""Old history of an item that stays goes from its beginning on; nothing that it goes on with does."""

from __future__ import annotations

import itertools
import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError

from runtime.exceptions import Forbidden
from runtime.models import Event, JournalEntry, PrunedHistory, Signal, Snapshot, Wait, WorkItem
from runtime.operations.fork import fork
from runtime.operations.import_run import import_run
from runtime.operations.prune import prune
from runtime.operations.prune_history import HistoryPruned, prune_history
from runtime.operations.resume import resume
from runtime.operations.take_up import TakeUp
from runtime.queries import feed, verify
from runtime.queries.explain import explain
from runtime.queries.export import export
from runtime.store import old_history
from tests.factories import EventFactory, JournalEntryFactory, SignalFactory, SnapshotFactory, WaitFactory, now
from tests.runtime.operations.aged import DAY, ended, lived
from tests.runtime.operations.looking import fresh

pytestmark = pytest.mark.django_db

LONGEST_TEST = 120.0


def versions(item: WorkItem) -> list[int]:
    """Return the versions of the snapshots that are kept."""
    return list(Snapshot.objects.filter(work_item=item).order_by("version").values_list("version", flat=True))


def seqs(item: WorkItem) -> list[int]:
    """Return the numbers of the events that are kept."""
    return list(Event.objects.filter(work_item=item).order_by("seq").values_list("seq", flat=True))


def test_what_is_old_goes_and_what_is_younger_stays() -> None:
    item = lived(6, old=4)
    assert (item.event_seq, versions(item)) == (7, [0, 1, 2, 3, 4, 5, 6])
    done = prune_history()
    assert (done.items, done.events, done.snapshots, done.after) == (1, 5, 5, None)
    assert versions(item) == [5, 6]
    assert seqs(item) == [6, 7]
    assert verify.item(item.pk) == []
    assert list(verify.everything()) == []
    assert prune_history() == HistoryPruned()


def test_the_latest_snapshot_and_the_newest_event_stay_however_old() -> None:
    item = lived(3, old=3)
    before = WorkItem.objects.filter(pk=item.pk).values().get()
    prune_history()
    assert (versions(item), seqs(item)) == ([3], [4])
    assert WorkItem.objects.filter(pk=item.pk).values().get() == before, "totals are never pruned"
    assert verify.item(item.pk) == []


@pytest.mark.parametrize("policy", ["interval", "compact"])
def test_gaps_that_other_policies_leave_are_no_hindrance(policy: str) -> None:
    item = lived(6, old=4)
    gone = [1, 3, 5] if policy == "interval" else [0, 1, 2, 3, 4, 5]
    Snapshot.objects.filter(work_item=item, version__in=gone).delete()
    prune_history()
    assert versions(item) == [6]
    assert seqs(item) == [6, 7]


def test_snapshots_that_a_fork_or_a_restored_one_refers_to_stay_and_fork_again() -> None:
    item = lived(6, old=6, engine="echo")
    fork(item.pk, version=2)
    SnapshotFactory(work_item=item, version=7, restored_from=4)
    WorkItem.objects.filter(pk=item.pk).update(version=7)
    prune_history()
    assert versions(item) == [2, 4, 7]
    for version in versions(item):
        made = fork(item.pk, version=version)
        assert (
            Snapshot.objects.get(work_item=made, version=0).data
            == Snapshot.objects.get(work_item=item, version=version).data
        )


def test_the_beginning_of_a_fork_stays() -> None:
    origin = ended(400)
    item = lived(3, old=3, forked_from=origin, forked_version=1)
    prune_history()
    assert versions(item) == [0, 3]


def test_recorded_calls_stay_and_so_do_waits_that_may_still_be_asked_for() -> None:
    item = lived(6, old=4, asked=True)
    JournalEntryFactory(work_item=item, base_version=1, started_at=now(-100 * DAY))
    JournalEntryFactory(work_item=item, base_version=-1, started_at=now(-100 * DAY))
    used = WaitFactory(work_item=item, base_version=1, key="a", kind="signal", state="consumed", consumed_version=2)
    late = WaitFactory(work_item=item, base_version=4, key="b", state="consumed", consumed_version=5)
    still = WaitFactory(work_item=item, base_version=6, key="c", kind="signal", state="resolved")
    SignalFactory(taken_by=used, consumed_version=2)
    taken, free = SignalFactory(taken_by=still), SignalFactory()
    prune_history()
    assert JournalEntry.objects.count() == 2
    assert set(Wait.objects.all()) == {late, still}
    assert set(Signal.objects.all()) == {taken, free}


def test_a_paused_item_resumes_to_what_its_pause_recorded() -> None:
    item = lived(2, old=2, paused=True)
    pause = EventFactory(work_item=item, kind="paused", data={"reason": "signal"}, created_at=now(-99 * DAY))
    EventFactory(work_item=item, kind="log", created_at=now(-98 * DAY))
    WorkItem.objects.filter(pk=item.pk).update(paused_from="waiting")
    prune_history()
    assert seqs(item)[0] == pause.seq
    assert resume(item.pk).reason == "signal"


def test_a_pause_that_was_asked_for_before_the_item_was_held_is_not_forgotten() -> None:
    item = lived(2, old=2, paused=True, reason="held")
    asked = EventFactory(work_item=item, kind="paused", data={"requested": True}, created_at=now(-99 * DAY))
    EventFactory(work_item=item, kind="log", created_at=now(-98 * DAY))
    EventFactory(work_item=item, kind="held", created_at=now(-97 * DAY))
    EventFactory(work_item=item, kind="log", created_at=now(-96 * DAY))
    prune_history()
    assert seqs(item)[0] == asked.seq
    taken = TakeUp(item.pk).execute()
    assert (taken.state, taken.reason) == ("paused", "operator")


def test_a_pause_of_an_earlier_owner_keeps_no_history_of_a_held_item() -> None:
    item = lived(2, old=2, paused=True, reason="held")
    Event.objects.filter(work_item=item, kind="paused").update(epoch=0)
    held = EventFactory(work_item=item, kind="held", created_at=now(-97 * DAY))
    EventFactory(work_item=item, kind="log", created_at=now(-96 * DAY))
    prune_history()
    assert seqs(item)[0] == held.seq


def test_an_item_on_legal_hold_keeps_its_history() -> None:
    item = lived(6, old=6, legal_hold=True)
    assert prune_history() == HistoryPruned()
    assert old_history.trim("default", item.pk, now()) == old_history.Trimmed(), "held since it was looked at"
    assert len(versions(item)) == len(seqs(item)) == 7


def test_nothing_goes_where_the_setting_says_never(settings: Any) -> None:
    settings.ROOST_RETENTION_HISTORY_DAYS = None
    item = lived(6, old=6)
    assert prune_history() == HistoryPruned()
    assert len(versions(item)) == 7


def test_long_histories_go_in_parts_and_a_round_goes_on_where_the_last_one_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(old_history, "ROWS", 2)
    items = sorted([lived(6, old=6), lived(6, old=6)], key=lambda item: item.pk)
    assert prune_history(seconds=0).items == 0
    assert prune_history(after=items[0].pk).items == 1
    assert [versions(item) for item in items] == [[0, 1, 2, 3, 4, 5, 6], [6]]
    assert prune_history().items == 1
    assert list(verify.everything()) == []


def test_the_time_that_is_given_bounds_a_long_history_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_history, "ROWS", 2)
    first, second = sorted([lived(9, old=9), lived(9, old=9)], key=lambda item: item.pk)
    moments = itertools.count()
    ticking = SimpleNamespace(monotonic=lambda: float(next(moments)))
    monkeypatch.setattr("runtime.operations.prune_history.time", ticking)
    done = prune_history(seconds=5.5)
    assert (done.more, done.after) == (True, None)
    assert 0 < done.events < 9
    assert len(versions(second)) == 10
    rounds = 0
    while done.more:
        done = prune_history(after=done.after, seconds=5.5)
        rounds += 1
        assert rounds < 30
    assert [versions(first), versions(second)] == [[9], [9]]


def test_a_history_that_cannot_be_removed_stands_in_nobodys_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = sorted([lived(3, old=3), lived(3, old=3)], key=lambda item: item.pk)
    trim = old_history.trim

    def refuse(using: str, item: Any, cutoff: Any) -> Any:
        if item == first.pk:
            raise IntegrityError("a row of the product's refers to a snapshot")
        return trim(using, item, cutoff)

    monkeypatch.setattr(old_history, "trim", refuse)
    assert prune_history().items == 1
    assert (len(versions(first)), versions(second)) == (4, [3])
    assert str(first.pk) in caplog.text


def test_a_pruned_run_is_told_and_travels() -> None:
    item = lived(6, old=4)
    prune_history()
    assert explain(fresh(item)).enqueued_by == ""
    document = export(item.pk)
    assert document["pruned"]["events_through"] == 5
    copy = import_run(document)
    assert seqs(copy) == [6, 7, 8]
    assert PrunedHistory.objects.get(pk=copy.pk).snapshots_through == 4
    assert list(verify.everything()) == []


def test_a_copy_of_an_old_run_is_kept_from_when_it_came() -> None:
    old = ended(400)
    copy = import_run(export(old.pk))
    assert prune().items == 1
    assert list(WorkItem.objects.all()) == [copy]
    WorkItem.objects.filter(pk=copy.pk).update(updated_at=now(-31 * DAY))
    assert prune().items == 1


def test_verify_still_sees_what_is_missing_beside_what_was_pruned() -> None:
    item = lived(6, old=4)
    prune_history()
    Event.objects.filter(work_item=item, seq=6).delete()
    Snapshot.objects.filter(work_item=item, version=5).delete()
    assert [problem.code for problem in verify.item(item.pk)] == ["events", "snapshots"]


# Readers of all events ----------------------------------------------------------------------------------------------


def later_cursor() -> str:
    """Return a cursor behind all that was pruned.

    Transactions of other tests beside this one hold cursors back, and some play a machine in one of a minute.
    """
    until = time.monotonic() + LONGEST_TEST
    while time.monotonic() < until:
        if not feed.read(cursor := feed.start()).reset:
            return cursor
        time.sleep(0.05)
    raise AssertionError("cursors stay behind")


@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
def test_a_reader_that_has_not_come_as_far_as_what_was_pruned_is_told_to_read_afresh() -> None:
    before = feed.start()
    ended(40)
    assert len(feed.read(before).events) == 2
    prune()
    assert feed.read(before).reset
    page = feed.read(later_cursor())
    assert (page.reset, page.events) == (False, ())
    cursor = later_cursor()
    ended(1)
    assert len(feed.read(cursor).events) == 2


@pytest.mark.django_db(transaction=True)
def test_who_reads_from_the_beginning_is_told_what_is_left() -> None:
    kept = [ended(1), ended(1)]
    ended(40)
    cursor = feed.start(beginning=True)
    prune()
    seen = []
    for _ in range(9):
        page = feed.read(cursor, limit=1)
        assert not page.reset
        seen += [event.item for event in page.events]
        cursor = page.cursor
        if not page.more:
            break
    assert seen == [kept[0].pk] * 2 + [kept[1].pk] * 2


def test_only_who_may_prunes() -> None:
    with pytest.raises(Forbidden):
        prune_history(by=User.objects.create_user("ada"))
