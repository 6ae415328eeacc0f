"""Webhooks are set with a permission, keep their secrets to themselves, and rotate them without losing a delivery."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound, StaleVersion, UnknownEngine
from runtime.models import Webhook
from runtime.operations.webhooks import SetWebhook, remove_webhook, rotate_secret, set_webhook, turn_webhook

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
SECRET = "a secret of some length"


def test_a_new_webhook_is_given_a_secret_that_is_told_once() -> None:
    made = set_webhook("pushes", engine="counter", verifier="github", actor="ann")
    assert len(made.secret) >= 32
    assert made.secret not in repr(made)
    assert (made.webhook.changed_by, made.webhook.delivery_from) == ("ann", 'headers["x-github-delivery"]')
    assert set_webhook("pushes", note="x").secret == ""
    row = Webhook.objects.get()
    assert (row.secret, row.note, row.row_version) == (made.secret, "x", 2)


def test_a_token_is_kept_as_its_hash_and_another_verifier_asks_for_its_secret_anew() -> None:
    made = set_webhook("in", engine="counter", verifier="bearer", delivery_from="none")
    assert made.secret not in Webhook.objects.get().secret
    with pytest.raises(InvalidInput, match="anew") as caught:
        set_webhook("in", verifier="github")
    assert caught.value.field == "secret"
    set_webhook("in", verifier="github", secret=SECRET)
    assert Webhook.objects.get().secret == SECRET


def test_the_old_secret_of_a_rotation_is_good_for_a_while_and_the_one_before_is_gone() -> None:
    set_webhook("in", engine="counter", verifier="github", secret=SECRET)
    issued = rotate_secret("in", keep=60)
    row = Webhook.objects.get()
    assert (row.secret, row.previous_secret) == (issued.secret, SECRET)
    assert row.previous_until is not None
    rotate_secret("in", secret="another secret of some length", keep=0)
    row = Webhook.objects.get()
    assert (row.previous_secret, row.previous_until) == ("", None)
    with pytest.raises(Conflict):
        rotate_secret("in", secret="another secret of some length")
    assert rotate_secret("in", secret="env:HOOK_SECRET").secret == ""


def test_a_secret_that_is_said_anew_ends_every_other() -> None:
    set_webhook("in", engine="counter", verifier="github", secret=SECRET)
    rotate_secret("in")
    set_webhook("in", secret="another secret of some length")
    assert Webhook.objects.get().previous_secret == ""


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"verifier": "nobody"}, "verifier"),
        ({"verifier": "bearer"}, "delivery_from"),
        ({"verifier": "hmac", "verifier_options": {"header": "x"}}, "delivery_from"),
        ({"verifier": "github", "verifier_options": {"header": "x"}}, "verifier_options"),
        ({"verifier": "github", "delivery_from": "result.id"}, "delivery_from"),
        ({"verifier": "github", "condition": "result.x"}, "condition"),
        ({"verifier": "github", "payload": "$state.x"}, "payload"),
        ({"verifier": "github", "options": {"idempotency_key": "x"}}, "options"),
        ({"verifier": "github", "max_bytes": 0}, "max_bytes"),
        ({"verifier": "github", "secret": "short"}, "secret"),
        ({"verifier": "github", "colour": "red"}, "name"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        set_webhook("in", engine="counter", **options)
    assert caught.value.field == field
    assert not Webhook.objects.exists()


def test_an_engine_that_is_not_there_is_refused_unless_nothing_is_taken() -> None:
    with pytest.raises(UnknownEngine):
        set_webhook("in", engine="nobody", verifier="github")
    assert not set_webhook("in", engine="nobody", verifier="github", enabled=False).webhook.enabled


def test_a_secret_that_is_said_to_be_nothing_stays() -> None:
    set_webhook("in", engine="counter", verifier="github", secret=SECRET)
    assert set_webhook("in", secret="", note="x").secret == ""
    assert Webhook.objects.get().secret == SECRET


def test_a_webhook_of_the_settings_is_not_set_beside_them(settings: Any) -> None:
    settings.ROOST_WEBHOOKS = {"in": {}}
    with pytest.raises(InvalidInput, match="ROOST_WEBHOOKS"):
        set_webhook("in", engine="counter", verifier="github")


def test_webhooks_of_two_namespaces_may_have_one_name() -> None:
    for namespace in ("default", "other"):
        set_webhook("in", namespace=namespace, engine="counter", verifier="github")
    remove_webhook("in", namespace="other")
    assert [row.namespace for row in Webhook.objects.all()] == ["default"]


def test_an_edit_of_what_somebody_changed_meanwhile_is_refused() -> None:
    set_webhook("in", engine="counter", verifier="github")
    set_webhook("in", note="x")
    with pytest.raises(StaleVersion):
        SetWebhook("in", row_version=1, note="y").execute()


def test_a_webhook_is_turned_off_and_on() -> None:
    set_webhook("in", engine="counter", verifier="github")
    assert not turn_webhook("in", enabled=False, actor="ann").enabled
    with pytest.raises(Conflict):
        turn_webhook("in", enabled=False)
    assert turn_webhook("in", enabled=True).enabled


@pytest.mark.scenario("B18")
def test_each_verb_asks_for_its_permission() -> None:
    nobody = AnonymousUser()
    set_webhook("in", engine="counter", verifier="github")
    for call in (
        lambda: set_webhook("new", engine="counter", verifier="github", by=nobody),
        lambda: set_webhook("in", note="x", by=nobody),
        lambda: rotate_secret("in", by=nobody),
        lambda: turn_webhook("in", enabled=False, by=nobody),
        lambda: remove_webhook("in", by=nobody),
    ):
        with pytest.raises(Forbidden):
            call()
    assert Webhook.objects.get().row_version == 1


def test_what_is_not_there_is_not_found() -> None:
    for call in (lambda: rotate_secret("in"), lambda: turn_webhook("in", enabled=True), lambda: remove_webhook("in")):
        with pytest.raises(NotFound):
            call()
