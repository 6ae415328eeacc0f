"""Verbs where people look for them: in the rows of leases, of claims, and at each step of a story."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console.actions import Confirmation
from runtime.choices import EventKind, State
from runtime.models import Event, Lease, ResourceClaim, Snapshot, WorkItem
from tests.console.conftest import Page
from tests.console.test_story import url as story
from tests.console.test_verbs import confirm, told
from tests.factories import EventFactory, LeaseFactory, ResourceClaimFactory, WorkItemFactory, now

LEASES = "/admin/roost/lease/"
CLAIMS = "/admin/roost/resourceclaim/"


def addresses(client: Client, listing: str, item: WorkItem) -> list[str]:
    """Return where the buttons of the item's row lead."""
    html = client.get(listing).content.decode()
    token = str(Confirmation.of(WorkItem.objects.get(pk=item.pk)))
    tags = [part.split(">")[0] for part in html.split('<button type="submit" form="roost-row"')[1:]]
    return [tag.split('formaction="')[1].split('"')[0].replace("&amp;", "&") for tag in tags if token in tag]


def press(client: Client, listing: str, item: WorkItem) -> Any:
    """Press the one button of the item's row."""
    [address] = addresses(client, listing, item)
    token = str(Confirmation.of(WorkItem.objects.get(pk=item.pk)))
    return client.post(address, {"items": token, "back": listing})


def test_a_lease_is_released_where_leases_are_listed(boss: Client) -> None:
    lease, other = LeaseFactory(), LeaseFactory()
    asked = press(boss, LEASES, lease.work_item)
    assert "1 item will change" in Page(asked).text
    answer = confirm(boss, asked, reason="hangs")
    assert answer["Location"] == LEASES
    lease.work_item.refresh_from_db()
    assert lease.work_item.state == State.QUEUED
    event = Event.objects.get(work_item=lease.work_item, kind=EventKind.RELEASED)
    assert (event.actor, event.reason) == ("boss", "hangs")
    other.work_item.refresh_from_db()
    assert other.work_item.state == State.RUNNING


def test_a_lease_that_was_taken_away_has_no_button(boss: Client) -> None:
    lease = LeaseFactory(revoked_at=now())
    assert addresses(boss, LEASES, lease.work_item) == []


def test_several_leases_are_released_at_once(boss: Client) -> None:
    leases = LeaseFactory.create_batch(3)
    chosen = {"action": "release_items", "_selected_action": [str(one.pk) for one in leases[:2]], "index": 0}
    asked = boss.post(LEASES, chosen)
    assert "Release lease · 2 items" in Page(asked).text
    assert WorkItem.objects.filter(state=State.RUNNING).count() == 3
    assert "2 items changed" in told(confirm(boss, asked))
    assert list(WorkItem.objects.filter(state=State.RUNNING)) == [leases[2].work_item]


def test_another_tables_filters_never_choose_all_items(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 1)
    LeaseFactory.create_batch(2)
    chosen = {
        "action": "release_items",
        "_selected_action": [str(pk) for pk in Lease.objects.values_list("pk", flat=True)],
    }
    asked = boss.post(LEASES, {**chosen, "index": 0})
    assert "These are the newest 1." in Page(asked).text
    assert "that match" not in Page(asked).text
    assert "All that match" not in Page(asked).text
    everything = reverse("admin:roost_workitem_verb_all", args=["release"])
    assert "Go there." in told(boss.post(everything, {"back": LEASES}))
    assert not WorkItem.objects.filter(engine="bulk_verb").exists()


def test_a_claim_of_an_item_that_does_not_run_is_released_where_claims_are_listed(boss: Client) -> None:
    claim = ResourceClaimFactory(work_item=WorkItemFactory(limited=True), resource__key="repo:a b&c")
    asked = press(boss, CLAIMS, claim.work_item)
    assert '<option value="repo:a b&amp;c" selected>' in asked.content.decode()
    answer = confirm(boss, asked, **{"value-resource": "repo:a b&c"})
    assert answer["Location"] == CLAIMS
    assert not ResourceClaim.objects.filter(held=True).exists()
    event = Event.objects.get(work_item=claim.work_item, kind=EventKind.RESOURCE_RELEASED)
    assert event.actor == "boss"


def test_the_claim_of_a_running_item_is_freed_by_its_lease_and_a_wanted_one_not_at_all(boss: Client) -> None:
    held, wanted = ResourceClaimFactory(), ResourceClaimFactory(held=False)
    assert addresses(boss, CLAIMS, held.work_item) == [reverse("admin:roost_workitem_verb", args=["release"])]
    assert addresses(boss, CLAIMS, wanted.work_item) == []


@pytest.mark.scenario("B18")
@pytest.mark.parametrize(
    "permissions", [["release_workitem"], ["view_workitem"]], ids=["not the items", "not the verb"]
)
def test_who_may_not_release_or_not_see_items_is_offered_nothing(
    permissions: list[str], staff: Any, log_in: Any
) -> None:
    lease = LeaseFactory()
    ResourceClaimFactory(work_item=lease.work_item)
    client = log_in(staff("view_lease", "view_resourceclaim", *permissions))
    for listing in (LEASES, CLAIMS):
        html = client.get(listing).content.decode()
        assert 'name="items"' not in html
        assert "release_items" not in html
    client.post(LEASES, {"action": "release_items", "_selected_action": [str(lease.pk)], "index": 0})
    assert WorkItem.objects.get(pk=lease.pk).state == State.RUNNING


def dead_after(steps: int) -> WorkItem:
    """Make a dead letter that committed so many steps."""
    item: WorkItem = WorkItemFactory(failed=True, version=steps)
    for version in range(1, steps + 1):
        EventFactory(work_item=item, kind=EventKind.STEP, version=version, duration=0.1)
    return item


def test_a_dead_letter_goes_on_from_the_step_that_was_chosen(boss: Client) -> None:
    item = dead_after(3)
    page = boss.get(story(item)).content.decode()
    assert page.count("Redrive from here…") == page.count("Fork from here…") == 3
    item.refresh_from_db()
    token = str(Confirmation.of(item))
    assert page.count(token) == 6
    assert '<input type="hidden" name="value-from_version" value="2">' in page
    asked = boss.post(
        reverse("admin:roost_workitem_verb", args=["redrive"]),
        {"items": token, "back": story(item), "value-from_version": "2"},
    )
    assert Page(asked).fields["value-from_version"] == "2"
    answer = confirm(boss, asked, **{"value-from_version": "2"})
    assert answer["Location"] == story(item)
    item.refresh_from_db()
    assert (item.state, item.version) == (State.QUEUED, 4)
    assert Snapshot.objects.get(work_item=item, version=4).restored_from == 2


def test_a_step_whose_state_is_not_kept_is_no_way_back(boss: Client) -> None:
    item = dead_after(3)
    Snapshot.objects.filter(work_item=item, version__in=[1, 2]).delete()
    page = boss.get(story(item)).content.decode()
    assert page.count("Redrive from here…") == 1
    assert 'name="value-from_version" value="3"' in page


def test_only_dead_letters_are_redriven_and_only_by_those_who_may(boss: Client, staff: Any, log_in: Any) -> None:
    done = WorkItemFactory(done=True)
    EventFactory(work_item=done, kind=EventKind.STEP)
    page = boss.get(story(done)).content.decode()
    assert "Redrive from here…" not in page
    assert "Fork from here…" in page
    viewer = log_in(staff("view_workitem", "view_event"))
    with CaptureQueriesContext(connection) as queries:
        html = viewer.get(story(dead_after(1))).content.decode()
    assert "from here…" not in html
    assert 'name="items"' not in html
    assert not [
        one["sql"]
        for one in queries.captured_queries
        if "roost_snapshot" in one["sql"] and "SELECT" in one["sql"] and "IN (" in one["sql"]
    ]
