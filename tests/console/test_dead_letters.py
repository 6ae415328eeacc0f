"""Dead letters by what went wrong."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from console.admin import dead_letters
from tests.console.conftest import Page
from tests.factories import WorkItemFactory, now


def address() -> str:
    return reverse("admin:roost_workitem_dead")


def counts(client: Client, query: str = "") -> list[int]:
    """Follow each group's link; return how many items each leads to."""
    groups = client.get(address() + query).context["rows"]
    return [client.get(row.url).context["cl"].result_count for row in groups]


def test_each_group_leads_to_its_items(boss: Client) -> None:
    WorkItemFactory.create_batch(3, failed=True)
    WorkItemFactory.create_batch(2, failed=True, engine="two words", fingerprint="f2", namespace="acme")
    WorkItemFactory(failed=True, fingerprint="", reason="deadline")
    WorkItemFactory(failed=True, fingerprint="f3", acknowledged_at=now())
    page = Page(boss.get(address()))
    assert "6 dead letters that nobody has acknowledged" in page.text
    assert "It failed." in page.text
    assert counts(boss)[:2] == [3, 2]
    assert sorted(counts(boss, "?seen=1"))[:1] == [1]
    assert "7 dead letters, acknowledged ones too" in Page(boss.get(address() + "?seen=1")).text


def test_without_dead_letters_there_is_nothing_to_do(boss: Client) -> None:
    assert "There are none" in Page(boss.get(address())).text


def test_groups_of_the_newest_letters_say_so(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "WINDOW", 2)
    WorkItemFactory.create_batch(3, failed=True)
    answer = boss.get(address())
    assert [row.group.count for row in answer.context["rows"]] == [2]
    assert "The groups are those of the newest 2 dead letters" in Page(answer).text


def test_fifty_groups_take_the_queries_of_one(boss: Client, django_assert_num_queries: Any) -> None:
    for number in range(50):
        WorkItemFactory(failed=True, fingerprint=f"f{number}")
        if number in {0, 49}:
            with django_assert_num_queries(5):
                boss.get(address())


@pytest.mark.scenario("B18")
def test_the_page_asks_for_the_permission_to_view_items(staff: Any, log_in: Any) -> None:
    assert log_in(staff("view_event")).get(address()).status_code == 403
    assert log_in(staff("view_workitem", name="friend")).get(address()).status_code == 200


def test_the_page_is_a_table_that_can_be_read_out(boss: Client) -> None:
    WorkItemFactory(failed=True)
    answer = boss.get(address())
    text = answer.content.decode().split('aria-labelledby="roost-groups"')[1].split("</section>")[0]
    assert Page(answer).refused == []
    assert text.count("<table") == text.count("<caption") == 1
    assert text.count("<th ") == text.count("<th scope=")
