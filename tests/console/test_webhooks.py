"""Webhooks in the admin: what they got is shown, their secrets never."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from runtime.models import Webhook
from runtime.operations.webhooks import rotate_secret, set_webhook
from tests.console.conftest import Page

SECRETS = ("a secret of some length", "another secret, as long")


def address(page: str, *arguments: Any) -> str:
    return reverse(f"admin:roost_webhook_{page}", args=arguments)


@pytest.fixture
def made(db: None) -> Webhook:
    """Make a webhook with two secrets."""
    set_webhook("pushes", engine="counter", verifier="github", secret=SECRETS[0])
    return rotate_secret("pushes", secret=SECRETS[1]).webhook


@pytest.mark.scenario("S10")
def test_no_page_shows_a_secret_or_lets_it_be_guessed_by_a_filter(made: Webhook, boss: Client) -> None:
    for url in (address("changelist"), address("change", made.pk), address("history", made.pk)):
        page = Page(boss.get(url))
        assert "pushes" in page.text
        assert page.refused == []
        assert all(secret not in page.text and secret not in page.fields.values() for secret in SECRETS)
    for column in ("secret", "previous_secret"):
        answer = boss.get(address("changelist"), {f"{column}__startswith": "a"})
        assert answer.status_code in (302, 400)


def test_a_webhook_is_turned_off_noted_and_removed(made: Webhook, boss: Client) -> None:
    version = Webhook.objects.get().row_version
    answer = boss.post(address("change", made.pk), {"note": "x", "shown_version": str(version)})
    assert answer.status_code == 302
    row = Webhook.objects.get()
    assert (row.enabled, row.note, row.changed_by, row.secret) == (False, "x", "boss", SECRETS[1])
    assert row.previous_secret == SECRETS[0]
    late = boss.post(address("change", made.pk), {"note": "y", "shown_version": str(version)})
    assert late.status_code == 200
    assert Webhook.objects.get().note == "x"
    assert boss.post(address("delete", made.pk), {"post": "yes"}).status_code == 302
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("gone", ["nobody", "unloadable"])
def test_a_webhook_whose_engine_is_gone_is_turned_off_and_says_why_it_cannot_be_on(
    made: Webhook, boss: Client, settings: Any, gone: str
) -> None:
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "unloadable": "nowhere.Nothing"}
    Webhook.objects.update(engine=gone)
    version = str(Webhook.objects.get().row_version)
    kept_on = {"enabled": "on", "note": "gone", "shown_version": version}
    refused = boss.post(address("change", made.pk), kept_on)
    assert refused.status_code == 200
    assert gone in str(refused.context["adminform"].form.errors["enabled"])
    assert boss.post(address("change", made.pk), {"note": "gone", "shown_version": version}).status_code == 302
    row = Webhook.objects.get()
    assert (row.enabled, row.note, row.changed_by) == (False, "gone", "boss")


def test_what_the_settings_declare_is_shown_without_its_secret(boss: Client, settings: Any) -> None:
    assert "In the setting" not in Page(boss.get(address("changelist"))).text
    given = {"engine": "counter", "verifier": "github", "secret": SECRETS[0]}
    settings.ROOST_WEBHOOKS = {"coded": given, "off": {**given, "secret": "env:ROOST_UNSET"}, "odd": {}}
    page = Page(boss.get(address("changelist")))
    for part in (
        "In the setting ROOST_WEBHOOKS",
        "coded",
        "in the setting",
        "env:ROOST_UNSET",
        "is not set here",
    ):
        assert part in page.text
    assert page.refused == []
    for hidden in (SECRETS[0], "hidden", "odd"):
        assert hidden not in page.text


def test_none_is_made_here(boss: Client) -> None:
    assert boss.get(address("add")).status_code == 403


@pytest.mark.scenario("B18")
def test_webhooks_are_edited_only_with_the_permission(made: Webhook, staff: Any, log_in: Any) -> None:
    reader = log_in(staff("view_webhook", name="reader"))
    assert reader.get(address("change", made.pk)).status_code == 200
    for url in (address("change", made.pk), address("delete", made.pk)):
        assert reader.post(url, {"note": "x", "post": "yes"}).status_code == 403
    assert Webhook.objects.get().note == ""
