"""The list of work items as a file: narrowed as the list is, bounded, and without what is in the items."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console.admin import exporting
from tests.console.conftest import Page
from tests.factories import WorkItemFactory

LIST = "/admin/roost/workitem/"


def table(client: Client, **query: Any) -> list[dict[str, str]]:
    answer = client.get(reverse("admin:roost_workitem_csv"), query)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert answer["X-Content-Type-Options"] == "nosniff"
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def document(client: Client, **query: Any) -> Any:
    answer = client.get(reverse("admin:roost_workitem_json"), query)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer["Content-Disposition"].startswith("attachment")
    return answer.json()


def test_both_files_hold_what_the_list_holds_in_its_order(boss: Client) -> None:
    first, second = WorkItemFactory(failed=True, step_label='é, "x"\n'), WorkItemFactory(failed=True)
    WorkItemFactory()
    for query in ({"state__exact": "failed"}, {"q": "state:failed"}, {"attention": "dead"}):
        assert [row["id"] for row in table(boss, **query)] == [str(second.pk), str(first.pk)]
        assert [row["id"] for row in document(boss, **query)["items"]] == [str(second.pk), str(first.pk)]
    row = table(boss, q=str(first.pk))[0]
    assert row["step_label"] == first.step_label
    assert (
        row["created_at"] == document(boss, q=str(first.pk))["items"][0]["created_at"] == first.created_at.isoformat()
    )


def test_the_links_on_the_list_carry_its_query(boss: Client) -> None:
    WorkItemFactory(failed=True)
    WorkItemFactory()
    html = boss.get(LIST, {"q": "state:failed", "age": "day"}).content.decode()
    for kind in ("csv", "json"):
        url = html.split(f'href="{reverse(f"admin:roost_workitem_{kind}")}')[1].split('"')[0].replace("&amp;", "&")
        answer = boss.get(reverse(f"admin:roost_workitem_{kind}") + url)
        assert answer.content.decode().count("failed") == 1


@pytest.mark.scenario("B18")
def test_what_is_in_the_items_is_in_no_file(boss: Client) -> None:
    WorkItemFactory(
        failed=True, payload={"word": "sesame"}, result="sesame", config="sesame", last_error={"message": "sesame"}
    )
    for kind in ("csv", "json"):
        assert b"sesame" not in boss.get(reverse(f"admin:roost_workitem_{kind}")).content


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_no_cell_is_a_formula(text: str, boss: Client) -> None:
    WorkItemFactory(idempotency_key=text, priority=-5)
    [row] = table(boss)
    assert (row["idempotency_key"], row["priority"]) == (f"'{text}", "-5")
    assert document(boss)["items"][0]["idempotency_key"] == text


def test_a_file_ends_somewhere_and_says_so(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST", 2)
    newest = [str(item.pk) for item in reversed(WorkItemFactory.create_batch(3))]
    answer = boss.get(reverse("admin:roost_workitem_csv"))
    assert 'filename="work-items-first-2.csv"' in answer["Content-Disposition"]
    told = document(boss)
    assert ([row["id"] for row in told["items"]], told["more"]) == (newest[:2], True)
    older = document(boss, id__lt=newest[1])
    assert ([row["id"] for row in older["items"]], older["more"]) == (newest[2:], False)


def test_a_query_that_is_none_leads_to_the_list_that_says_why(boss: Client) -> None:
    WorkItemFactory()
    url = reverse("admin:roost_workitem_csv")
    answer = boss.get(url, {"q": "enigne:x"}, follow=True)
    assert answer.redirect_chain == [(f"{LIST}?q=enigne%3Ax", 302)]
    assert "There is no field" in Page(answer).text
    assert boss.get(url, {"nonsense": "1"})["Location"] == f"{LIST}?e=1"


def test_fifty_rows_cost_the_queries_of_one(boss: Client) -> None:
    counts = []
    for count in (1, 49):
        WorkItemFactory.create_batch(count)
        with CaptureQueriesContext(connection) as queries:
            document(boss)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 7
