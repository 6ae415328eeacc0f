"""A delivery is signed, tried again while that may help, made under one id, and written by Roost alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from engines.webhook import WebhookDelivery
from runtime.deliveries import ENGINE
from runtime.exceptions import InvalidInput
from runtime.models import Event, JournalEntry, WebhookTarget, WorkItem
from runtime.operations import delivering
from runtime.operations.enqueue import enqueue
from runtime.operations.fork import fork
from runtime.operations.redrive import redrive
from runtime.operations.requeue import requeue
from runtime.operations.targets import remove_target, set_target
from runtime.testing import drain
from tests.receiver import SECRET, Receiver, receiving

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver that the target `ops` delivers to."""
    with receiving() as running:
        set_target("ops", url=running.url, events=["done", "failed", "cancelled"], secret=SECRET)
        yield running


def finished(count_to: int = 1) -> WorkItem:
    """Run an item to its end and return its delivery, which is not made yet."""
    made = enqueue("counter", {"count_to": count_to})
    drain(engines=["counter"])
    event = Event.objects.get(work_item=made.pk, kind="notified")
    return WorkItem.objects.get(pk=event.data["delivery"])


def deliver(delivery: WorkItem, **options: Any) -> WorkItem:
    drain(engines=[ENGINE], **options)
    delivery.refresh_from_db()
    return delivery


def target() -> WebhookTarget:
    return WebhookTarget.objects.get(name="ops")


def test_a_delivery_arrives_signed_under_its_own_id(receiver: Receiver) -> None:
    delivery = deliver(finished(3))
    assert (delivery.state, delivery.result["status"]) == ("done", 200)
    [got] = receiver.got
    assert (got.id, got.event, receiver.wrong) == (str(delivery.pk), "item.done", [])
    assert got.body["result"]["count"] == 3
    counted = target()
    assert (counted.delivered_total, counted.last_item, counted.failed_total) == (1, delivery.pk, 0)


def test_a_receiver_that_is_down_is_told_later_under_the_same_id(receiver: Receiver) -> None:
    receiver.statuses = [503, 500, 200]
    delivery = deliver(finished(), skip_delays=True)
    assert (delivery.state, receiver.ids) == ("done", [str(delivery.pk)] * 3)
    assert (target().delivered_total, target().failed_total) == (1, 2)
    assert "503" in Event.objects.filter(work_item=delivery, kind="retry").earliest("seq").data["message"]


def test_a_count_that_the_database_refuses_costs_no_second_call(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> Any:
        raise OperationalError("canceling statement due to lock timeout")

    delivery = finished()
    monkeypatch.setattr(delivering, "transacted", refuse)
    assert (deliver(delivery).state, receiver.ids) == ("done", [str(delivery.pk)])
    assert target().delivered_total == 0


def test_retry_after_is_honoured(receiver: Receiver) -> None:
    receiver.statuses = [429, 200]
    receiver.headers = {"Retry-After": "1234"}
    delivery = deliver(finished())
    assert (delivery.state, delivery.reason) == ("queued", "retry")
    waits = (delivery.run_at - Event.objects.filter(work_item=delivery, kind="retry").get().created_at).total_seconds()
    assert waits == pytest.approx(1234, abs=2)


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_a_dead_letter_at_once_that_an_operator_sends_again(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status, 200]
    delivery = deliver(finished(), skip_delays=True)
    assert (delivery.state, len(receiver.got)) == ("failed", 1)
    assert str(status) in target().error
    redrive(delivery.pk)
    assert deliver(delivery).state == "done"
    assert receiver.ids == [str(delivery.pk)] * 2


def test_a_delivery_that_was_made_is_made_again_on_wish_and_never_by_itself(receiver: Receiver) -> None:
    delivery = deliver(finished())
    requeue(delivery.pk, reason="lost there")
    assert deliver(delivery).state == "done"
    assert receiver.ids == [str(delivery.pk)] * 2


def test_a_receiver_that_is_gone_is_left_alone_from_then_on(receiver: Receiver) -> None:
    receiver.statuses = [410]
    delivery = deliver(finished())
    assert (delivery.state, delivery.last_error["code"]) == ("failed", "gone")
    assert (target().enabled, target().changed_by) == (False, "410 Gone")
    enqueue("counter", {"count_to": 1})
    drain(engines=["counter"])
    assert WorkItem.objects.filter(engine=ENGINE).count() == 1


def test_a_target_that_was_given_another_address_meanwhile_stays(receiver: Receiver) -> None:
    set_target("ops", url="https://new.example/hook")
    delivering.gone(target().pk, receiver.url)
    assert target().enabled


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.statuses = [307]
    receiver.headers = {"Location": receiver.url}
    delivery = deliver(finished(), skip_delays=True)
    assert (delivery.state, len(receiver.got)) == ("failed", 1)
    assert "redirects (307)" in target().error


def test_a_long_answer_is_not_read(receiver: Receiver) -> None:
    receiver.body = b"x" * 3_000_000
    assert deliver(finished()).state == "done"


def test_an_address_inside_is_refused_for_good(receiver: Receiver, settings: Any) -> None:
    settings.ROOST_OUTGOING_ALLOW = []
    delivery = deliver(finished(), skip_delays=True)
    assert (delivery.state, receiver.got) == ("failed", [])
    assert "ROOST_OUTGOING_ALLOW" in target().error


@pytest.mark.parametrize("how", ["disabled", "removed", "without a secret"])
def test_a_target_that_is_not_there_any_more_is_not_called(receiver: Receiver, how: str) -> None:
    delivery = finished()
    if how == "disabled":
        set_target("ops", enabled=False)
    elif how == "removed":
        remove_target("ops")
    else:
        set_target("ops", secret="env:ROOST_TESTS_HAVE_NO_SUCH_SECRET")
    assert (deliver(delivery, skip_delays=True).state, receiver.got) == ("failed", [])


def test_a_new_secret_holds_for_deliveries_under_way(receiver: Receiver) -> None:
    set_target("ops", secret="another secret of the same target")
    delivery = finished()
    set_target("ops", secret=SECRET)
    assert (deliver(delivery).state, receiver.wrong) == ("done", [])


def test_neither_secret_nor_address_is_in_any_row_of_the_item(receiver: Receiver) -> None:
    receiver.statuses = [500, 404]
    delivery = deliver(finished(), skip_delays=True)
    rows = [*WorkItem.objects.values(), *Event.objects.values(), *JournalEntry.objects.values()]
    text = repr(rows) + repr(delivery.snapshots.values()) + target().error
    assert SECRET not in text
    assert "token=hidden" not in text


def test_nobody_but_roost_writes_what_is_signed(receiver: Receiver) -> None:
    delivery = finished()
    for change in ({"body": "{}"}, {"event": "item.failed"}, {"target": 0}, {"seal": "x"}, {"target": True}):
        with pytest.raises(InvalidInput, match="nobody else"):
            enqueue(ENGINE, {**delivery.payload, **change})
    WorkItem.objects.filter(pk=delivery.pk).update(payload={**delivery.payload, "body": "{}"})
    assert (deliver(delivery).state, delivery.last_error["code"], receiver.got) == ("failed", "not_sealed", [])


def test_a_delivery_is_forked_with_what_was_said_and_with_nothing_else(receiver: Receiver) -> None:
    delivery = deliver(finished())
    with pytest.raises(InvalidInput, match="nobody else"):
        fork(delivery.pk, payload={**delivery.payload, "body": "{}"})
    assert len(receiver.got) == 1


def test_a_delivery_outlives_a_new_secret_key(receiver: Receiver, settings: Any) -> None:
    delivery = finished()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert deliver(delivery).state == "done"


@pytest.fixture
def declared(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Run a receiver that a target of the settings delivers to."""
    with receiving() as running:
        monkeypatch.setenv("OPS_HOOK_URL", running.url)
        monkeypatch.setenv("OPS_HOOK_SECRET", SECRET)
        given = {"url": "env:OPS_HOOK_URL", "events": ["done"], "secret": "env:OPS_HOOK_SECRET"}
        settings.ROOST_WEBHOOK_TARGETS = {"ops": given}
        yield running


def test_a_target_of_the_settings_is_delivered_to_without_a_row(declared: Receiver) -> None:
    delivery = deliver(finished())
    assert (delivery.state, delivery.payload["target"], declared.ids) == ("done", "ops", [str(delivery.pk)])
    assert declared.wrong == []
    assert not WebhookTarget.objects.exists()


def test_a_target_of_the_settings_that_fails_or_is_gone_is_a_dead_letter(declared: Receiver, settings: Any) -> None:
    declared.statuses = [410, 200]
    delivery = deliver(finished())
    assert (delivery.state, delivery.last_error["code"]) == ("failed", "gone")
    redrive(delivery.pk)
    assert deliver(delivery).state == "done"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "target_removed"),
        ({"url": "x"}, "target_wrong"),
        ({"url": "env:ROOST_TESTS_HAVE_NO_SUCH_URL"}, "target_without_address"),
        ({"enabled": False}, "target_disabled"),
    ],
)
def test_a_delivery_whose_target_left_the_settings_fails(
    declared: Receiver, settings: Any, given: dict[str, Any] | None, code: str
) -> None:
    delivery, target = finished(), settings.ROOST_WEBHOOK_TARGETS["ops"]
    settings.ROOST_WEBHOOK_TARGETS = {} if given is None else {"ops": {**target, **given}}
    assert (deliver(delivery).state, delivery.last_error["code"], declared.got) == ("failed", code, [])


def test_the_seal_tells_a_row_from_a_name_in_the_settings(receiver: Receiver, settings: Any) -> None:
    delivery = finished()
    number = delivery.payload["target"]
    settings.ROOST_WEBHOOK_TARGETS = {str(number): {"url": receiver.url, "events": ["done"], "secret": SECRET}}
    with pytest.raises(InvalidInput, match="nobody else"):
        enqueue(ENGINE, {**delivery.payload, "target": str(number)})


def test_a_receiver_that_is_away_is_tried_for_about_two_and_a_half_hours() -> None:
    retry = WebhookDelivery.retry
    waited = sum(retry.delay(failures, chance=0.5) for failures in range(1, retry.max_attempts))
    assert 2.25 <= waited / 3600 <= 2.75
