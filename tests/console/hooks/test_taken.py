"""A signed request enqueues one item."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from typing import Any

import pytest
from django.db import connection, connections
from django.urls import resolve

from runtime import clock, faults
from runtime.choices import EventKind
from runtime.models import Event, Webhook, WorkItem
from runtime.operations import receiving
from runtime.operations.webhooks import rotate_secret, set_webhook
from tests.console.hooks.sending import BODY, MAP, SECRET, post, send, sum_of

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


def test_a_signed_delivery_enqueues_an_item_whose_history_says_who_sent_it(github: Webhook) -> None:
    answer = send()
    assert answer.status_code == 202
    item = WorkItem.objects.get()
    assert answer.json() == {"status": "accepted", "item": str(item.pk)}
    assert (item.engine, item.payload, item.namespace) == ("counter", {"count_to": 3}, "default")
    assert item.idempotency_key == f"webhook:pushes:d-1:{hashlib.sha256(BODY).hexdigest()[:32]}"
    event = Event.objects.get(work_item=item, kind=EventKind.ENQUEUED)
    assert event.actor == "webhook:pushes"
    row = Webhook.objects.get()
    assert (row.accepted_total, row.repeated_total, row.last_item) == (1, 0, item.pk)
    assert row.row_version == github.row_version


def test_the_same_delivery_is_answered_with_the_same_item(github: Webhook) -> None:
    first, again = send(), send()
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == {"status": "repeated", "item": first.json()["item"]}
    assert send(delivery="d-2").status_code == 202
    assert WorkItem.objects.count() == 2
    row = Webhook.objects.get()
    assert (row.accepted_total, row.repeated_total) == (2, 1)


def test_a_delivery_that_comes_again_after_the_map_was_changed_is_still_the_same(github: Webhook) -> None:
    first = send()
    set_webhook("pushes", payload={"count_to": 1}, options={"priority": 3})
    assert send().json()["item"] == first.json()["item"]
    assert WorkItem.objects.count() == 1


@pytest.mark.parametrize(("point", "statuses"), [("deliver.before", [202, 200]), ("deliver.after", [200, 200])])
def test_a_process_that_dies_around_the_enqueue_neither_loses_nor_doubles_the_delivery(
    github: Webhook, point: str, statuses: list[int]
) -> None:
    with faults.planned(faults.Plan(point=point, action="raise")), pytest.raises(faults.InjectedFault):
        send()
    assert [send().status_code for _ in range(2)] == statuses
    assert WorkItem.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_delivery_that_comes_several_times_at_once_enqueues_one_item() -> None:
    set_webhook("pushes", engine="counter", verifier="github", secret=SECRET, payload=MAP)
    start, found = threading.Barrier(4), []

    def deliver() -> None:
        start.wait(10)
        try:
            answer = send()
            found.append((answer.status_code, answer.json()["item"]))
        finally:
            connection.close()

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(status for status, _ in found) == [200, 200, 200, 202]
    assert {item for _, item in found} == {str(WorkItem.objects.get().pk)}
    row = Webhook.objects.get()
    assert (row.accepted_total, row.repeated_total) == (1, 3)


def test_the_sender_of_a_token_is_known_by_it() -> None:
    issued = set_webhook("in", engine="counter", verifier="bearer", payload=MAP, delivery_from="body.id")
    for status in (202, 200):
        assert post(to="default/in", Authorization=f"Bearer {issued.secret}").status_code == status
    assert post(to="default/in", Authorization=f"Bearer {issued.secret}x").status_code == 401
    assert WorkItem.objects.get().idempotency_key == "webhook:in:7"


def test_slack_is_answered_its_challenge_and_its_events_come_once() -> None:
    set_webhook("slack", engine="counter", verifier="slack", secret=SECRET, payload={"count_to": "$body.event.n"})
    challenge = json.dumps({"type": "url_verification", "challenge": "<b>3eZbrw"}).encode()
    answer = post(challenge, to="default/slack", **slack(challenge))
    assert (answer.status_code, answer.json()) == (200, {"challenge": "<b>3eZbrw"})
    assert answer["Content-Type"] == "application/json"
    assert post(challenge, to="default/slack", **slack(challenge, sum_="v0=00")).status_code == 401
    body = json.dumps({"type": "event_callback", "event_id": "Ev1", "event": {"n": 2}}).encode()
    assert [post(body, to="default/slack", **slack(body)).status_code for _ in range(2)] == [202, 200]
    assert post(body, to="default/slack", **slack(body, ago=301)).status_code == 401
    assert WorkItem.objects.count() == 1


def slack(body: bytes, *, ago: int = 0, sum_: str = "") -> dict[str, str]:
    timestamp = str(int(clock.now("default").timestamp()) - ago)
    signature = "v0=" + hmac.new(SECRET.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": sum_ or signature}


def test_where_the_whole_body_is_the_delivery_the_same_body_is_the_same_item() -> None:
    options: Any = {"verifier": "hmac", "verifier_options": {"header": "X-Sum"}, "delivery_from": "body"}
    set_webhook("in", engine="counter", secret=SECRET, payload=MAP, **options)
    assert [post(to="default/in", X_Sum=sum_of(BODY)).status_code for _ in range(2)] == [202, 200]
    set_webhook("in", delivery_from="none")
    assert [post(to="default/in", X_Sum=sum_of(BODY)).status_code for _ in range(2)] == [202, 202]
    assert WorkItem.objects.count() == 3


def timed(body: bytes = BODY, *, ago: int = 0) -> Any:
    """Send what a sender with a timestamp sends, so many seconds ago."""
    timestamp = str(int(clock.now("default").timestamp()) - ago)
    return post(body, to="default/in", X_At=timestamp, X_Sum=sum_of(timestamp.encode() + b"." + body), X_Id="7")


@pytest.mark.parametrize("known_by", ["", "body.id", 'headers["x-id"]'])
def test_a_sender_that_tries_again_with_a_new_timestamp_repeats_its_delivery(known_by: str) -> None:
    options = {"header": "X-Sum", "timestamp_header": "X-At", "signed": "{timestamp}.{body}"}
    more: Any = {"verifier_options": options, "delivery_from": known_by}
    set_webhook("in", engine="counter", verifier="hmac", secret=SECRET, payload=MAP, **more)
    assert [timed(ago=ago).status_code for ago in (60, 30, 30, 0)] == [202, 200, 200, 200]
    assert timed(json.dumps({"id": 8, "n": 3}).encode()).status_code == 202
    assert (WorkItem.objects.count(), Webhook.objects.get().repeated_total) == (2, 3)


def test_nobody_uses_up_the_id_of_a_delivery_that_is_still_to_come(github: Webhook) -> None:
    recorded, genuine = BODY, json.dumps({"id": 8, "n": 2}).encode()
    assert send(recorded).status_code == 202
    assert send(recorded, delivery="d-2").status_code == 202
    assert [send(genuine, delivery="d-2").status_code for _ in range(2)] == [202, 200]
    assert [item.payload["count_to"] for item in WorkItem.objects.order_by("pk")] == [3, 3, 2]


def test_a_recorded_request_under_a_new_id_is_a_repetition_where_the_body_is_the_delivery(github: Webhook) -> None:
    set_webhook("pushes", delivery_from="body")
    assert [send(delivery=delivery).status_code for delivery in ("d-1", "d-2", "d-3")] == [202, 200, 200]
    assert WorkItem.objects.count() == 1


def test_where_a_token_is_all_that_is_known_an_id_in_a_header_counts_alone() -> None:
    issued = set_webhook("in", engine="counter", verifier="bearer", payload=MAP, delivery_from='headers["x-id"]')
    for body, status in ((BODY, 202), (b'{"n": 1}', 200)):
        answer = post(body, to="default/in", Authorization=f"Bearer {issued.secret}", X_Id="7")
        assert answer.status_code == status
    assert WorkItem.objects.get().idempotency_key == "webhook:in:7"


@pytest.mark.parametrize("length", [75, 76, 5000])
def test_the_longest_name_and_id_fit_into_a_key(length: int) -> None:
    name = "n" * 80
    set_webhook(name, engine="counter", verifier="github", secret=SECRET, payload=MAP)
    assert [send(delivery="d" * length, to=f"default/{name}").status_code for _ in range(2)] == [202, 200]


def test_a_condition_lets_by_what_is_not_wanted(github: Webhook) -> None:
    set_webhook("pushes", condition='headers["x-github-event"] == "push"')
    answer = send(X_GitHub_Event="ping")
    assert (answer.status_code, answer.json()) == (200, {"status": "ignored", "item": None})
    assert send(X_GitHub_Event="push").status_code == 202
    assert (WorkItem.objects.count(), Webhook.objects.get().ignored_total) == (1, 1)


def test_no_secret_of_a_request_gets_into_a_payload(github: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("authorization", "cookie", "x-hub-signature-256", "x-github-event")
    set_webhook("pushes", payload={name: f'$headers["{name}"]' for name in names})
    seen: list[Any] = []
    monkeypatch.setattr(receiving, "enqueue", lambda engine, payload, **options: seen.append(payload) or WorkItem())
    send(Authorization="Bearer x", Cookie="a=b", X_GitHub_Event="push")
    assert seen == [dict.fromkeys(names[:3]) | {"x-github-event": "push"}]


def test_the_old_secret_is_good_until_its_time_is_over(github: Webhook) -> None:
    issued = rotate_secret("pushes", keep=60)
    assert send().status_code == 202
    assert send(X_Hub_Signature_256=f"sha256={sum_of(BODY, issued.secret)}").status_code == 200
    with clock.shifted(clock.dt.timedelta(seconds=61)):
        assert send().status_code == 401
        assert send(X_Hub_Signature_256=f"sha256={sum_of(BODY, issued.secret)}").status_code == 200


def test_a_webhook_of_the_settings_is_served_without_a_row(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    settings.ROOST_WEBHOOKS = {
        "pushes": {"engine": "counter", "verifier": "github", "secret": "env:HOOK_SECRET", "payload": MAP}
    }
    assert send().status_code == 202
    assert send(X_Hub_Signature_256="sha256=00").status_code == 401
    assert send(to="other/pushes").status_code == 401
    settings.ROOST_WEBHOOKS["pushes"]["engine"] = ""
    assert send().status_code == 401


def test_neither_a_login_nor_a_csrf_token_is_asked_for(github: Webhook, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert send().status_code == 202


def test_no_delivery_is_a_transaction_while_its_body_comes() -> None:
    view: Any = resolve("/roost/hooks/default/pushes").func
    assert view._non_atomic_requests >= set(connections.settings)
