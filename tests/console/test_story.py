"""An item's story step by step, and its states side by side."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from runtime.choices import EventKind
from runtime.models import Event, Snapshot, WorkItem
from tests.console.conftest import Page
from tests.factories import (
    ArtifactFactory,
    EventFactory,
    JournalEntryFactory,
    SnapshotFactory,
    WaitFactory,
    WorkerFactory,
    WorkItemFactory,
    now,
)


def url(item: WorkItem, page: str = "story") -> str:
    return reverse(f"admin:roost_workitem_{page}", args=[item.pk])


def text_of(client: Client, item: WorkItem, page: str = "story", **query: Any) -> str:
    answer = client.get(url(item, page), query)
    assert answer.status_code == 200
    shown = Page(answer)
    assert shown.refused == []
    return shown.text


def test_the_story_and_the_page_tell_what_was_used(boss: Client) -> None:
    item = WorkItemFactory(waiting=True, version=1, tokens_total=12_350, cost_total=31_200)
    worker = WorkerFactory().pk
    for seq, kind, data in (
        (2, EventKind.RETRY, {"message": "no", "usage": {"tokens": 50, "cost": 0}}),
        (3, EventKind.STEP, {"usage": {"tokens": 12_300, "cost": 31_200}}),
        (4, EventKind.LOG, {"usage": {"tokens": 1, "cost": 1}}),
    ):
        version = int(kind != EventKind.RETRY)
        EventFactory(work_item=item, seq=seq, kind=kind, version=version, worker=worker, duration=0.1, data=data)
    assert "Used 12,350 tokens, $0.0312" in " ".join(text_of(boss, item).split())
    page = boss.get(reverse("admin:roost_workitem_change", args=[item.pk]))
    assert "Used 12,350 tokens, $0.0312" in " ".join(Page(page).text.split())


def with_steps(count: int) -> WorkItem:
    """Make an item with so many steps, each claimed and committed."""
    item: WorkItem = WorkItemFactory(waiting=True)
    worker, moment = WorkerFactory().pk, now()
    events = [
        Event(
            work_item=item,
            seq=2 + 2 * step + half,
            kind=kind,
            version=step + half,
            epoch=1,
            worker=worker,
            reason=f"label {step + 1}" if half else "",
            duration=0.25 if half else None,
            created_at=moment,
        )
        for step in range(count)
        for half, kind in enumerate((EventKind.CLAIMED, EventKind.STEP))
    ]
    Event.objects.bulk_create(events)
    WorkItem.objects.filter(pk=item.pk).update(event_seq=1 + len(events), version=count)
    item.refresh_from_db()
    return item


def test_a_step_is_told_with_all_that_belongs_to_it(boss: Client) -> None:
    item = WorkItemFactory(waiting=True, version=2)
    first, second = WorkerFactory(), WorkerFactory()
    error = {"type": "Oops", "message": "it rains <b>", "traceback": "Traceback: line 7"}
    told: list[dict[str, Any]] = [
        {"kind": EventKind.CLAIMED, "version": 1, "worker": first.pk},
        {"kind": EventKind.RETRY, "version": 1, "worker": first.pk, "duration": 1.0, "data": error},
        {"kind": EventKind.CLAIMED, "version": 1, "worker": second.pk},
        {"kind": EventKind.STEP, "version": 2, "worker": second.pk, "duration": 2.5, "reason": "second look"},
        {"kind": EventKind.PRIORITY, "version": 2, "actor": "ann", "reason": "it is urgent"},
    ]
    for one in told:
        EventFactory(work_item=item, **one)
    belongs = [
        JournalEntryFactory(work_item=item, base_version=1, key="call-a", state="started", attempts=2),
        WaitFactory(work_item=item, base_version=1, key="budget", prompt="May it cost more?"),
        ArtifactFactory(work_item=item, version=2, name="report.txt"),
    ]
    Event.objects.filter(work_item=item, seq=1).update(actor="bob", reason="the first one was lost")
    answer = boss.get(url(item))
    text = Page(answer).text
    for row in belongs:
        leads_to = reverse(f"admin:roost_{row._meta.model_name}_change", args=[row.pk])
        assert f'href="{leads_to}"' in answer.content.decode()
    for shown in (
        *("Step 2 · second look", f"{first} → {second}", "2.5 s", "it rains <b>", "line 7", "? in doubt", "call-a"),
        *("budget", "May it cost more?", "report.txt", "ann", "it is urgent", "This is the end of the story so far."),
        "bob · the first one was lost",
    ):
        assert str(shown) in text


def test_a_long_story_is_paged_and_every_step_is_told_once(boss: Client) -> None:
    item = with_steps(60)
    seen: list[str] = []
    after = 0
    while True:
        answer = boss.get(url(item), {"after": after})
        seen += [row.told.chapter.label for row in answer.context["steps"]]
        after = answer.context["run"].next
        if after is None:
            break
    assert seen == [f"label {number}" for number in range(1, 61)]
    assert "label 60" in text_of(boss, item, after=item.event_seq - 20)


@pytest.mark.parametrize("after", ["x", "-1", "9" * 40, "1" * 18])
def test_a_place_that_is_none_is_the_beginning_or_the_end(after: str, boss: Client) -> None:
    assert boss.get(url(with_steps(1)), {"after": after}).status_code == 200


def test_ten_thousand_events_cost_little(boss: Client) -> None:
    item = with_steps(5000)
    change = reverse("admin:roost_workitem_change", args=[item.pk])
    for page in (url(item), f"{url(item)}?after={item.event_seq - 150}", change):
        times = []
        for _look in range(3):  # a busy machine is not what is measured
            with CaptureQueriesContext(connection) as queries:
                boss.get(page)
            assert len(queries) <= 20
            times.append(sum(float(query["time"]) for query in queries.captured_queries))
        assert min(times) < 0.3, page


def test_the_number_of_queries_does_not_follow_the_steps(boss: Client) -> None:
    counts = []
    for steps in (1, 20):
        with CaptureQueriesContext(connection) as queries:
            boss.get(url(with_steps(steps)))
        counts.append(len(queries))
    assert counts[1] - counts[0] == 0, counts


def test_any_version_is_shown_and_compared_with_any_other(boss: Client) -> None:
    item = WorkItemFactory(done=True, version=3)
    Snapshot.objects.filter(work_item=item, version=1).update(data={"count": 1, "gone": None, "list": [1]})
    Snapshot.objects.filter(work_item=item, version=3).update(data={"count": 3, "new": "<b>", "list": [1, 2]})
    assert "State after step 3" in text_of(boss, item, "state")
    text = text_of(boss, item, "state", version=3, against=1)
    for shown in ("/count", "/gone - removed null", "/new + added", '"<b>"', "/list/1 + added 2"):
        assert shown in text
    assert "Nothing." in text_of(boss, item, "state", version=2, against=2)
    assert "There is no snapshot of version 9." in text_of(boss, item, "state", version=9)


def test_secrets_of_states_are_masked_in_both_sides_of_a_difference(boss: Client) -> None:
    item = WorkItemFactory(done=True, version=0, snapshots=False)
    for version in (0, 1):
        SnapshotFactory(work_item=item, version=version, data={"password": f"swordfish {version}", "n": version})
    text = text_of(boss, item, "state", version=1, against=0)
    assert "swordfish" not in text
    assert "/n" in text
    assert "/password" not in text


def test_an_item_without_a_story_says_so_and_an_unknown_one_is_not_found(boss: Client) -> None:
    item = WorkItemFactory()
    assert "No step has begun yet" in text_of(boss, item)
    assert "None yet" in text_of(boss, item, "state")
    for page in ("story", "state"):
        unknown = reverse(f"admin:roost_workitem_{page}", args=["0190aaaa-0000-7000-8000-000000000000"])
        assert boss.get(unknown).status_code == 404


def test_an_items_page_leads_to_its_story_and_its_states(boss: Client) -> None:
    item = WorkItemFactory(done=True)
    html = boss.get(reverse("admin:roost_workitem_change", args=[item.pk])).content.decode()
    assert url(item) in html
    assert url(item, "state") in html
