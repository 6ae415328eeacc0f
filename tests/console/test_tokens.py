"""Tokens in the admin: made, exchanged and revoked, shown once."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from runtime import tokens
from runtime.models import ApiToken
from runtime.operations.token_use import recognise
from runtime.operations.tokens import create_token
from tests.console.conftest import Page

pytestmark = pytest.mark.scenario("S10")
NEW = {"name": "ci", "scopes": ["read", "enqueue"], "namespaces": "default, builds", "note": "for builds"}


def address(page: str, *arguments: Any) -> str:
    return reverse(f"admin:roost_apitoken_{page}", args=arguments)


def shown(page: Page) -> str:
    return next(word for word in page.words if word.startswith("roost_"))


def test_a_token_is_made_and_shown_once(boss: Client) -> None:
    page = Page(boss.get(address("add")))
    assert page.refused == []
    assert {words.partition(" · ")[0] for words in page.words if " · " in words} == set(tokens.SCOPES)
    answer = boss.post(address("add"), {**NEW, "expires_at_0": "", "expires_at_1": ""})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    page = Page(answer)
    assert page.refused == []
    row = ApiToken.objects.get()
    assert recognise(shown(page)) == row
    assert (row.namespaces, row.scopes, row.created_by) == (["builds", "default"], ["enqueue", "read"], "boss")
    for url in (address("changelist"), address("change", row.pk), address("history", row.pk)):
        again = Page(boss.get(url))
        assert again.refused == []
        assert shown(page) not in again.text
        assert row.token_hash not in again.text


def test_a_token_is_exchanged_and_revoked_by_its_page(boss: Client) -> None:
    old = create_token("ci", scopes=["read"], namespaces=["*"])
    form = {"move": "rotate", "shown_version": str(old.row.row_version)}
    page = Page(boss.post(address("change", old.row.pk), form))
    assert recognise(shown(page)) == recognise(old.text) == old.row
    late = boss.post(address("change", old.row.pk), {**form, "move": "revoke"})
    assert late.status_code == 200
    version = str(ApiToken.objects.get().row_version)
    answer = boss.post(address("change", old.row.pk), {"move": "revoke", "shown_version": version})
    assert answer.status_code == 302
    assert recognise(shown(page)) is None
    assert ApiToken.objects.get().revoked_by == "boss"
    version = str(ApiToken.objects.get().row_version)
    assert boss.post(address("change", old.row.pk), {"move": "rotate", "shown_version": version}).status_code == 302


def test_the_hash_cannot_be_guessed_by_a_filter(boss: Client) -> None:
    create_token("ci", scopes=["read"], namespaces=["*"])
    for column in ("token_hash", "previous_hash"):
        assert boss.get(address("changelist"), {f"{column}__startswith": "a"}).status_code in (302, 400)


@pytest.mark.scenario("B18")
def test_tokens_are_made_only_with_the_permission_and_of_what_one_has(staff: Any, log_in: Any) -> None:
    reader = log_in(staff("view_apitoken", name="reader"))
    row = create_token("ci", scopes=["read"], namespaces=["*"]).row
    assert reader.get(address("change", row.pk)).status_code == 200
    assert reader.post(address("change", row.pk), {"move": "revoke"}).status_code == 403
    assert reader.post(address("add"), NEW).status_code == 403
    maker = log_in(staff("view_apitoken", "add_apitoken", "enqueue_workitem", name="maker"))
    refused = maker.post(address("add"), {**NEW, "name": "mine"})
    assert "what they have not themselves" in Page(refused).text
    assert ApiToken.objects.count() == 1
    maker.post(address("add"), {**NEW, "name": "mine", "scopes": ["enqueue"]})
    assert ApiToken.objects.filter(name="mine").exists()
