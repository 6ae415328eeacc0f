"""Recorded calls in the store: begun once, ended by their owner, and decided by what is recorded."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from runtime.choices import State
from runtime.journal.entries import WHOLE_RUN, Answer, Begin, End, Found, Place
from runtime.models import JournalEntry
from runtime.store.base import Store
from runtime.store.values import Claimed
from tests.contracts.builders import Hand, after, cancelled, moved, put, traces, undone

pytestmark = pytest.mark.django_db


def place(claimed: Claimed, key: str = "charge", **values: Any) -> Place:
    usual = {"base_version": claimed.version, "epoch": claimed.epoch, "version": claimed.version}
    return Place(item=claimed.id, key=key, **(usual | values))


def begin(claimed: Claimed, key: str = "charge", **values: Any) -> Begin:
    where = {name: values.pop(name) for name in ("base_version", "epoch", "version") if name in values}
    usual: dict[str, Any] = {"call": uuid.uuid4(), "name": "bank", "input_hash": "h", "idempotency_key": f"1:{key}"}
    return Begin(place=place(claimed, key, **where), **(usual | values))


def end(begun: Begin, state: str = "succeeded", **values: Any) -> End:
    return End(place=begun.place, call=begun.call, state=state, **values)


def one(store: Store, write: Begin | End) -> Found:
    [found] = store.journal([write])
    return found


def entry(claimed: Claimed, key: str = "charge") -> JournalEntry:
    return JournalEntry.objects.get(work_item=claimed.id, key=key)


@pytest.fixture
def claimed(worker: Hand) -> Claimed:
    put()
    return worker.take()


def test_a_call_is_begun_once_and_its_result_decides_from_then_on(store: Store, claimed: Claimed) -> None:
    first = begin(claimed)
    assert one(store, first) == Found(answer=Answer.WRITTEN, attempts=1)
    row = entry(claimed)
    assert (row.state, row.attempts, row.epoch, row.call_id) == ("started", 1, claimed.epoch, first.call)
    assert (row.name, row.idempotency_key, row.ended_at) == ("bank", "1:charge", None)
    assert one(store, end(first, result='{"paid": [1, "ü"]}')).answer is Answer.WRITTEN
    row = entry(claimed)
    assert (row.state, row.result, row.error) == ("succeeded", {"paid": [1, "ü"]}, None)
    assert row.ended_at is not None
    found = one(store, begin(claimed))
    assert found.answer is Answer.RECORDED
    assert found.entry is not None
    assert (found.entry.state, found.entry.attempts) == ("succeeded", 1)
    assert json.loads(found.entry.result or "") == {"paid": [1, "ü"]}
    assert JournalEntry.objects.count() == 1


def test_a_write_that_is_sent_twice_counts_once(store: Store, claimed: Claimed) -> None:
    first = begin(claimed)
    assert one(store, first) == one(store, first) == Found(answer=Answer.WRITTEN, attempts=1)
    last = end(first, result="1")
    assert one(store, last).answer is one(store, last).answer is Answer.WRITTEN
    assert (entry(claimed).attempts, entry(claimed).state) == (1, "succeeded")
    retried = begin(claimed, "other")
    one(store, retried)
    assert one(store, end(retried, "retry", error="{}")).answer is Answer.WRITTEN
    again = begin(claimed, "other")
    assert one(store, again).attempts == one(store, again).attempts == 2


def test_a_call_to_be_made_again_is_begun_again_and_its_error_is_known(store: Store, claimed: Claimed) -> None:
    first = begin(claimed)
    one(store, first)
    one(store, end(first, "retry", error='{"message": "busy"}'))
    row = entry(claimed)
    assert (row.state, row.error) == ("retry", {"message": "busy"})
    second = begin(claimed)
    assert one(store, second) == Found(answer=Answer.WRITTEN, attempts=2)
    row = entry(claimed)
    assert (row.state, row.call_id, row.ended_at) == ("started", second.call, None)
    assert one(store, end(first, result="1")).answer is Answer.FENCED
    assert one(store, end(second, result="2")).answer is Answer.WRITTEN
    assert (entry(claimed).result, entry(claimed).error) == (2, None)


def test_another_input_is_told_and_never_begun(store: Store, claimed: Claimed) -> None:
    for state in ("started", "retry", "failed", "succeeded"):
        first = begin(claimed, state)
        one(store, first)
        if state != "started":
            one(store, end(first, state, error="{}" if state != "succeeded" else None, result="1"))
        found = one(store, begin(claimed, state, input_hash="x"))
        assert found.answer is Answer.RECORDED
        assert found.entry is not None
        assert (found.entry.state, found.entry.input_hash) == (state, "h")


def test_a_call_in_doubt_is_begun_again_only_in_the_place_of_the_one_that_was_seen(
    store: Store, claimed: Claimed
) -> None:
    first = begin(claimed)
    one(store, first)
    doubt = one(store, begin(claimed))
    assert doubt.entry is not None
    assert (doubt.answer, doubt.entry.state, doubt.entry.call) == (Answer.RECORDED, "started", first.call)
    assert one(store, begin(claimed, replaces=uuid.uuid4())).answer is Answer.RECORDED
    again = begin(claimed, replaces=first.call)
    assert one(store, again) == Found(answer=Answer.WRITTEN, attempts=2)
    late = one(store, begin(claimed, replaces=first.call))
    assert late.entry is not None
    assert late.entry.call == again.call
    assert one(store, end(first, result="1")).answer is Answer.FENCED


def test_the_next_step_calls_anew_and_a_key_of_the_whole_run_does_not(
    store: Store, worker: Hand, claimed: Claimed
) -> None:
    step, run = begin(claimed), begin(claimed, "once", base_version=WHOLE_RUN)
    store.journal([step, run])
    store.journal([end(step, result="1"), end(run, result="2")])
    assert worker.commit(claimed) == State.RUNNING
    later = claimed._replace(version=claimed.version + 1)
    anew, kept = store.journal([begin(later), begin(later, "once", base_version=WHOLE_RUN)])
    assert anew == Found(answer=Answer.WRITTEN, attempts=1)
    assert kept.entry is not None
    assert kept.entry.result == "2"


@pytest.mark.scenario("L26", "B4")
def test_whoever_is_not_the_owner_any_more_writes_nothing(store: Store, claimed: Claimed, other: Hand) -> None:
    first = begin(claimed)
    one(store, first)
    moved(claimed.id, state=State.QUEUED, reason="requeued", fence=True)
    before = list(JournalEntry.objects.values())
    assert one(store, end(first, result="1")).answer is Answer.FENCED
    assert one(store, begin(claimed, "new")).answer is Answer.FENCED
    with after(60):
        now = other.take()
    assert one(store, end(first, result="1")).answer is Answer.FENCED
    assert one(store, begin(claimed, replaces=first.call)).answer is Answer.FENCED
    assert list(JournalEntry.objects.values()) == before
    found = one(store, begin(now))
    assert found.entry is not None
    assert (found.answer, found.entry.state) == (Answer.RECORDED, "started")
    assert one(store, begin(now, replaces=first.call)).attempts == 2
    assert entry(claimed).epoch == now.epoch


@pytest.mark.scenario("L4")
def test_a_cancelled_items_call_stays_as_it_was(store: Store, claimed: Claimed) -> None:
    first = begin(claimed)
    one(store, first)
    cancelled(claimed.id)
    kept = traces(claimed.id), list(JournalEntry.objects.values())
    assert one(store, end(first, result="1")).answer is Answer.FENCED
    assert one(store, begin(claimed, "new")).answer is Answer.FENCED
    assert (traces(claimed.id), list(JournalEntry.objects.values())) == kept


def test_a_step_that_was_left_behind_cannot_write_for_the_next(store: Store, worker: Hand, claimed: Claimed) -> None:
    first = begin(claimed)
    one(store, first)
    worker.commit(claimed)
    assert one(store, end(first, result="1")).answer is Answer.FENCED
    assert one(store, begin(claimed, "late")).answer is Answer.FENCED


@pytest.mark.scenario("L47")
def test_each_write_of_a_batch_is_answered_for_itself(store: Store, worker: Hand) -> None:
    for _ in range(12):
        put()
    items = worker.claim()
    begun = [begin(item) for item in items]
    assert {found.answer for found in store.journal(begun)} == {Answer.WRITTEN}
    cancelled(items[3].id)
    mixed: list[Begin | End] = [
        end(write, result=str(number)) if number % 2 else begin(items[number], "two")
        for number, write in enumerate(begun)
    ]
    mixed[4] = begin(items[4])
    answers = [found.answer for found in store.journal(mixed)]
    assert [number for number, answer in enumerate(answers) if answer is Answer.FENCED] == [3]
    assert [number for number, answer in enumerate(answers) if answer is Answer.RECORDED] == [4]
    assert entry(items[5]).result == 5
    assert store.journal([]) == []


def test_the_journal_is_part_of_a_callers_transaction(store: Store, claimed: Claimed) -> None:
    undone(lambda: one(store, begin(claimed)))
    assert not JournalEntry.objects.exists()


def test_the_journal_leaves_the_item_as_it_is(store: Store, claimed: Claimed) -> None:
    before = traces(claimed.id)
    first = begin(claimed)
    one(store, first)
    one(store, end(first, result="1"))
    assert traces(claimed.id) == before


def test_large_results_are_cut_into_statements_that_fit(
    store: Store, worker: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.store.postgres.arrays.MOST_TEXT", 1000)
    for _ in range(5):
        put()
    begun = [begin(item) for item in worker.claim()]
    store.journal(begun)
    ends = [end(write, result=json.dumps("x" * 700)) for write in begun]
    assert {found.answer for found in store.journal(ends)} == {Answer.WRITTEN}
    assert JournalEntry.objects.filter(state="succeeded").count() == 5
