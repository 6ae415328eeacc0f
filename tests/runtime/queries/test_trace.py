"""A trace tells a whole run in one page that nothing in the run can break out of."""

from __future__ import annotations

import datetime as dt
import uuid
from html.parser import HTMLParser
from typing import Any

import pytest

from runtime.choices import EventKind, JournalState, Reason, State, WaitState
from runtime.models import JournalEntry, Wait, WorkItem
from runtime.operations.approve import approve
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import fork
from runtime.operations.pause import pause
from runtime.operations.requeue import requeue
from runtime.operations.resume import resume
from runtime.queries import trace as traces
from runtime.queries import weight
from runtime.queries.trace import trace
from runtime.queries.trace_page import page, shown
from runtime.store.values import NewEvent
from runtime.testing import advance, drain
from tests.contracts.asking import park, wait_for
from tests.contracts.builders import Hand, put
from tests.factories import ArtifactFactory, EventFactory, SnapshotFactory, WorkItemFactory, now

pytestmark = pytest.mark.django_db

HOSTILE = "</script><img src=x onerror=alert(1)>{{ 1|add:1 }}\"'"


class Reader(HTMLParser):
    """Collects the elements, attributes and text of a page, and whether every element is closed."""

    VOID = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _value in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def full(text: str) -> WorkItem:
    """Write an item that has the text wherever a step or a person may have put one."""
    item = WorkItemFactory(failed=True, version=1, payload={text: text}, last_error={"message": text})
    SnapshotFactory(work_item=item, version=2, data={text: [text]}, label=text[:200])
    EventFactory(work_item=item, kind=EventKind.LOG, data={"message": text}, reason=text, actor=text)
    JournalEntry.objects.create(
        work_item=item,
        key=text,
        name=text,
        base_version=1,
        input_hash="h",
        idempotency_key="i",
        call_id=uuid.uuid4(),
        epoch=1,
        started_at=now(),
        state=JournalState.FAILED,
        error={"message": text},
        result={text: 1},
    )
    Wait.objects.create(
        work_item=item,
        key=text,
        base_version=1,
        kind="input",
        state=WaitState.CONSUMED,
        prompt=text,
        created_at=now(),
        resolution=text,
        resolved_by=text,
    )
    ArtifactFactory(work_item=item, name="a<b>.txt")
    WorkItemFactory(parent=item, relation=text[:50])
    fork(item.pk, version=1)
    return item


def test_nothing_that_was_written_by_agents_or_people_becomes_markup() -> None:
    text = page(trace(full(HOSTILE)))
    read = Reader(text)
    assert read.open == []
    assert {"script", "img", "a", "link", "iframe", "form", "input"}.isdisjoint(read.tags)
    assert not any(name.startswith("on") or name in ("src", "href", "style") for name in read.attributes)
    assert read.text.count(HOSTILE) >= 8
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert "https://" not in text


def test_everything_of_the_run_is_in_the_page() -> None:
    item = full("MARK")
    read = Reader(page(trace(item)))
    for part in (str(item.pk), "version 2: MARK", "/MARK", "a<b>.txt", "failed", "Recorded calls", "Waits", "Children"):
        assert part in read.text
    assert str(item.forks.get().pk) in read.text


def test_the_time_line_tells_when_it_was_what_and_on_which_worker(settings: Any) -> None:
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}
    item = enqueue("counter", {"count_to": 2})
    with advance(10):
        hand = Hand()
        claimed = hand.take()
    with advance(15):
        hand.commit(claimed, State.QUEUED, reason=Reason.CONTINUE)
    with advance(17):
        hand.commit(hand.take(), State.QUEUED, reason=Reason.CONTINUE)
    with advance(18):
        pause(item.pk)
    with advance(28):
        resume(item.pk)
    with advance(30):
        found = trace(item)
    told = [(one.state, round(one.seconds)) for one in found.spans]
    # The last step's own event does not say whether its item left the worker; the next one does.
    assert told == [("queued", 10), ("running", 5), ("queued", 2), ("running", 1), ("paused", 10), ("queued", 2)]
    assert [one.worker for one in found.spans if one.worker] == [str(hand.id)] * 2


ASKED = (NewEvent(kind=EventKind.ASKED),)


def asking() -> uuid.UUID:
    """Return an item that waits for an approval."""
    pk, hand = put(), Hand()
    assert park(hand, hand.take(), wait_for("plan", "approval"), events=ASKED) == State.WAITING
    return pk


def spans(pk: uuid.UUID) -> list[tuple[str, int]]:
    """Return the states of an item's time line, and their seconds."""
    with advance(30):
        return [(one.state, round(one.seconds)) for one in trace(WorkItem.objects.get(pk=pk)).spans]


@pytest.mark.parametrize("cut", [False, True])
def test_an_item_that_waits_is_drawn_as_waiting_again_after_a_pause(monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    pk = asking()
    with advance(5):
        pause(pk)
    with advance(10):
        resume(pk, reason="go on")
    with advance(20):
        assert approve(pk, actor="ann").state == State.QUEUED
    drawn = [("waiting", 5), ("paused", 5), ("waiting", 10), ("queued", 10)]
    if cut:
        monkeypatch.setattr(traces, "MOST_EVENTS", 4)  # the pause is the first that is told of
        drawn = drawn[1:]
    assert [span for span in spans(pk) if span[1]] == drawn


def test_an_item_paused_as_it_began_to_wait_is_drawn_as_waiting_once_it_is_resumed() -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    pause(pk)
    park(hand, claimed, wait_for("plan", "approval"), events=ASKED)
    with advance(10):
        resume(pk)
    assert [span for span in spans(pk) if span[1]] == [("paused", 10), ("waiting", 20)]


def test_an_item_that_waits_again_after_it_was_brought_back_is_drawn_so() -> None:
    pk = asking()
    with advance(5):
        cancel(pk)
    with advance(10):
        requeue(pk, reason="after all")
    assert [span for span in spans(pk) if span[1]] == [("waiting", 5), ("waiting", 20)]


def test_an_item_reopened_with_new_input_is_drawn_as_queued_from_then_on() -> None:
    pk, hand = put(engine="counter"), Hand()
    hand.commit(hand.take(), State.DONE, result="1", events=(NewEvent(kind=EventKind.DONE),))
    with advance(20):
        follow_up(pk, input={"more": 1})
    assert [span for span in spans(pk) if span[1]] == [("queued", 10)]


def test_the_time_line_of_an_ended_run_ends_with_it(settings: Any) -> None:
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}
    item = enqueue("counter", {"count_to": 2})
    drain(skip_delays=True)
    with advance(3600):
        found = trace(item)
    assert found.spans[-1].end <= WorkItem.objects.get(pk=item.pk).finished_at + dt.timedelta(seconds=1)
    assert {one.state for one in found.spans} == {"queued", "running"}
    assert found.steps.rows[1].duration is not None
    assert found.steps.rows[1].change is not None


def test_long_runs_are_cut_at_the_front_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MOST_ROWS", 2)
    monkeypatch.setattr(traces, "MOST_EVENTS", 1)
    item = WorkItemFactory(done=True, version=4)
    found = trace(item)
    assert ([step.snapshot.version for step in found.steps.rows], found.steps.left_out) == ([3, 4], 3)
    assert (len(found.events.rows), found.events.left_out) == (1, 1)
    assert "3 earlier snapshots are left out" in Reader(page(found)).text


def test_lists_of_large_rows_are_cut_where_there_is_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    item = WorkItemFactory(done=True, version=3)
    for snapshot in item.snapshots.all():
        item.snapshots.filter(pk=snapshot.pk).update(data={"log": "x" * 1000})
    monkeypatch.setattr(weight, "ROOM", 2500)
    found = trace(item)
    assert ([step.snapshot.version for step in found.steps.rows], found.steps.left_out) == ([2, 3], 2)
    monkeypatch.setattr(weight, "ROOM", 10)
    assert [step.snapshot.version for step in trace(item).steps.rows] == [3], "one at least"


def test_what_the_product_masks_by_its_name_is_masked_in_changes_too(settings: Any) -> None:
    settings.ROOST_REDACT = f"{__name__}.without_iban"
    item = WorkItemFactory(version=2)
    item.snapshots.all().delete()
    for version in (1, 2):
        SnapshotFactory(work_item=item, version=version, data={"iban": f"DE-{version}", "n": version})
    told = page(trace(item))
    assert "DE-" not in told
    assert "/n" in told


def without_iban(value: Any) -> Any:
    """Mask what this product holds for secret."""
    return {**value, "iban": "…"} if isinstance(value, dict) and "iban" in value else value


def test_an_item_that_nothing_happened_to_has_a_page_too() -> None:
    assert "No step has committed yet." in page(trace(WorkItemFactory()))


def test_a_long_value_is_cut() -> None:
    assert len(shown("x" * 100_000)) < 5000
    assert shown(None) == ""


def test_a_trace_that_is_handed_on_holds_no_secret() -> None:
    said = "Bearer sesame-of-mine"
    secret = {"api_key": "sesame", "url": "https://ann:sesame@db.example/", "said": said}
    item = WorkItemFactory(failed=True, version=2, payload=secret, config=secret, last_error={"message": said})
    item.snapshots.all().delete()
    for version in (1, 2):
        data = {**secret, "api_key": f"sesame {version}"}
        SnapshotFactory(work_item=item, version=version, data=data, label=secret["url"])
    EventFactory(work_item=item, data=secret, reason=said)
    told = page(trace(item))
    assert "sesame" not in told
    assert "api_key" in told
    assert "[redacted]" in told
