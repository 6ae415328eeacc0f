"""The inbox: what is open, the nearest deadline first."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from tests.console.conftest import Page
from tests.factories import WaitFactory, now


def listed(client: Client, **query: Any) -> list[Any]:
    answer = client.get(reverse("admin:roost_wait_changelist"), query)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def test_what_is_open_is_listed_by_its_deadline(boss: Client) -> None:
    late, never, soon = (
        WaitFactory(expires_at=now(9000)),
        WaitFactory(kind="signal"),
        WaitFactory(kind="input", expires_at=now(60)),
    )
    answered = WaitFactory(state="resolved", expires_at=now(30))
    assert listed(boss) == [soon, late, never]
    assert listed(boss, inbox="approvals") == [late]
    assert listed(boss, inbox="inputs") == [soon]
    assert listed(boss, inbox="soon") == [soon]
    assert listed(boss, inbox="all") == [answered, soon, never, late]
    assert listed(boss, state__exact="resolved") == [answered]


def test_an_items_waits_are_all_listed_answered_ones_too(boss: Client) -> None:
    wait = WaitFactory(state="consumed")
    assert listed(boss, work_item__id__exact=wait.work_item_id) == [wait]
    assert listed(boss, q=wait.work_item_id) == [wait]


def test_the_choice_that_is_made_is_named(boss: Client) -> None:
    WaitFactory()
    text = Page(boss.get(reverse("admin:roost_wait_changelist"))).text
    for choice in ("open approvals", "open inputs", "expire within an hour", "all, answered ones too"):
        assert choice in text


def test_a_waits_own_page_has_a_button_for_each_answer_that_fits(boss: Client) -> None:
    asked, answered = WaitFactory(), WaitFactory(state="resolved")
    page = boss.get(reverse("admin:roost_wait_change", args=[asked.pk])).content.decode()
    for verb in ("approve", "reject"):
        assert f'action="{reverse("admin:roost_wait_verb", args=[verb])}"' in page
        assert f'id="roost-verb-{verb}"' in page
    assert "roost-verb-" not in boss.get(reverse("admin:roost_wait_change", args=[answered.pk])).content.decode()
