"""A run can be told from its beginning, step by step, in words, however long it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runtime.choices import EventKind, JournalState, State, WaitKind, WaitState
from runtime.models import Event, JournalEntry, Wait, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.pause import pause
from runtime.operations.resume import resume
from runtime.queries import explain as explaining
from runtime.queries.explain import Run, explain
from runtime.queries.telling import sentences
from runtime.testing import drain
from tests.contracts.builders import Hand, put
from tests.factories import now
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the engine that has something to tell."""
    settings.ROOST_ENGINES = {"eventful": "tests.runtime.queries.stories.Eventful"}


def look(item: WorkItem) -> WorkItem:
    return WorkItem.objects.get(pk=item.pk)


def text(run: Run) -> str:
    return "\n".join("  " * depth + line for depth, line in sentences(run))


def pages(item: WorkItem, limit: int) -> list[Run]:
    found = [explain(item, limit=limit)]
    while (after := found[-1].next) is not None:
        found.append(explain(item, after=after, limit=limit))
    return found


def test_a_run_is_told_with_its_steps_failures_files_children_and_end() -> None:
    item = enqueue("eventful", {"steps": 4}, actor="cli:ann", max_steps=50)
    drain(skip_delays=True, engines=["eventful"])
    run = explain(look(item))
    assert [(told.chapter.step, told.chapter.attempts) for told in run.steps] == [(1, 1), (2, 3), (3, 1), (4, 1)]
    third = run.steps[2]
    assert [file.name for file in third.files] == ["report.txt"]
    assert third.chapter.counts == {"log lines": 2, "artifacts": 1, "children": 1}
    assert (run.next, run.opens, run.children) == (None, True, {"queued": 1})
    told = text(run)
    for part in (
        "by cli:ann for engine 'eventful' 1.",
        'payload {"steps": 4}',
        "at most 3 attempts of a step, 50 steps",
        "Step 1 (part 1): committed",
        "Step 2 (part 2): committed",
        "at attempt 3.",
        "RetryableError (transient): not yet",
        "artifact 'report.txt' (report, 11 bytes)",
        "2 log lines",
        "Step 4 (the end): committed",
        "Now: Ended as done",
        'result {"made": 4}',
    ):
        assert part in told, told


def test_hand_overs_between_workers_are_told() -> None:
    pk, mortal, heir = put(), Hand(), Hand()
    claimed = mortal.take()
    mortal.commit(claimed)
    mortal.die()
    heir.commit(heir.take(), initial=None)
    run = explain(WorkItem.objects.get(pk=pk))
    assert [len(told.workers) for told in run.steps] == [1, 2]
    assert run.steps[0].taken_over_from == ""
    second = explain(WorkItem.objects.get(pk=pk), after=run.steps[0].chapter.last_seq)
    assert second.steps[0].workers == run.steps[1].workers
    assert f"on worker {' then '.join(second.steps[0].workers)}" in text(second)


def test_a_step_that_another_worker_begins_names_the_one_before() -> None:
    pk, first, second = put(), Hand(), Hand()
    first.commit(first.take(), State.QUEUED)
    second.commit(second.take(), initial=None)
    run = explain(WorkItem.objects.get(pk=pk))
    assert run.steps[1].taken_over_from == run.steps[0].workers[0]
    assert "taken over from worker" in text(explain(WorkItem.objects.get(pk=pk), after=run.steps[0].chapter.last_seq))


def test_what_people_did_is_told_where_it_happened() -> None:
    item = enqueue("eventful", {"steps": 9})
    drain(max_steps=1, engines=["eventful"])
    pause(item.pk, actor="ann", reason="lunch")
    resume(item.pk, actor="bob")
    cancel(item.pk, actor="eve", reason="enough")
    run = explain(look(item))
    kinds = [(one.kind, one.actor, one.reason) for one in run.steps[1].chapter.happenings]
    assert ("paused", "ann", "lunch") in kinds
    assert kinds[-1] == ("cancelled", "eve", "enough")
    assert "Step 2: not committed." in text(run)
    assert "cancelled by eve: enough" in text(run)


def entry(item: WorkItem, base: int, key: str, state: str, **values: Any) -> None:
    usual = {"input_hash": "0" * 64, "idempotency_key": key, "epoch": item.epoch, "started_at": now(), **values}
    if any(field.name == "call_id" for field in JournalEntry._meta.fields):
        usual["call_id"] = item.pk
    JournalEntry.objects.create(work_item=item, base_version=base, key=key, state=state, **usual)


def wait(item: WorkItem, base: int, key: str, **values: Any) -> None:
    usual = {"kind": WaitKind.APPROVAL, "created_at": now(), **values}
    Wait.objects.create(work_item=item, base_version=base, key=key, **usual)


def test_calls_and_waits_stand_at_the_step_that_made_them() -> None:
    item = enqueue("eventful", {"steps": 9})
    drain(max_steps=1, engines=["eventful"])
    item = look(item)
    entry(item, 0, "charge", JournalState.SUCCEEDED, name="stripe", attempts=2)
    entry(item, 1, "mail", JournalState.STARTED)
    entry(item, -1, "account", JournalState.SUCCEEDED)
    wait(item, 0, "refund", state=WaitState.CONSUMED, resolved_by="ann")
    run = explain(item)
    told = text(run)
    assert "call 'charge' to stripe, 2 times: succeeded" in told
    assert "call 'account': succeeded, once for the whole run" in told
    assert "asked for approval 'refund': consumed by ann" in told
    assert [call.key for call in run.whole_run_calls] == ["account"]
    assert [call.key for call in run.steps[0].calls] == ["charge"]
    assert [(call.key, call.in_doubt) for call in run.steps[1].calls] == [("mail", True)]
    assert "call 'mail': IN DOUBT" in told


def test_a_call_that_is_being_made_is_not_in_doubt() -> None:
    item = rows.running(rows.worker(), event_seq=1)
    rows.event(item, 2, EventKind.CLAIMED)
    WorkItem.objects.filter(pk=item.pk).update(event_seq=2)
    entry(item, 0, "mail", JournalState.STARTED)
    assert not explain(look(item)).steps[0].calls[0].in_doubt


def test_a_call_in_doubt_is_told_once_however_often_its_step_meets_it() -> None:
    item = rows.item(event_seq=6)
    doubts = [("pay", 1), ("pay", 1), ("mail", 1), ("pay", 2), ("pay", 2)]
    for seq, (key, attempts) in enumerate(doubts, 2):
        values = {"kind": EventKind.IN_DOUBT, "data": {"key": key, "attempts": attempts}}
        Event.objects.filter(work_item=item, seq=seq).update(**values)
    [told] = explain(look(item)).steps
    happenings = [one.data for one in told.chapter.happenings if one.kind == EventKind.IN_DOUBT]
    assert [(one["key"], one["attempts"]) for one in happenings] == [("pay", 1), ("mail", 1), ("pay", 2)]


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_tell_what_the_whole_tells(limit: int) -> None:
    item = enqueue("eventful", {"steps": 6})
    drain(skip_delays=True, engines=["eventful"])
    whole = explain(look(item))
    found = pages(look(item), limit)
    assert [told for page in found for told in page.steps] == list(whole.steps)
    assert [page.opens for page in found].count(True) == 1
    told = "\n".join(text(page) for page in found)
    assert (told.count("Enqueued "), told.count("Now: ")) == (1, 1)


@pytest.mark.scenario("L34")
def test_a_page_reads_a_bounded_number_of_rows_however_long_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "MOST_EVENTS", 20)
    item = rows.item(event_seq=205)
    Event.objects.filter(work_item=item, seq__gt=1).update(kind=EventKind.LOG)
    found = pages(item, 50)
    assert len(found) == 11
    assert sum(page.steps[0].chapter.counts.get("log lines", 0) for page in found if page.steps) == 204


def test_a_page_makes_a_fixed_number_of_queries() -> None:
    counts = []
    for steps in (3, 12):
        item = enqueue("eventful", {"steps": steps})
        drain(skip_delays=True, engines=["eventful"])
        with CaptureQueriesContext(connection) as made:
            explain(look(item))
        counts.append(len(made))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("payload", [{"steps": 1, "text": "x" * 5000}, {"steps": 1, "text": "\x1b[2J"}])
def test_what_agents_write_is_cut_and_stays_one_line(payload: Any) -> None:
    told = text(explain(look(enqueue("eventful", payload))))
    assert max(map(len, told.splitlines())) < 400
    assert "\x1b" not in told
