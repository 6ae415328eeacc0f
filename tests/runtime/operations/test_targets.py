from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from runtime.exceptions import Forbidden, InvalidInput, NotFound, StaleVersion, UnknownEngine
from runtime.models import WebhookTarget
from runtime.operations import notifying
from runtime.operations.targets import SetTarget, remove_target, set_target

pytestmark = pytest.mark.django_db

LEAD: dict[str, Any] = {"url": "https://ops.example/hook", "events": ["failed", "done", "done"]}
SECRET = "a secret of some length"


@pytest.fixture(autouse=True)
def delivering(settings: Any) -> None:
    """Have the engine that delivers, installed or not."""
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "webhook_delivery": "engines.webhook.WebhookDelivery"}


def test_a_target_is_set_changed_and_removed() -> None:
    issued = set_target("ops", **LEAD, actor="cli:ann")
    made = issued.target
    assert (made.events, made.contents, made.redact, made.enabled) == (
        ["done", "failed"], ["result", "error", "waits"], True, True,
    )  # fmt: skip
    assert (made.secret, made.changed_by, made.row_version) == (issued.secret, "cli:ann", 1)
    assert issued.secret not in repr(issued)
    changed = set_target("ops", namespace="tenant", contents=[])
    assert (changed.target.row_version, changed.target.contents, changed.secret) == (2, [], "")
    assert changed.target.secret == made.secret
    assert set_target("ops", namespace="tenant").target.row_version == 2
    remove_target("ops")
    with pytest.raises(NotFound, match="roost webhook-targets list"):
        remove_target("ops")


def test_a_new_secret_is_made_only_where_it_is_asked_for() -> None:
    set_target("ops", **LEAD, secret=SECRET)
    issued = SetTarget("ops", new_secret=True).execute()
    assert issued.secret == WebhookTarget.objects.get().secret != SECRET
    assert set_target("ops", secret=SECRET).secret == ""


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"url": ""}, "url"),
        ({"url": "ftp://ops.example"}, "url"),
        ({"url": "https://ann:hidden@ops.example"}, "url"),
        ({"url": 7}, "url"),
        ({"events": []}, "events"),
        ({"events": "done"}, "events"),
        ({"events": ["running"]}, "events"),
        ({"events": [["done"]]}, "events"),
        ({"contents": ["state"]}, "contents"),
        ({"condition": "result ="}, "condition"),
        ({"condition": 5}, "condition"),
        ({"options": {"parent": "x"}}, "options"),
        ({"namespace": "a b"}, "namespace"),
        ({"secret": "short"}, "secret"),
        ({"secret": "env:not a name"}, "secret"),
        ({"note": "x" * 501}, "note"),
        ({"nonsense": 1}, "name"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        set_target("ops", **{**LEAD, **values})
    assert caught.value.field == field
    assert "hidden" not in str(caught.value)
    assert not WebhookTarget.objects.exists()


def test_an_unknown_engine_is_refused_unless_nothing_is_told() -> None:
    with pytest.raises(UnknownEngine):
        set_target("ops", **LEAD, engine="nobody")
    assert not set_target("ops", **LEAD, engine="nobody", enabled=False).target.enabled


def test_an_edit_of_what_somebody_else_changed_is_refused() -> None:
    set_target("ops", **LEAD)
    set_target("ops", note="theirs")
    with pytest.raises(StaleVersion):
        SetTarget("ops", row_version=1, note="mine").execute()


@pytest.mark.scenario("B18")
def test_it_takes_a_permission() -> None:
    for call in (
        lambda: set_target("ops", **LEAD, by=AnonymousUser()),
        lambda: remove_target("ops", by=AnonymousUser()),
    ):
        with pytest.raises(Forbidden):
            call()


def test_what_is_set_or_removed_holds_at_once_in_this_process() -> None:
    assert not notifying.active("default")
    set_target("ops", **LEAD)
    assert notifying.active("default")
    set_target("ops", enabled=False)
    assert not notifying.active("default")


def test_a_target_of_the_settings_is_not_set_beside_them(settings: Any) -> None:
    settings.ROOST_WEBHOOK_TARGETS = {"ops": {**LEAD, "secret": SECRET}}
    with pytest.raises(InvalidInput, match="ROOST_WEBHOOK_TARGETS"):
        set_target("ops", **LEAD)
    assert notifying.active("default")
    assert not WebhookTarget.objects.exists()
