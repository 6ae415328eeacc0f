"""`roost token` prints a token once."""

from __future__ import annotations

import pytest

from runtime.models import ApiToken
from runtime.operations.token_use import recognise
from tests.runtime.management.cli import document, refused, run

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


def test_a_token_is_made_listed_exchanged_and_revoked() -> None:
    made = document("token", "create", "ci", "--scope", "read", "--scope", "enqueue", "--days", 30)
    assert recognise(made["text"]) == ApiToken.objects.get()
    assert made["token"]["namespaces"] == ["default"]
    [listed] = document("token", "list")["tokens"]
    assert (listed["name"], listed["standing"], listed["scopes"]) == ("ci", "good", ["enqueue", "read"])
    assert not [name for name in listed if "hash" in name]
    assert made["text"] not in run("token", "list")
    exchanged = document("token", "rotate", "ci", "--keep", 0)
    assert recognise(made["text"]) is None
    assert exchanged["text"] not in run("token", "revoke", "ci")
    assert recognise(exchanged["text"]) is None
    assert document("token", "list")["tokens"][0]["standing"] == "revoked"


def test_a_person_is_shown_the_token_once() -> None:
    lines = run("token", "create", "ci", "--scope", "read", "--namespace", "*").splitlines()
    assert recognise(lines[-1]) is not None


def test_what_cannot_be_done_is_told_by_the_exit_code() -> None:
    assert refused("token", "create", "ci")[0] == 2
    assert refused("token", "create", "ci", "--scope", "everything")[0] == 2
    assert refused("token", "revoke", "ci")[0] == 3
    run("token", "create", "ci", "--scope", "read")
    assert refused("token", "create", "ci", "--scope", "read")[0] == 1
