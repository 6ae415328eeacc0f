"""Tokens of the API are told once, kept as hashes, and end when they should."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from runtime import clock, faults, tokens
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound
from runtime.faults import InjectedFault, Plan
from runtime.models import ApiToken
from runtime.operations import token_use
from runtime.operations.token_use import recognise
from runtime.operations.tokens import create_token, revoke_token, rotate_token

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def fresh() -> None:
    token_use.forget()


def make(name: str = "ci", **options: Any) -> str:
    given = {"scopes": ["read"], "namespaces": ["default"], **options}
    return create_token(name, **given).text


def test_a_token_is_known_again_and_only_its_hash_is_kept() -> None:
    issued = create_token("ci", scopes=["read", "enqueue"], namespaces=["b", "a"], actor="ann", note="for builds")
    assert issued.text not in repr(issued)
    row = ApiToken.objects.get()
    assert issued.text.startswith(f"roost_{row.prefix}_")
    assert issued.text not in [str(value) for value in ApiToken.objects.values_list().get()]
    assert (row.scopes, row.namespaces, row.created_by) == (["enqueue", "read"], ["a", "b"], "ann")
    assert recognise(issued.text) == row


@pytest.mark.parametrize("text", ["", "roost_", "roost_00000000_" + "x" * 43, "x" * 10_000, "roost_é"])
def test_what_is_no_token_is_not_known(text: str) -> None:
    make()
    assert recognise(text) is None


def test_a_revoked_token_is_good_no_longer_and_neither_is_the_one_before_it() -> None:
    old, new = make(), rotate_token("ci").text
    assert revoke_token("ci", actor="ann").revoked_by == "ann"
    assert recognise(old) is recognise(new) is None
    with pytest.raises(Conflict):
        revoke_token("ci")
    with pytest.raises(Conflict):
        rotate_token("ci")
    with pytest.raises(NotFound):
        revoke_token("other")


def test_a_token_expires_by_the_database_clock() -> None:
    text = make(expires_at=timezone.now() + HOUR)
    assert recognise(text) is not None
    with clock.shifted(HOUR):
        assert recognise(text) is None
    with pytest.raises(InvalidInput, match="past"):
        make("late", expires_at=timezone.now() - HOUR)


def test_the_token_before_an_exchange_is_good_for_a_while() -> None:
    old, new = make(), rotate_token("ci", keep=60).text
    assert recognise(old) == recognise(new)
    with clock.shifted(HOUR):
        assert recognise(old) is None
        assert recognise(new) is not None
    newest = rotate_token("ci", keep=0).text
    assert recognise(new) is None
    assert recognise(newest) is not None


def test_use_is_noted_once_a_minute_whoever_uses_it() -> None:
    text = make()
    recognise(text)
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    for _ in range(2):
        token_use.forget()  # as another process would
        recognise(text)
    assert ApiToken.objects.get().last_used_at == first
    token_use.forget()
    with clock.shifted(HOUR):
        recognise(text)
    row = ApiToken.objects.get()
    assert row.last_used_at is not None
    assert row.last_used_at > first
    assert row.row_version == 1


def test_nobody_gives_a_token_what_they_have_not_themselves() -> None:
    user = User.objects.create_user("ann")
    with pytest.raises(Forbidden, match="add_apitoken"):
        make(by=user)
    names = ["add_apitoken", "change_apitoken", *tokens.permissions(["signal"])]
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="roost", codename__in=names))
    user = User.objects.get()
    with pytest.raises(Forbidden, match="enqueue_workitem"):
        make(by=user, scopes=["signal", "enqueue"])
    make(by=user, scopes=["signal"])
    make("strong", scopes=["enqueue"])
    with pytest.raises(Forbidden, match="enqueue_workitem"):
        rotate_token("strong", by=user)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("name", {"name": "no name"}),
        ("scopes", {"scopes": []}),
        ("scopes", {"scopes": ["all"]}),
        ("namespaces", {"namespaces": []}),
        ("namespaces", {"namespaces": ["*", "a"]}),
        ("namespaces", {"namespaces": ["a b"]}),
        ("note", {"note": "x" * 501}),
    ],
)
def test_what_cannot_be_a_token_is_refused_at_its_field(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        make(**options)
    assert caught.value.field == field


def test_a_name_is_given_once() -> None:
    make()
    with pytest.raises(Conflict, match="already"):
        make()


def test_every_permission_of_a_scope_exists() -> None:
    known = set(Permission.objects.filter(content_type__app_label="roost").values_list("codename", flat=True))
    assert known >= tokens.PERMISSIONS
    assert tokens.permissions(["enqueue", "cancel_workitem", "nonsense"]) == {"enqueue_workitem", "cancel_workitem"}


@pytest.mark.parametrize(("point", "left"), [("token.before", 0), ("token.after", 1)])
def test_making_a_token_that_was_cut_off_leaves_it_whole_or_not_at_all(point: str, left: int) -> None:
    with faults.planned(Plan(point=point, action="raise")), pytest.raises(InjectedFault):
        make()
    assert ApiToken.objects.count() == left
