"""Limits and capacities in the admin: configuration that an operator edits, with the permission for it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from runtime.models import Limit
from tests.console.conftest import Page
from tests.factories import ResourceFactory

VALUES = {
    "name": "pages",
    "engine": "watchlist",
    "pool": "far",
    "concurrency": "5",
    "per_seconds": "1",
    "enabled": "on",
}


def address(page: str, *arguments: Any) -> str:
    return reverse(f"admin:roost_limit_{page}", args=arguments)


def errors(client: Client, url: str, values: dict[str, str]) -> str:
    answer = client.post(url, values)
    assert answer.status_code == 200
    return Page(answer).text


def test_a_limit_is_added_edited_and_deleted_with_a_log_entry_each(boss: Client) -> None:
    assert boss.post(address("add"), VALUES).status_code == 302
    limit = Limit.objects.get()
    assert (limit.name, limit.engine, limit.pool, limit.concurrency) == ("pages", "watchlist", "far", 5)
    assert limit.enabled
    Limit.objects.update(tokens=3.5)
    values = {**VALUES, "concurrency": "7", "shown_version": "1"}
    assert boss.post(address("change", limit.pk), values).status_code == 302
    limit.refresh_from_db()
    assert (limit.concurrency, limit.row_version, limit.tokens) == (7, 2, 3.5)
    assert "pages" in Page(boss.get(address("changelist"))).text
    assert boss.post(address("delete", limit.pk), {"post": "yes"}).status_code == 302
    assert not Limit.objects.exists()
    assert LogEntry.objects.count() == 3


def test_an_edit_of_a_limit_that_somebody_changed_meanwhile_is_refused(boss: Client) -> None:
    limit = Limit.objects.create(name="pages", concurrency=5)
    limit.compare_and_set(concurrency=6)
    told = errors(boss, address("change", limit.pk), {**VALUES, "shown_version": "1"})
    assert "Somebody else changed this meanwhile" in told
    assert Limit.objects.get().concurrency == 6


@pytest.mark.parametrize("values", [{"concurrency": ""}, {"rate": "0"}, {"rate": "1", "per_seconds": "0"}])
def test_a_limit_that_means_nothing_is_refused_with_words(boss: Client, values: dict[str, str]) -> None:
    errors(boss, address("add"), {**VALUES, **values})
    assert not Limit.objects.exists()


def test_the_page_counts_what_runs_and_what_the_rate_allows(boss: Client) -> None:
    limit = Limit.objects.create(name="pages", concurrency=5, rate=9)
    assert Page(boss.get(address("change", limit.pk))).refused == []
    assert boss.get(address("changelist")).status_code == 200


def test_limits_are_edited_only_with_the_permission(staff: Any, log_in: Any) -> None:
    limit = Limit.objects.create(name="pages", concurrency=5)
    reader = log_in(staff("view_limit", name="reader"))
    assert reader.get(address("change", limit.pk)).status_code == 200
    for url in (address("add"), address("change", limit.pk), address("delete", limit.pk)):
        assert reader.post(url, VALUES).status_code == 403
    editor = log_in(staff("view_limit", "change_limit", name="editor"))
    assert editor.post(address("change", limit.pk), {**VALUES, "concurrency": "0"}).status_code == 302
    assert editor.post(address("delete", limit.pk), {"post": "yes"}).status_code == 403
    assert Limit.objects.get().concurrency == 0


def test_the_capacity_of_a_resource_is_edited_and_nothing_else_of_it(staff: Any, log_in: Any) -> None:
    row = ResourceFactory()
    url = reverse("admin:roost_resource_change", args=[row.pk])
    values = {"capacity": "4", "key": "other", "shown_version": str(row.row_version)}
    assert log_in(staff("view_resource", name="reader")).post(url, values).status_code == 403
    editor = log_in(staff("view_resource", "change_resource", name="editor"))
    assert Page(editor.get(url)).refused == []
    assert editor.post(url, values).status_code == 302
    found = type(row).objects.get()
    assert (found.capacity, found.key, found.row_version) == (4, row.key, 2)
    assert LogEntry.objects.count() == 1
