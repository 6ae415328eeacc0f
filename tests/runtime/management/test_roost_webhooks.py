from __future__ import annotations

from typing import Any

import pytest

from runtime.models import Webhook
from tests.runtime.management.cli import document, refused, run

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
SECRET = "a secret of some length"


def test_a_webhook_is_set_listed_rotated_turned_and_removed(settings: Any) -> None:
    settings.ROOST_WEBHOOKS = {"coded": {"engine": "counter", "verifier": "github", "secret": "env:ROOST_TEST_UNSET"}}
    arguments = ("--engine", "counter", "--verifier", "hmac", "--verifier-options", '{"header": "X-Sum"}')
    more = ("--payload", '{"count_to": "$body.n"}', "--if", "body.n > 2", "--delivery-from", "body.id")
    made = document("webhooks", "set", "pushes", *arguments, *more)
    assert made["webhook"]["changed_by"].startswith("cli:")
    assert len(made["secret"]) >= 32
    assert made["secret"] not in str(made["webhook"])
    assert "secret" not in document("webhooks", "set", "pushes", "--note", "x")
    listed = document("webhooks", "list")
    assert made["secret"] not in str(listed)
    assert [(one["path"], one["source"], one["secret_in"], bool(one["trouble"])) for one in listed["webhooks"]] == [
        ("hooks/default/coded", "settings", "env:ROOST_TEST_UNSET", True),
        ("hooks/default/pushes", "row", "here", False),
    ]
    told = run("webhooks", "list")
    assert "hooks/default/pushes" in told
    assert "ROOST_TEST_UNSET is not set" in told
    told = run("webhooks", "rotate", "pushes")
    assert Webhook.objects.get().secret in told
    assert SECRET not in run("webhooks", "rotate", "pushes", "--secret", SECRET, "--keep", "0")
    assert document("webhooks", "disable", "pushes")["webhook"]["enabled"] is False
    assert document("webhooks", "enable", "pushes")["webhook"]["enabled"] is True
    assert document("webhooks", "remove", "pushes") == {"removed": "pushes"}
    settings.ROOST_WEBHOOKS = {}
    assert "No webhook is set." in run("webhooks", "list")


def test_what_makes_no_sense_is_refused() -> None:
    lead = ("--engine", "counter", "--verifier", "github")
    assert refused("webhooks", "set", "odd", *lead, "--if", "body =")[0] == 2
    assert refused("webhooks", "set", "odd", *lead, "--secret", "short")[0] == 2
    assert refused("webhooks", "set", "a/b", *lead)[0] == 2
    assert refused("webhooks", "remove", "odd")[0] == 3
    run("webhooks", "set", "odd", *lead)
    assert refused("webhooks", "enable", "odd")[0] == 1
    assert refused("webhooks", "rotate", "odd", "--secret", "short")[0] == 2


def test_a_secret_that_is_not_here_or_too_short_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    run("webhooks", "set", "w", "--engine", "counter", "--verifier", "github", "--secret", "env:ROOST_TESTS_SECRET")
    for secret, told in ((None, "is not set here."), ("short", "is too short."), (SECRET, "")):
        if secret is not None:
            monkeypatch.setenv("ROOST_TESTS_SECRET", secret)
        assert document("webhooks", "list")["webhooks"][0]["trouble"].endswith(told)
    assert document("webhooks", "list")["webhooks"][0]["trouble"] == ""
