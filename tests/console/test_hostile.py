"""Text that products, agents and strangers put in is shown on every page, and is markup on none."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import CharField, JSONField, Model, TextField
from django.test import Client
from django.urls import reverse

from console.actions import Confirmation
from runtime.models import Wait, WorkItem
from runtime.queries.trace import trace
from runtime.queries.trace_page import page as trace_page
from tests.console.conftest import Page
from tests.console.roles import MODELS, PAGES, PUBLIC_JSON
from tests.console.test_lists import address
from tests.console.test_permissions import made
from tests.factories import ArtifactFactory, EventFactory, JournalEntryFactory, WaitFactory, WorkItemFactory

TAG = "x-roost"
HOSTILE = f"""'"></a><{TAG} onx=1>"""
SHORT = f"<{TAG}>"
NESTED = {HOSTILE: HOSTILE, "list": [HOSTILE], "__proto__": {"href": "javascript:alert(1)"}}
# By these rows are found, or they are checked by what shows them; `test_search` has hostile names.
KEPT = {"workitem.engine", "webhook.secret", "webhooktarget.url"}
SCHEMA = {
    "type": "object",
    "title": HOSTILE,
    "description": HOSTILE,
    "properties": {
        HOSTILE: {"type": "string", "title": HOSTILE, "description": HOSTILE, "default": HOSTILE},
        "choice": {"enum": [HOSTILE, {HOSTILE: HOSTILE}], "default": HOSTILE},
        "lines": {"type": "array", "items": {"type": "string"}, "default": [HOSTILE]},
    },
}


def poisoned(row: Any) -> Any:
    """Write hostile text into every column that takes text or data."""
    name, model = row._meta.model_name, type(row)
    values: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if f"{name}.{field.attname}" in KEPT or field.primary_key or field.is_relation:
            continue
        if isinstance(field, JSONField) and f"{name}.{field.attname}" not in PUBLIC_JSON:
            values[field.attname] = NESTED
        elif isinstance(field, CharField | TextField) and not field.choices:
            room = field.max_length or len(HOSTILE)
            if room >= len(SHORT):
                values[field.attname] = HOSTILE if room >= len(HOSTILE) else SHORT
    model._default_manager.filter(pk=row.pk).update(**values)
    return model._default_manager.get(pk=row.pk)


def assert_harmless(answer: Any) -> Page:
    """See that a page is shown, and that none of what it shows became a tag or an attribute of its own."""
    assert answer.status_code == 200
    found = Page(answer)
    assert TAG not in found.tags
    assert found.refused == []
    return found


@pytest.mark.parametrize("name", PAGES)
def test_no_table_makes_markup_of_what_was_put_in(name: str, boss: Client) -> None:
    row = poisoned(made(name))
    for url in (address(MODELS[name]), address(MODELS[name], "change", row.pk)):
        assert_harmless(boss.get(url))


@pytest.fixture
def item(db: None) -> WorkItem:
    """Give an item that failed, with all that can hang on it, full of hostile text."""
    found: WorkItem = WorkItemFactory(failed=True, version=1)
    rows: list[Model] = [
        EventFactory(work_item=found),
        JournalEntryFactory(work_item=found),
        ArtifactFactory(work_item=found),
        WaitFactory(work_item=found, kind="input"),
        *found.snapshots.all(),
    ]
    for row in rows:
        poisoned(row)
    result: WorkItem = poisoned(found)
    return result


@pytest.mark.parametrize("page", ["change", "story", "state"])
def test_no_page_of_an_item_makes_markup_of_what_was_put_in(page: str, boss: Client, item: WorkItem) -> None:
    shown = assert_harmless(boss.get(address(WorkItem, page, item.pk)))
    assert TAG in shown.text


@pytest.mark.parametrize("name", ["admin:index", "admin:roost_workitem_dead"])
def test_no_overview_makes_markup_of_what_was_put_in(name: str, boss: Client, item: WorkItem) -> None:
    assert_harmless(boss.get(reverse(name)))
    assert_harmless(boss.get(reverse("admin:app_list", args=["roost"])))


def test_a_form_that_an_agent_described_is_a_form_and_nothing_else(boss: Client, item: WorkItem) -> None:
    wait = Wait.objects.get(work_item=item)
    Wait.objects.filter(pk=wait.pk).update(schema=SCHEMA, state="open")
    wait.refresh_from_db()
    url = reverse("admin:roost_wait_verb", args=["respond"])
    shown = assert_harmless(boss.post(url, {"items": str(Confirmation.of(wait))}))
    assert HOSTILE in " ".join(shown.fields) + shown.text


def test_no_confirmation_makes_markup_of_what_was_put_in(boss: Client, item: WorkItem) -> None:
    url = reverse("admin:roost_workitem_verb", args=["redrive"])
    given = {"items": str(Confirmation.of(item)), "reason": HOSTILE, "back": f"/admin/roost/workitem/?q={HOSTILE}"}
    shown = assert_harmless(boss.post(url, given))
    assert HOSTILE in shown.text or HOSTILE in shown.fields.values()


def test_no_trace_makes_markup_of_what_was_put_in(item: WorkItem) -> None:
    class Answer:
        content = trace_page(trace(item)).encode()

    found = Page(Answer())
    assert TAG not in found.tags
    assert TAG in found.text
