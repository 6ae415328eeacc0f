"""The search of work items in the admin, its filters, and what lies beyond the rows that are counted."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from console.admin import base
from runtime.models import WorkItem
from runtime.queries.search import FIELDS
from runtime.queries.windows import first_id
from tests.console.conftest import Page
from tests.factories import WorkItemFactory, now


def address() -> str:
    return reverse("admin:roost_workitem_changelist")


def listed(client: Client, **query: Any) -> list[WorkItem]:
    answer = client.get(address(), query)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def test_fields_and_filters_narrow_together(boss: Client) -> None:
    wanted = WorkItemFactory(engine="watchlist", failed=True)
    WorkItemFactory(engine="watchlist")
    WorkItemFactory(failed=True)
    assert listed(boss, q="engine:watchlist state:failed") == [wanted]
    assert listed(boss, q="engine:watchlist", state__exact="failed") == [wanted]
    assert listed(boss, q="engine:watchlist", attention="dead") == [wanted]


def test_a_mistyped_search_finds_nothing_and_says_once_what_can_be_typed(boss: Client) -> None:
    WorkItemFactory()
    answer = boss.get(address(), {"q": "enigne:x"})
    assert list(answer.context["cl"].result_list) == []
    words = Page(answer).text
    assert words.count("There is no field 'enigne' to search by") == 1


def test_every_field_is_explained_on_the_page(boss: Client) -> None:
    words = Page(boss.get(address())).text
    assert [field.name for field in FIELDS if field.name not in words or field.example not in words] == []


@pytest.mark.scenario("B18")
@pytest.mark.parametrize("term", ["payload.word:sesame", "error:sesame"])
def test_nobody_guesses_by_searching_what_he_may_not_read(term: str, staff: Any, log_in: Any) -> None:
    item = WorkItemFactory(failed=True, payload={"word": "sesame"}, last_error={"message": "sesame"})
    blind, seeing = (log_in(staff("view_workitem", *more, name=str(more))) for more in ([], ["view_payload"]))
    assert listed(seeing, q=term) == [item]
    answer = blind.get(address(), {"q": term})
    assert list(answer.context["cl"].result_list) == []
    assert "roost.view_payload" in Page(answer).text


def test_a_confirmed_search_is_said_once_on_the_page_that_confirms(boss: Client) -> None:
    item = WorkItemFactory()
    asked = {"action": "pause_items", "_selected_action": [str(item.pk)]}
    answer = boss.post(f"{address()}?q=engine:counter", asked)
    assert answer.status_code == 200
    assert "1 item will change" in Page(answer).text


def test_namespaces_are_offered_where_there_are_several(boss: Client) -> None:
    mine = WorkItemFactory(namespace="acme")
    assert "acme" in Page(boss.get(address())).text
    assert listed(boss, namespace="acme") == [mine]
    other = WorkItemFactory()
    assert listed(boss, namespace="default") == [other]


def test_items_are_narrowed_by_when_they_were_made(boss: Client) -> None:
    ages = {hours: WorkItemFactory(pk=first_id(now() - dt.timedelta(hours=hours))) for hours in (0, 2, 26, 24 * 8)}
    found = {age: listed(boss, age=age) for age in ("hour", "day", "week", "older_day", "older_week", "older_month")}
    assert found == {
        "hour": [ages[0]],
        "day": [ages[0], ages[2]],
        "week": [ages[0], ages[2], ages[26]],
        "older_day": [ages[26], ages[24 * 8]],
        "older_week": [ages[24 * 8]],
        "older_month": [],
    }
    assert len(listed(boss, age="nonsense")) == 4


def test_beyond_what_is_counted_the_last_page_leads_on_by_the_last_rows_id(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "COUNTED", 60)
    items = sorted(WorkItemFactory.create_batch(75), key=lambda item: item.pk, reverse=True)
    first = boss.get(address(), {"q": "engine:counter"})
    assert "These pages show the first 60" in Page(first).text
    assert first.context["cl"].beyond.kind == ("about" if connection.vendor == "postgresql" else "at least")
    assert not first.context["cl"].older_url
    last = boss.get(address(), {"q": "engine:counter", "p": 2}).context["cl"]
    assert list(last.result_list) == items[50:60]
    older = boss.get(address() + last.older_url).context["cl"]
    assert list(older.result_list) == items[60:]
    assert older.beyond is None


def test_an_items_times_are_shown_to_the_second(boss: Client) -> None:
    item = WorkItemFactory(deadline_at=dt.datetime(2026, 3, 1, 4, 5, 6, tzinfo=dt.UTC))
    text = boss.get(reverse("admin:roost_workitem_change", args=[item.pk])).content.decode()
    assert '<time datetime="2026-03-01T04:05:06+00:00"><span>2026-03-01</span> <span>04:05:06</span></time>' in text
    assert "March 1, 2026" not in text
