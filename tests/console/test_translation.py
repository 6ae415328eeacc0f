"""Why an item is stuck, and why a verb is refused, in the language of the page; over HTTP the same for everybody."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from runtime.choices import Reason
from runtime.operations.tokens import create_token
from tests.catalogue import catalogue
from tests.console.conftest import Page
from tests.console.test_verbs import ask, confirm
from tests.factories import WorkItemFactory

TEXTS = {
    "Paused%(by)s%(since)s: %(reason)s%(note)s. `roost resume %(item)s` lets it go on.": "Angehalten: %(reason)s.",
    "paused by an operator": "von einem Menschen",
    "Work item %(item)s ": "Auftrag %(item)s ",
    "Work item %(item)s is %(state)s; it cannot be %(participle)s. %(hint)s": "Auftrag %(item)s %(state)s. %(hint)s",
    "work item state\x04done": "fertig",
    "Only failed items are redriven.": "Nur Gescheiterte kehren zurück.",
    "Work item %(item)s changed since version %(row_version)s was read; it is %(state)s now. Look at it again.": (
        "Auftrag %(item)s ist inzwischen %(state)s."
    ),
}


def test_why_is_told_in_the_language_of_the_page_and_in_english_over_http(boss: Client) -> None:
    item = WorkItemFactory(paused=True, reason=Reason.OPERATOR)
    headers = {"Authorization": f"Bearer {create_token('ops', scopes=['read'], namespaces=['default']).text}"}
    with catalogue(TEXTS):
        page = Page(boss.get(reverse("admin:roost_workitem_change", args=[item.pk])))
        answer = Client().get(f"/roost/api/v1/work-items/{item.pk}/why", headers=headers)
    assert "Angehalten: von einem Menschen." in page.text
    [cause] = answer.json()["causes"]
    assert cause["code"] == "paused"
    assert cause["text"].startswith("Paused since ")
    assert cause["text"].endswith(f": paused by an operator. `roost resume {item.pk}` lets it go on.")


def test_what_a_verb_refuses_is_told_in_the_language_of_the_page(boss: Client) -> None:
    done, dead = WorkItemFactory(done=True), WorkItemFactory(failed=True)
    with catalogue(TEXTS):
        asked = ask(boss, "redrive", done, dead)
        assert "fertig. Nur Gescheiterte kehren zurück." in Page(asked).text
        assert "Auftrag" not in Page(asked).text
        dead.compare_and_set(priority=1)
        again = Page(confirm(boss, asked)).text
    assert f"Auftrag {dead.pk} ist inzwischen failed." in again


@pytest.mark.parametrize("text", ["", "%(nothing)s", "%(item)"])
def test_a_catalogue_with_a_mistake_leaves_the_page_in_english(text: str, boss: Client) -> None:
    item = WorkItemFactory(paused=True, reason=Reason.OPERATOR)
    with catalogue({next(iter(TEXTS)): text} if text else {}):
        page = Page(boss.get(reverse("admin:roost_workitem_change", args=[item.pk])))
    assert "lets it go on." in page.text
