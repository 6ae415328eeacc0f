from __future__ import annotations

from typing import Any

import pytest

from runtime.models import WebhookTarget
from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db

LEAD = ("--url", "https://ops.example/hidden?token=hidden", "--events", "failed, done")


@pytest.mark.scenario("S10")
def test_a_target_is_set_listed_changed_and_removed_and_its_secret_shown_once() -> None:
    made = document(
        "webhook-targets", "set", "ops", *LEAD, "--if", "item.reason != 'x'", "--options", '{"priority": 2}'
    )
    assert len(made["secret"]) >= 32
    assert (made["target"]["events"], made["target"]["contents"]) == (["done", "failed"], ["result", "error", "waits"])
    [listed] = document("webhook-targets", "list")["targets"]
    assert (listed["name"], listed["server"], listed["secret_in"]) == ("ops", "https://ops.example", "here")
    told = run("webhook-targets", "list")
    assert "any engine: done, failed, if item.reason" in told
    changed = document("webhook-targets", "set", "ops", "--contents", "", "--no-enabled", "--note", "why")
    assert (changed["target"]["contents"], changed["target"]["enabled"], "secret" in changed) == ([], False, False)
    anew = run("webhook-targets", "set", "ops", "--new-secret")
    assert WebhookTarget.objects.get().secret in anew
    assert WebhookTarget.objects.get().secret != made["secret"]
    for text in (repr(listed), told, repr(changed), run("webhook-targets", "list")):
        assert made["secret"] not in text
        assert "hidden" not in text
    assert document("webhook-targets", "remove", "ops") == {"removed": "ops"}
    assert "No webhook target is set." in run("webhook-targets", "list")


def test_a_secret_that_is_not_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    run("webhook-targets", "set", "ops", *LEAD, "--secret", "env:ROOST_TESTS_SECRET")
    assert "ROOST_TESTS_SECRET is not set here" in run("webhook-targets", "list")
    monkeypatch.setenv("ROOST_TESTS_SECRET", "short")
    assert "ROOST_TESTS_SECRET is too short" in run("webhook-targets", "list")
    monkeypatch.setenv("ROOST_TESTS_SECRET", "a secret of some length")
    assert document("webhook-targets", "list")["targets"][0]["trouble"] == ""


def test_what_makes_no_sense_is_refused() -> None:
    assert refused("webhook-targets", "set", "ops", "--events", "done")[0] == 2
    assert refused("webhook-targets", "set", "ops", *LEAD, "--events", "dreams")[0] == 2
    assert refused("webhook-targets", "set", "ops", *LEAD, "--secret", "short")[0] == 2
    assert refused("webhook-targets", "remove", "ops")[0] == 3


def test_targets_of_the_settings_are_listed(settings: Any) -> None:
    given = {"url": "https://ops.example/hidden", "events": ["done"], "secret": "env:ROOST_TESTS_UNSET"}
    settings.ROOST_WEBHOOK_TARGETS = {"coded": given, "far": {**given, "url": "env:ROOST_NO_URL"}, "odd": {}}
    run("webhook-targets", "set", "ops", *LEAD)
    listed = document("webhook-targets", "list")["targets"]
    assert [(one["name"], one["source"], one["secret_in"]) for one in listed] == [
        ("coded", "settings", "env:ROOST_TESTS_UNSET"),
        ("far", "settings", "env:ROOST_TESTS_UNSET"),
        ("ops", "row", "here"),
    ]
    told = run("webhook-targets", "list")
    assert "The variable ROOST_TESTS_UNSET is not set here" in told
    assert "The url is in ROOST_NO_URL, which is not set here" in told
    assert "hidden" not in told + repr(listed)
