"""Roost's first page: what is wrong at one glance, every number a link, and nothing that the user may not view."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from runtime.choices import EventKind
from runtime.models import Event, WorkItem
from runtime.operations.schedules import set_schedule
from tests.console.conftest import Page
from tests.factories import (
    EventFactory,
    LeaseFactory,
    ResourceClaimFactory,
    WaitFactory,
    WorkerFactory,
    WorkItemFactory,
    now,
)

VIEWS = ("workitem", "event", "worker", "schedule", "lease", "wait", "resourceclaim")
MOST_QUERIES = 24
HOSTILE = '<img src=x onerror="alert(1)">'


def address() -> str:
    return reverse("admin:app_list", args=["roost"])


def trouble() -> None:
    """Make one of each thing that needs somebody, with its own number."""
    WorkerFactory(engines=["counter"])
    WorkItemFactory.create_batch(3, failed=True)
    WorkItemFactory.create_batch(4, attempt=1, reason="retry")
    WorkItemFactory.create_batch(5, engine="lonely")
    WorkItemFactory.create_batch(6, paused=True, reason="held", engine_version="0.9")
    LeaseFactory.create_batch(7, expired=True)
    claim = ResourceClaimFactory(held=False, resource__key="repo:x")
    ResourceClaimFactory.create_batch(7, held=False, resource=claim.resource)
    WaitFactory.create_batch(9, expires_at=now(86_400))
    WaitFactory.create_batch(10, kind="input", expires_at=now(86_400))
    WaitFactory.create_batch(11, kind="signal", expires_at=now(60))


def followed(client: Client, text: str) -> list[int]:
    """Follow every link of the list of needs; return how many rows each list has."""
    needs = text.split('id="roost-needs"')[1].split("</table>", maxsplit=1)[0]
    urls = [part.split('"')[0].replace("&amp;", "&") for part in needs.split('href="')[1:]]
    return [client.get(url).context["cl"].result_count for url in urls]


def test_what_needs_somebody_is_listed_and_each_number_leads_to_so_many_rows(boss: Client) -> None:
    trouble()
    answer = boss.get(address())
    text = answer.content.decode()
    assert followed(boss, text) == [5, 7, 3, 4, 6, 11, 9, 10, 8]
    words = Page(answer).text
    for said in ("lonely", "It failed.", "version 0.9", "repo:x", "manage.py runworker"):
        assert said in words


def test_every_state_leads_to_its_items(boss: Client) -> None:
    WorkItemFactory.create_batch(3)
    tiles = boss.get(address()).content.decode().split("roost-tiles")[1].split("</ul>")[0]
    assert f'href="{reverse("admin:roost_workitem_changelist")}?state__exact=queued"' in tiles
    assert ">3</a>" in tiles


class Numbers(HTMLParser):
    """Collects the digits of a page that stand in no link, outside of times, code and drawings."""

    BESIDE = frozenset({"a", "time", "code", "svg", "caption"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.loose: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where we are."""
        if tag in self.BESIDE:
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note where we are."""
        if self.inside[-1:] == [tag]:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        """Note a number that leads nowhere."""
        if not self.inside and any(map(str.isdigit, data)):
            self.loose.append(data.strip())


def test_every_number_leads_to_what_it_counts(boss: Client) -> None:
    trouble()
    EventFactory.create_batch(3, kind=EventKind.STEP, duration=0.5)
    LeaseFactory(worker=WorkerFactory(capacity=77))
    text = boss.get(address()).content.decode()
    shown = text.split('class="roost-overview"')[1].split('id="content-main"')[0]
    clock_of_a_row = re.compile(r"\d\d:\d\d")
    beside = {"50", "77", "gone", *needed_words(shown)}
    loose = [one for one in Numbers(shown).loose if not clock_of_a_row.fullmatch(one) and one not in beside]
    assert loose == []


def needed_words(shown: str) -> set[str]:
    """Return what needs say in words: names and versions have digits too."""
    cells = shown.split('<td class="roost-text">')[1:]
    return {unescape(cell.split("</td>")[0].strip()) for cell in cells}


def test_the_oldest_of_a_state_and_the_workers_that_take_work_are_one_click_away(boss: Client) -> None:
    oldest, *_younger = WorkItemFactory.create_batch(3)
    taking = WorkerFactory()
    silent = WorkerFactory(heartbeat_at=now(-900))
    WorkerFactory(state="offline", heartbeat_at=now(-900))
    WorkerFactory(desired_state="draining")
    answer = boss.get(address())
    assert f'href="{reverse("admin:roost_workitem_change", args=[oldest.pk])}"' in answer.content.decode()
    listed = reverse("admin:roost_worker_changelist")
    assert f'href="{listed}?work=takes"' in answer.content.decode()
    assert "Workers: 1 takes work" in Page(answer).text
    found = {
        wanted: list(boss.get(listed, {"work": wanted}).context["cl"].result_list) for wanted in ("takes", "silent")
    }
    assert found == {"takes": [taking], "silent": [silent]}
    assert len(boss.get(listed, {"work": "nonsense"}).context["cl"].result_list) == 4
    assert [Page(boss.get(listed, query)).text.count("online silent") for query in ({}, {"work": "takes"})] == [1, 0]
    assert "online silent" in Page(boss.get(reverse("admin:roost_worker_change", args=[silent.pk]))).text


def test_the_pictures_lead_to_the_events_of_their_hour(boss: Client) -> None:
    item = EventFactory(kind=EventKind.STEP).work_item
    Event.objects.update(created_at=now(-7200))
    steps = EventFactory.create_batch(3, work_item=item, kind=EventKind.STEP, duration=0.5)
    failed = EventFactory(work_item=item, kind=EventKind.RETRY)
    pictures = boss.get(address()).content.decode().split("<figcaption>")[1:]
    urls = [part.split('href="')[1].split('"')[0].replace("&amp;", "&") for part in pictures]
    found = [{*boss.get(url).context["cl"].result_list} for url in urls]
    assert found == [{*steps}, {*steps}, {failed}]


def test_an_empty_installation_is_told_what_to_do(boss: Client) -> None:
    words = Page(boss.get(address())).text
    for said in (
        "roost enqueue",
        "manage.py runworker",
        "roost schedules set",
        "Nothing that you may see needs anybody",
    ):
        assert said in words


def test_the_last_hour_is_drawn_and_stands_in_a_table_with_links(boss: Client) -> None:
    item = WorkItemFactory()
    EventFactory.create_batch(3, work_item=item, kind=EventKind.STEP, duration=0.5)
    EventFactory(work_item=item, kind=EventKind.RETRY)
    answer = boss.get(address())
    text = answer.content.decode()
    assert text.count('<svg viewBox="0 0 600 60"') == text.count('role="img"') == 3
    assert text.count("<rect x=") == 3
    assert "3 in the last hour, at most 3 in a minute" in Page(answer).text
    rows = text.split("The minutes of the last hour")[1].split("</table>")[0]
    links = [part.split('"')[0].replace("&amp;", "&") for part in rows.split('href="')[1:]]
    assert [boss.get(link).context["cl"].result_count for link in links] == [3, 0, 1, 3, 3]


def test_workers_and_schedules_are_shown(boss: Client) -> None:
    silent = WorkerFactory(heartbeat_at=now(-900))
    LeaseFactory.create_batch(2, worker=silent)
    set_schedule("nightly", engine="counter", payload={"count_to": 3}, cron="30 2 * * *")
    words = Page(boss.get(address())).text
    for said in (str(silent), "silent", "nightly", "30 2 * * *", "No worker takes work"):
        assert said in words


def test_a_busy_page_makes_the_queries_of_a_quiet_one(boss: Client) -> None:
    trouble()
    EventFactory(kind=EventKind.STEP)
    with CaptureQueriesContext(connection) as one:
        boss.get(address())
    WorkItemFactory.create_batch(25, failed=True)
    WorkItemFactory.create_batch(25, engine="other")
    WorkerFactory.create_batch(20)
    EventFactory.create_batch(25, kind=EventKind.STEP)
    with CaptureQueriesContext(connection) as fifty:
        boss.get(address())
    clocks = sum("statement_timestamp" in query["sql"] for query in one.captured_queries)
    assert len(fifty) == len(one), [query["sql"] for query in fifty.captured_queries]
    assert len(one) - clocks <= MOST_QUERIES


@pytest.mark.scenario("B18")
@pytest.mark.parametrize("hidden", VIEWS)
def test_a_user_sees_no_number_of_a_table_that_he_may_not_view(hidden: str, staff: Any, log_in: Any) -> None:
    trouble()
    set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    EventFactory(kind=EventKind.STEP)
    user = staff(*(f"view_{name}" for name in VIEWS if name != hidden))
    with CaptureQueriesContext(connection) as queries:
        answer = log_in(user).get(address())
    text = answer.content.decode()
    assert answer.status_code == 200
    listing = reverse(f"admin:roost_{hidden}_changelist")
    assert f'"{listing}' not in text
    # What may not be shown is not even read; events and claims are of items, workers count their leases. Where the
    # feed stands is told to whoever may see items.
    if hidden in {"event", "worker", "schedule", "wait", "resourceclaim"}:
        read = [query["sql"] for query in queries.captured_queries if "sqlite_sequence" not in query["sql"]]
        assert not [sql for sql in read if f"roost_{hidden}" in sql]


@pytest.mark.scenario("B18")
def test_errors_are_told_only_to_those_who_may_read_payloads(staff: Any, log_in: Any) -> None:
    WorkItemFactory(failed=True, last_error={"type": "X", "message": "sesame"})
    blind, seeing = (log_in(staff("view_workitem", *more, name=str(more))) for more in ([], ["view_payload"]))
    for url in (address(), reverse("admin:roost_workitem_dead")):
        assert "sesame" not in blind.get(url).content.decode()
        assert "sesame" in seeing.get(url).content.decode()


def test_the_page_passes_a_strict_policy_and_shows_hostile_text_as_text(boss: Client) -> None:
    WorkItemFactory(engine=HOSTILE, failed=True, last_error={"message": HOSTILE})
    WorkItemFactory(engine=HOSTILE, pool=HOSTILE)
    ResourceClaimFactory(held=False, resource__key=HOSTILE)
    EventFactory(kind=EventKind.STEP, duration=1)
    for url in (address(), reverse("admin:roost_workitem_dead")):
        page = Page(boss.get(url))
        assert page.refused == []
        assert "img" not in page.tags


def test_tables_have_captions_and_headings_with_a_scope(boss: Client) -> None:
    trouble()
    EventFactory(kind=EventKind.STEP)
    set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    text = boss.get(address()).content.decode().split('class="roost-overview"')[1].split('id="content-main"')[0]
    assert text.count("<table") == text.count("<caption") == 4
    assert text.count("<th ") == text.count("<th scope=")
    assert text.count("<h2") == 5
    assert WorkItem.objects.exists()
