"""Webhook targets in the admin: what they were told is shown, their addresses and secrets never."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from runtime import clock
from runtime.deliveries import signed_headers
from runtime.models import WebhookTarget, WorkItem
from runtime.operations.targets import set_target
from runtime.operations.webhooks import set_webhook
from tests.console.conftest import Page
from tests.factories import WorkItemFactory

SECRET = "a secret of some length"


def address(page: str, *arguments: Any) -> str:
    return reverse(f"admin:roost_webhooktarget_{page}", args=arguments)


@pytest.fixture
def made(db: None) -> WebhookTarget:
    """Make a target whose address is a secret too."""
    return set_target("ops", url="https://ops.example/hidden?token=hidden", events=["done"], secret=SECRET).target


@pytest.mark.scenario("S10")
def test_no_page_shows_a_secret_or_lets_it_be_guessed_by_a_filter(made: WebhookTarget, boss: Client) -> None:
    for url in (address("changelist"), address("change", made.pk), address("history", made.pk)):
        page = Page(boss.get(url))
        assert "ops" in page.text
        assert page.refused == []
        for hidden in (SECRET, "hidden"):
            assert hidden not in page.text
            assert not any(hidden in value for value in page.fields.values())
    for column in ("secret", "url"):
        assert boss.get(address("changelist"), {f"{column}__startswith": "a"}).status_code in (302, 400)


def test_events_times_and_the_last_item_are_shown_as_on_other_pages(made: WebhookTarget, boss: Client) -> None:
    item = WorkItemFactory()
    WebhookTarget.objects.update(last_item=item.pk, last_at=made.changed_at)
    form = boss.get(address("change", made.pk)).content.decode()
    for page in (form, boss.get(address("changelist")).content.decode()):
        assert f'<time datetime="{made.changed_at.isoformat()}">' in page
        assert '["done"]' not in page.replace("&quot;", '"')
    assert reverse("admin:roost_workitem_change", args=[item.pk]) in form


def test_a_target_is_turned_off_noted_and_removed(made: WebhookTarget, boss: Client, settings: Any) -> None:
    answer = boss.post(address("change", made.pk), {"note": "x", "shown_version": "1"})
    assert answer.status_code == 302
    row = WebhookTarget.objects.get()
    assert (row.enabled, row.note, row.changed_by, row.secret) == (False, "x", "boss", SECRET)
    assert boss.post(address("change", made.pk), {"note": "y", "shown_version": "1"}).status_code == 200
    assert WebhookTarget.objects.get().note == "x"
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "webhook_delivery": "nowhere.Nothing"}
    refused = boss.post(address("change", made.pk), {"enabled": "on", "shown_version": "2"})
    assert "nowhere.Nothing" in str(refused.context["adminform"].form.errors["enabled"])
    noted = boss.post(address("change", made.pk), {"note": "gone", "shown_version": "2"})
    assert (noted.status_code, WebhookTarget.objects.get().note) == (302, "gone")
    assert boss.post(address("delete", made.pk), {"post": "yes"}).status_code == 302
    assert not WebhookTarget.objects.exists()


def test_what_the_settings_declare_is_shown_without_its_secret(boss: Client, settings: Any) -> None:
    assert "In the setting" not in Page(boss.get(address("changelist"))).text
    given = {"url": "https://ops.example/hidden", "events": ["done"], "secret": SECRET}
    settings.ROOST_WEBHOOK_TARGETS = {
        "coded": given,
        "off": {**given, "secret": "env:ROOST_UNSET"},
        "odd": {},
    }
    page = Page(boss.get(address("changelist")))
    for part in (
        "In the setting ROOST_WEBHOOK_TARGETS",
        "coded",
        "in the setting",
        "env:ROOST_UNSET",
        "is not set here",
    ):
        assert part in page.text
    assert page.refused == []
    for hidden in (SECRET, "hidden", "odd"):
        assert hidden not in page.text


def test_none_is_made_here(boss: Client) -> None:
    assert boss.get(address("add")).status_code == 403


@pytest.mark.scenario("B18")
def test_targets_are_edited_only_with_the_permission(made: WebhookTarget, staff: Any, log_in: Any) -> None:
    reader = log_in(staff("view_webhooktarget", name="reader"))
    assert reader.get(address("change", made.pk)).status_code == 200
    for url in (address("change", made.pk), address("delete", made.pk)):
        assert reader.post(url, {"note": "x", "post": "yes"}).status_code == 403
    editor = log_in(staff("view_webhooktarget", "change_webhooktarget", name="editor"))
    assert (
        editor.post(address("change", made.pk), {"enabled": "on", "note": "x", "shown_version": "1"}).status_code == 302
    )
    assert WebhookTarget.objects.get().note == "x"


@pytest.mark.django_db
@pytest.mark.scenario("S10")
def test_another_roost_takes_a_delivery_by_a_webhook_as_the_documentation_says(client: Client) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "webhook-targets.md").read_text()
    [options] = re.findall(r"the options `(\{.*?\})`, and knows them again by their bodies", page)
    set_webhook(
        "roost",
        engine="counter",
        verifier="hmac",
        verifier_options=json.loads(options),
        secret=SECRET,
        payload={"count_to": "$body.result.count"},
    )
    content = b'{"event": "item.done", "result": {"count": 3}}'
    now = clock.now("default").timestamp()
    statuses = []
    for attempt in (now - 60, now - 30, now):
        headers = signed_headers(SECRET, event="item.done", delivery="d-1", content=content, now=attempt)
        answer = client.post("/roost/hooks/default/roost", content, content_type="application/json", headers=headers)
        statuses.append(answer.status_code)
    assert statuses == [202, 200, 200]
    assert WorkItem.objects.get().payload == {"count_to": 3}
    wrong = signed_headers("another secret, as long", event="e", delivery="d-2", content=content, now=now)
    refused = client.post("/roost/hooks/default/roost", content, content_type="application/json", headers=wrong)
    assert refused.status_code == 401
