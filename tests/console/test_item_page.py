"""An item's page: its story, bounded, and as far as the user may see it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from runtime.choices import EventKind
from runtime.models import Lease, Worker, WorkItem
from runtime.operations.fork import fork
from tests.console.conftest import Page
from tests.factories import (
    ERROR,
    ArtifactFactory,
    EventFactory,
    JournalEntryFactory,
    ResourceClaimFactory,
    SnapshotFactory,
    WaitFactory,
    WorkerFactory,
    WorkItemFactory,
)

VIEWS = ("view_workitem", "view_event", "view_snapshot", "view_lease", "view_artifact", "view_resourceclaim")


def page_of(client: Client, item: WorkItem) -> Page:
    answer = client.get(reverse("admin:roost_workitem_change", args=[item.pk]))
    assert answer.status_code == 200
    return Page(answer)


def with_story(events: int) -> WorkItem:
    """Make a running item with as many events, snapshots, claims, artifacts and children."""
    item: WorkItem = WorkItemFactory(running=True)
    for number in range(events):
        EventFactory(work_item=item, worker=WorkerFactory().pk)
        SnapshotFactory(work_item=item, version=number)
        ResourceClaimFactory(work_item=item)
        ArtifactFactory(work_item=item)
        WaitFactory(work_item=item, key=f"question {number}")
        JournalEntryFactory(work_item=item, key=f"call {number}")
        WorkItemFactory(parent=item)
        WorkItemFactory(forked_from=item, forked_version=0, relation="fork")
    return item


def test_the_head_tells_how_far_the_step_is_to_who_may_read_it(staff: Any, log_in: Any) -> None:
    told = {"fraction": 0.42, "note": "page 3 of 7", "step": 1}
    item = WorkItemFactory(running=True, lease_row__progress=told)
    seeing = page_of(log_in(staff(*VIEWS, "view_payload", name="seeing")), item)
    assert "Progress 42 % · page 3 of 7" in " ".join(seeing.text.split())
    assert "page 3 of 7" not in page_of(log_in(staff(*VIEWS, name="blind")), item).text
    without_leases = [name for name in VIEWS if name != "view_lease"]
    assert "page 3 of 7" not in page_of(log_in(staff(*without_leases, "view_payload", name="apart")), item).text


def test_the_page_shows_owner_events_snapshots_claims_artifacts_and_children(boss: Client) -> None:
    item = WorkItemFactory(running=True, version=2, step_label="second look")
    event = EventFactory(work_item=item, kind=EventKind.RECOVERED, actor="", reason="lease_expired")
    claim = ResourceClaimFactory(work_item=item)
    artifact = ArtifactFactory(work_item=item)
    child = WorkItemFactory(parent=item, engine="offspring")
    text = page_of(boss, item).text
    worker = Worker.objects.get(pk=Lease.objects.get(pk=item.pk).worker_id)
    for shown in (item.pk, worker, "second look", event.get_kind_display(), claim.resource.key, artifact.name):
        assert str(shown) in text
    assert artifact.sha256 in text
    assert f"{child.pk}" in text
    assert "State after step 2" in text


def test_a_fork_leads_to_its_original_and_back(boss: Client) -> None:
    item = WorkItemFactory(done=True, version=2)
    first, second = fork(item.pk, version=1), fork(item.pk, engine_version="2")
    page = page_of(boss, first)
    assert f"Forked from {item.pk} , version 1" in page.text
    assert "Forks" not in page.text
    page = page_of(boss, item)
    assert "Forked from" not in page.text
    assert f"{second.pk} ○ queued counter 2 2 0 {first.pk} ○ queued counter 1 1 0" in page.text, page.text
    html = boss.get(reverse("admin:roost_workitem_change", args=[first.pk])).content.decode()
    assert reverse("admin:roost_workitem_change", args=[item.pk]) in html
    WorkItem.objects.filter(pk=first.pk).update(forked_from=None)  # as when the original was pruned
    assert "Forked from an item that is gone, version 1" in page_of(boss, first).text


def test_the_head_names_what_an_item_is_found_by_where_that_is_not_the_usual(boss: Client) -> None:
    usual, named = WorkItemFactory(), WorkItemFactory(namespace="acme", pool="gpu", idempotency_key="invoice-7")
    head = page_of(boss, named).text.partition("Timeline")[0]
    for fact in ("Idempotency key invoice-7", "Namespace acme", "Pool gpu"):
        assert fact in head
        assert fact.rpartition(" ")[0] not in page_of(boss, usual).text.partition("Timeline")[0]


def test_the_page_says_why_the_item_is_where_it_is(boss: Client) -> None:
    holder = ResourceClaimFactory()
    wanted = {"key": holder.resource.key, "mode": "exclusive", "units": 1, "scope": "step"}
    item = WorkItemFactory(reason="resource", limited=True, resources=[wanted])
    ResourceClaimFactory(resource=holder.resource, work_item=item, held=False)
    answer = boss.get(reverse("admin:roost_workitem_change", args=[item.pk]))
    assert f"Resource {holder.resource.key} is held by item {holder.work_item_id}" in Page(answer).text
    leads_to = reverse("admin:roost_workitem_change", args=[holder.work_item_id])
    assert f'<a href="{leads_to}">Look at that item</a>' in answer.content.decode()


def test_a_long_story_makes_the_queries_of_a_short_one(boss: Client) -> None:
    counts = []
    for size in (1, 50):
        item = with_story(size)
        with CaptureQueriesContext(connection) as queries:
            page_of(boss, item)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[1] <= 20, counts


def test_sections_are_bounded_and_lead_to_all_rows(boss: Client) -> None:
    item = with_story(50)
    page = boss.get(reverse("admin:roost_workitem_change", args=[item.pk])).context["page"]
    short = (page.snapshots, page.artifacts, page.claims, page.waits, page.calls)
    for section, most in ((page.events, 30), *((section, 10) for section in short)):
        assert len(section.rows) == most
        assert section.more
        rows = boss.get(section.all_url).context["cl"].queryset
        assert rows.count() >= 50
        assert set(rows.values_list("work_item_id", flat=True)) == {item.pk}
    for section in (page.children, page.forks):
        assert (len(section.rows), section.more) == (10, True)
        assert boss.get(section.all_url).context["cl"].queryset.count() == 50
        assert {str(row.pk) for row in section.rows} <= set(page.watched.split())


def test_the_page_shows_what_was_asked_and_which_calls_were_recorded(boss: Client) -> None:
    item = WorkItemFactory(waiting=True, version=3)
    WaitFactory(work_item=item, key="budget", prompt="May it cost more?")
    WaitFactory(work_item=item, base_version=2, key="old", kind="input", state="consumed", resolved_by="ann")
    JournalEntryFactory(
        work_item=item, base_version=2, key="call-a", name="charge", attempts=2, error={"secret": "sesame"}
    )
    JournalEntryFactory(work_item=item, base_version=-1, key="call-b", state="started", result={"secret": "sesame"})
    text = page_of(boss, item).text
    for shown in (
        "May it cost more?",
        "○ open",
        "● consumed ",
        "ann",
        "charge",
        "✓ succeeded",
        "? in doubt",
        "whole run",
    ):
        assert shown in text
    assert text.index("budget") < text.index("old")
    assert text.index("call-a") < text.rindex("call-b"), "its doubt is told in the head too"
    assert "sesame" not in text, "results stand on the call's own page"


def test_a_call_that_is_being_made_is_not_in_doubt(boss: Client) -> None:
    item = WorkItemFactory(running=True, epoch=4)
    JournalEntryFactory(work_item=item, key="now", state="started", epoch=4)
    assert "○ started" in page_of(boss, item).text
    assert "in doubt" not in page_of(boss, item).text


def test_a_user_sees_only_the_sections_of_tables_that_the_user_may_view(staff: Any, log_in: Any) -> None:
    item = WorkItemFactory(running=True, version=1)
    artifact = ArtifactFactory(work_item=item)
    claim = ResourceClaimFactory(work_item=item)
    WaitFactory(work_item=item, key="secret question")
    JournalEntryFactory(work_item=item, key="secret call")
    text = page_of(log_in(staff("view_workitem")), item).text
    assert "secret" not in text
    assert "You may not see events." in text
    assert "You may not see snapshots." in text
    assert artifact.name not in text
    assert claim.resource.key not in text


def test_what_an_engine_said_is_hidden_from_those_who_may_not_read_payloads(staff: Any, log_in: Any) -> None:
    item = WorkItemFactory(failed=True, version=1, last_error={**ERROR, "message": "sesame", "traceback": "sesame"})
    EventFactory(work_item=item, data={"line": "sesame"})
    blind = page_of(log_in(staff(*VIEWS, name="blind")), item)
    seeing = page_of(log_in(staff(*VIEWS, "view_payload", name="seeing")), item)
    assert "sesame" not in blind.text
    assert "Ended as failed" in blind.text
    assert seeing.text.count("sesame") >= 3


@pytest.mark.parametrize(
    ("trait", "buttons"),
    [
        ({"failed": True}, ["redrive", "follow_up", "acknowledge", "hold"]),
        ({"failed": True, "version": 1}, ["redrive", "follow_up", "fork", "acknowledge", "hold"]),
        ({"done": True}, ["requeue", "follow_up", "fork", "hold"]),
        ({"paused": True}, ["resume", "signal", "prioritise", "hold", "cancel"]),
        ({"running": True}, ["requeue", "pause", "signal", "prioritise", "release", "hold", "cancel"]),
        ({"waiting": True}, ["pause", "signal", "prioritise", "hold", "cancel"]),
        ({"done": True, "legal_hold": True}, ["fork", "unhold"]),
    ],
    ids=["failed", "failed later", "done", "paused", "running", "waiting", "on hold"],
)
def test_buttons_are_those_verbs_that_the_state_allows(trait: Any, buttons: list[str], boss: Client) -> None:
    assert page_of(boss, WorkItemFactory(**trait)).buttons == buttons


def test_a_verb_without_permission_has_no_button(staff: Any, log_in: Any) -> None:
    client = log_in(staff("view_workitem", "cancel_workitem"))
    assert page_of(client, WorkItemFactory(running=True)).buttons == ["cancel"]


def test_an_unknown_item_leads_back_instead_of_failing(boss: Client) -> None:
    for name in ("0190aaaa-0000-7000-8000-000000000000", "nonsense"):
        assert boss.get(reverse("admin:roost_workitem_change", args=[name])).status_code == 302


def test_a_value_in_the_artifact_storage_is_told_by_its_hash_and_size(boss: Client) -> None:
    sha256 = "ab" * 32
    item = WorkItemFactory(result={"$roost.offloaded": {"sha256": sha256, "size": 300_000}})
    text = page_of(boss, item).text
    assert f"Kept in the artifact storage: 292 KB, sha256 {sha256}." in text
    assert "$roost.offloaded" not in text
