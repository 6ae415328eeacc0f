"""Run now, pause and resume: buttons of schedules in the admin, confirmed, recorded, and done once for each click."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from console.actions import Confirmation
from runtime.models import Schedule, WorkItem
from runtime.operations.schedule_moves import pause_schedule
from runtime.operations.schedules import remove_schedule, set_schedule
from runtime.testing import advance
from tests.console.conftest import Page
from tests.console.test_verbs import confirm, told
from tests.factories import now

LIST = "/admin/roost/schedule/"


def nightly(**options: Any) -> Schedule:
    options = {"engine": "counter", "payload": {"count_to": 3}, "cron": "30 2 * * *", **options}
    return set_schedule("nightly", **options)


def ask(client: Client, verb: str, *rows: Schedule) -> Any:
    form = {"items": " ".join(str(Confirmation.of(row)) for row in rows), "back": LIST}
    return client.post(reverse("admin:roost_schedule_verb", args=[verb]), form)


def offered(client: Client, url: str) -> list[str]:
    html = client.get(url).content.decode()
    return [verb for verb in ("run", "pause", "resume") if f"/schedule/verb/{verb}/" in html]


@pytest.mark.parametrize(("paused", "verbs"), [(False, ["run", "pause"]), (True, ["run", "resume"])])
def test_a_schedule_has_the_buttons_that_fit_it_in_its_row_and_on_its_page(
    boss: Client, paused: bool, verbs: list[str]
) -> None:
    made = nightly()
    if paused:
        pause_schedule("nightly")
    page = f"{LIST}{made.pk}/change/"
    assert offered(boss, LIST) == offered(boss, page) == verbs
    for url in (LIST, page, f"{LIST}add/"):
        answer = boss.get(url)
        assert answer.status_code == 200
        assert Page(answer).refused == []


@pytest.mark.scenario("B18")
@pytest.mark.parametrize(("permission", "verbs"), [("run_schedule", ["run"]), ("change_schedule", ["pause"])])
def test_each_is_offered_the_buttons_of_his_permissions(
    permission: str, verbs: list[str], staff: Any, log_in: Any
) -> None:
    made = nightly()
    client = log_in(staff("view_schedule", permission))
    assert offered(client, LIST) == offered(client, f"{LIST}{made.pk}/change/") == verbs
    viewer = log_in(staff("view_schedule", name="viewer"))
    assert offered(viewer, LIST) == offered(viewer, f"{LIST}{made.pk}/change/") == []


def test_run_now_says_what_it_would_enqueue_and_enqueues_it_once_for_a_click(boss: Client) -> None:
    made = nightly(options={"priority": 7})
    asked = ask(boss, "run", made)
    page = Page(asked)
    assert page.refused == []
    for words in ("1 item will be enqueued", "02:30 UTC", "count_to", '"priority": 7', "counter"):
        assert words in page.text, words
    assert not WorkItem.objects.exists()
    answer = confirm(boss, asked, reason="the figures are late")
    item = WorkItem.objects.get()
    assert answer["Location"] == LIST
    assert (item.engine, item.payload["count_to"], item.priority) == ("counter", 3, 7)
    assert item.events.get().actor == "boss"
    assert f'Run now: 1 item made. <a href="/admin/roost/workitem/{item.pk}/change/">' in told(answer)
    click = page.fields["click"]
    assert item.idempotency_key == f"schedule:{made.pk}:manual:{click}"
    entries = set(LogEntry.objects.values_list("object_id", "change_message"))
    assert entries == {(str(pk), f"run: the figures are late [{click}]") for pk in (made.pk, item.pk)}
    confirm(boss, asked)
    assert WorkItem.objects.get() == item, "pressed twice"
    confirm(boss, ask(boss, "run", made))
    assert WorkItem.objects.count() == 2, "asked for again"
    assert Schedule.objects.get().next_run == made.next_run


def test_pause_and_resume_keep_who_and_why_and_say_when_it_would_run(boss: Client) -> None:
    made = nightly()
    asked = ask(boss, "pause", made)
    assert "1 schedule will change" in Page(asked).text
    assert "Would run next" in Page(asked).text
    assert "02:30 UTC" in Page(asked).text
    assert "Pause: 1 schedule changed." in told(confirm(boss, asked, reason="maintenance"))
    paused = Schedule.objects.get()
    assert not paused.enabled
    assert LogEntry.objects.get().change_message == f"paused: maintenance [{Page(asked).fields['click']}]"
    asked = ask(boss, "resume", paused)
    assert "02:30 UTC" in Page(asked).text, "when it would run if it were not paused"
    confirm(boss, asked)
    assert Schedule.objects.get().enabled


@pytest.mark.parametrize("verb", ["run", "pause"])
def test_a_schedule_that_was_edited_since_it_was_shown_is_skipped(boss: Client, verb: str) -> None:
    made = nightly()
    asked = ask(boss, verb, made)
    set_schedule("nightly", payload={"count_to": 9})
    words = told(confirm(boss, asked))
    assert "1 schedule skipped" in words
    assert "changed since" in words
    assert Schedule.objects.get().enabled
    assert not WorkItem.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_schedule_that_was_removed_meanwhile_is_skipped(boss: Client) -> None:
    asked = ask(boss, "run", nightly())
    remove_schedule("nightly")
    assert "it was removed" in told(confirm(boss, asked))


def test_a_firing_meanwhile_voids_no_confirmation(boss: Client) -> None:
    asked = ask(boss, "pause", nightly())
    Schedule.objects.update(fired_total=1, last_run=now())
    confirm(boss, asked)
    assert not Schedule.objects.get().enabled


def test_what_cannot_be_done_is_said_before_it_is_confirmed(boss: Client) -> None:
    made = set_schedule("launch", engine="counter", payload={"count_to": 3}, at=now(3600))
    assert "is not paused" in Page(ask(boss, "resume", made)).text
    paused = pause_schedule("launch")
    assert "is paused already" in Page(ask(boss, "pause", paused)).text
    with advance(7200):
        assert "would never fire" in Page(ask(boss, "resume", paused)).text
    Schedule.objects.update(payload={"count_to": "many"})
    assert "Nothing here can change that way." in Page(ask(boss, "run", paused)).text


def test_several_are_paused_at_once(boss: Client) -> None:
    rows = [nightly(), set_schedule("pulse", engine="counter", payload={"count_to": 3}, every=60)]
    chosen = {"action": "pause_items", "_selected_action": [str(row.pk) for row in rows], "index": 0}
    asked = boss.post(LIST, chosen)
    assert "2 schedules will change" in Page(asked).text
    assert "Pause · 2 schedules" in Page(asked).text
    confirm(boss, asked)
    assert not Schedule.objects.filter(enabled=True).exists()


@pytest.mark.scenario("B18")
def test_the_payload_is_shown_to_those_alone_who_may_read_it(staff: Any, log_in: Any) -> None:
    made = nightly(payload={"count_to": 1234567})
    Schedule.objects.update(error="refused 1234567", failures=1)
    client = log_in(staff("view_schedule", "run_schedule"))
    page = Page(ask(client, "run", made))
    assert "1234567" not in page.text
    assert "hidden: needs permission roost.view_payload" in page.text
    reader = log_in(staff("view_schedule", "run_schedule", "view_payload", name="reader"))
    assert Page(ask(reader, "run", made)).text.count("1234567") == 2
