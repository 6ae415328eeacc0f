"""What looks like a secret is masked on every page that shows contents; the product's hook has the last word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import JSONField
from django.test import Client
from django.urls import reverse

from runtime.models import Schedule, Snapshot
from runtime.operations.schedules import set_schedule
from runtime.queries.redaction import HOOK_FAILED, shown
from tests.console.conftest import Page
from tests.console.roles import MODELS, PUBLIC_JSON
from tests.console.test_lists import FACTORIES, address
from tests.factories import ERROR, EventFactory, WaitFactory, WorkItemFactory

SECRET = "swordfish"
HOLDS = {"api_key": SECRET, "nested": [{"dbPassword": SECRET}], "note": f"Bearer {SECRET}", "plain": "herring"}


def shout(value: Any) -> Any:
    """Mask a word of the product's own."""
    if isinstance(value, dict):
        return {key: shout(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shout(inner) for inner in value]
    return value.replace("herring", "HERRING") if isinstance(value, str) else value


def fail(value: Any) -> Any:
    """Fail with the value in the message."""
    raise RuntimeError(str(value))


def no_json(_value: Any) -> Any:
    """Return what cannot be shown."""
    return {1, 2}


def pages_with_contents() -> Iterator[tuple[str, str]]:
    """Fill every JSON column that holds contents; yield each such row's name and address."""
    for name, model in MODELS.items():
        columns = [
            field.name
            for field in model._meta.get_fields()
            if isinstance(field, JSONField) and f"{name}.{field.name}" not in PUBLIC_JSON
        ]
        if not columns or model not in FACTORIES:
            continue
        row = FACTORIES[model]()
        model._default_manager.filter(pk=row.pk).update(**dict.fromkeys(columns, HOLDS))
        yield name, address(model, "change", row.pk)


def test_secrets_are_masked_on_every_page_that_shows_contents(boss: Client) -> None:
    seen = set()
    for name, url in pages_with_contents():
        html = boss.get(url).content.decode()
        assert SECRET not in html, name
        assert "[redacted]" in html, name
        assert "herring" in html, name
        seen.add(name)
    assert seen >= {"workitem", "snapshot", "event", "artifact", "journalentry", "wait", "signal", "lease"}


def test_an_items_page_masks_state_error_and_events(boss: Client) -> None:
    error = {**ERROR, "message": f"refused: Bearer {SECRET}", "traceback": f"postgres://me:{SECRET}@db/x"}
    item = WorkItemFactory(failed=True, version=1, last_error=error)
    Snapshot.objects.filter(work_item=item).update(data=HOLDS)
    EventFactory(work_item=item, data=HOLDS)
    for url in (
        reverse("admin:roost_workitem_change", args=[item.pk]),
        reverse("admin:roost_workitem_dead"),
        reverse("admin:app_list", args=["roost"]),
    ):
        page = boss.get(url).content.decode()
        assert SECRET not in page
        assert "[redacted]" in page


def test_what_is_to_be_approved_is_masked(boss: Client) -> None:
    wait = WaitFactory(data=HOLDS)
    asked = boss.post(reverse("admin:roost_wait_verb", args=["approve"]), {"items": f"{wait.pk}:{wait.row_version}:0"})
    assert SECRET not in asked.rendered_content
    assert "herring" in asked.rendered_content


def test_nothing_is_found_by_what_is_masked(boss: Client) -> None:
    WorkItemFactory(payload=HOLDS)
    answer = boss.get(address(MODELS["workitem"]), {"q": f"payload.api_key:{SECRET}"})
    assert list(answer.context["cl"].result_list) == []
    assert "sounds like a secret" in Page(answer).text


def test_a_schedules_payload_is_masked_for_those_who_may_not_edit_it(staff: Any, log_in: Any) -> None:
    row = set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    Schedule.objects.filter(pk=row.pk).update(payload=HOLDS)
    reader = log_in(staff("view_schedule", "view_payload"))
    html = reader.get(address(Schedule, "change", row.pk)).content.decode()
    assert SECRET not in html
    assert "herring" in html


def test_the_products_hook_has_the_last_word(boss: Client, settings: Any) -> None:
    item = WorkItemFactory(payload=HOLDS)
    settings.ROOST_REDACT = f"{__name__}.shout"
    html = boss.get(address(type(item), "change", item.pk)).content.decode()
    assert "HERRING" in html
    assert SECRET not in html


@pytest.mark.parametrize("hook", ["fail", "no_json", "missing"])
def test_a_hook_that_fails_shows_nothing(hook: str, boss: Client, settings: Any) -> None:
    item = WorkItemFactory(payload=HOLDS, failed=True)
    settings.ROOST_REDACT = f"{__name__}.{hook}"
    answer = boss.get(address(type(item), "change", item.pk))
    assert answer.status_code == 200
    assert HOOK_FAILED in Page(answer).text
    assert "herring" not in answer.content.decode()


def test_without_a_hook_or_a_value_nothing_is_called(settings: Any) -> None:
    settings.ROOST_REDACT = f"{__name__}.fail"
    assert shown(None) is None
    settings.ROOST_REDACT = None
    assert shown({"a": 1}) == {"a": 1}
