"""What is no signed request is refused, and nothing is told to whoever is not known."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.test import Client

from runtime.models import Event, Webhook, WorkItem
from runtime.operations import hook_counters
from runtime.operations.webhooks import set_webhook, turn_webhook
from tests.console.hooks.sending import BODY, SECRET, send, sum_of

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


@pytest.mark.parametrize("signature", ["", "sha256=00", "sha256=" + "0" * 64, "nonsense"])
def test_whoever_does_not_know_the_secret_is_told_the_same_as_where_there_is_no_webhook(
    github: Webhook, signature: str
) -> None:
    wrong, unknown = (send(to=to, X_Hub_Signature_256=signature) for to in ("default/pushes", "default/nobody"))
    assert (wrong.status_code, wrong["Content-Type"]) == (401, "application/problem+json")
    assert (wrong.content, sorted(wrong.items())) == (unknown.content, sorted(unknown.items()))
    assert send(to="elsewhere/pushes", X_Hub_Signature_256=signature).content == wrong.content
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize("name", ["%00", "a%00b", "x" * 500, "%C3%A9", "%F0%9F%90%94", "..", "%20"])
def test_an_address_that_no_webhook_can_have_is_as_unknown_as_any(name: str) -> None:
    assert send(to=f"default/{name}").status_code == 401
    assert send(to=f"{name}/pushes").status_code == 401


def test_a_disabled_webhook_says_so_to_those_who_know_its_secret_only(github: Webhook) -> None:
    turn_webhook("pushes", enabled=False)
    assert send().status_code == 403
    assert send(X_Hub_Signature_256="sha256=00").status_code == 401
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "options"])
def test_only_a_post_is_taken(github: Webhook, method: str) -> None:
    for name in ("pushes", "nobody"):
        answer = getattr(Client(), method)(f"/roost/hooks/default/{name}")
        assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_a_body_that_is_too_large_is_refused_before_it_is_known_whose_it_is(github: Webhook, settings: Any) -> None:
    settings.ROOST_MAX_WEBHOOK_BYTES = 1000
    large = json.dumps({"n": 1, "x": "y" * 1000}).encode()
    for to in ("default/pushes", "default/nobody"):
        assert send(large, to=to).status_code == 413
    settings.ROOST_MAX_WEBHOOK_BYTES = 10_000
    assert send(large).status_code == 202


def test_a_webhook_may_take_less_than_the_most(github: Webhook) -> None:
    set_webhook("pushes", max_bytes=10)
    assert send().status_code == 413
    assert send(X_Hub_Signature_256="sha256=00").status_code == 401


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b'{"n": NaN}', b'{"n": "\\u0000"}', b"[" * 100_000, b"9" * 5000, b"[" * 200 + b"]" * 200],
)
def test_a_body_that_is_no_json_is_refused(github: Webhook, body: bytes) -> None:
    assert send(body).status_code == 400
    assert not WorkItem.objects.exists()


def test_a_delivery_without_its_id_is_refused(github: Webhook) -> None:
    assert send(delivery="").status_code == 400
    set_webhook("pushes", delivery_from="body.missing")
    assert send().status_code == 400


def test_a_delivery_id_of_any_length_makes_one_key(github: Webhook) -> None:
    assert [send(delivery="x" * 5000).status_code for _ in range(2)] == [202, 200]
    assert len(str(WorkItem.objects.get().idempotency_key)) < 200


def test_what_the_engine_does_not_take_is_refused_with_its_reason(github: Webhook) -> None:
    answer = send(json.dumps({"n": "a card's number"}).encode())
    assert answer.status_code == 422
    for told in (answer.json()["detail"], Webhook.objects.get().error):
        assert "payload.count_to" in told
        assert "card" not in told
    assert Webhook.objects.get().error.startswith("invalid: ")


def test_a_field_of_which_nobody_knows_what_it_holds_is_not_named(github: Webhook) -> None:
    set_webhook("pushes", payload="$body")
    answer = send(json.dumps({"count_to": 1, "a card's number": 1}).encode())
    assert (answer.status_code, "card" in answer.json()["detail"]) == (422, False)


def test_what_is_larger_than_an_item_may_be_is_refused_without_being_quoted(github: Webhook, settings: Any) -> None:
    settings.ROOST_MAX_PAYLOAD_BYTES = 100
    answer = send(json.dumps({"n": "card " * 50}).encode())
    assert (answer.status_code, "card" in answer.json()["detail"]) == (413, False)


def test_an_engine_that_is_gone_makes_the_sender_try_again(github: Webhook) -> None:
    Webhook.objects.update(engine="gone")
    answer = send()
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


def test_refusals_are_counted_without_a_write_for_each(
    github: Webhook, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    moment = [100.0]
    monkeypatch.setattr(hook_counters.time, "monotonic", lambda: moment[0])
    for _ in range(5):
        send(X_Hub_Signature_256="sha256=00")
    row = Webhook.objects.get()
    assert (row.refused_total, row.error) == (1, "unauthorised: The signature is wrong.")
    with django_assert_max_num_queries(2):  # the webhook and the time
        send(X_Hub_Signature_256="sha256=00")
    moment[0] += 1.0
    send(X_Hub_Signature_256="sha256=00")
    row = Webhook.objects.get()
    assert (row.refused_total, row.row_version) == (7, github.row_version)


def test_no_secret_is_logged(github: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = f"sha256={sum_of(b'other')}"
    send(X_Hub_Signature_256=wrong, Authorization="Bearer presented-token")
    send(delivery="d-9")
    told = caplog.text + json.dumps(list(Event.objects.values()), default=str) + Webhook.objects.get().error
    for secret in (SECRET, wrong, sum_of(BODY), "presented-token"):
        assert secret not in told
