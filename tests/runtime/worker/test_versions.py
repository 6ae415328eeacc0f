"""A worker says which code it runs, and everybody who asks for workers is told."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from typing import Any

import django
import pytest
from django.test import Client
from django.urls import reverse

from runtime.models import Worker
from runtime.queries import words
from runtime.worker import versions
from runtime.worker.options import WorkerOptions
from runtime.worker.registration import Registration
from tests.factories import WorkerFactory
from tests.runtime.management.cli import document, run

pytestmark = pytest.mark.django_db

HERE = {"django": django.get_version(), "python": platform.python_version()}


def test_a_workers_row_has_the_versions_of_its_process(settings: Any) -> None:
    settings.ROOST_RELEASE = "2026.11"
    Registration(WorkerOptions.defaults(using="default"), ["counter"], "default").enter()
    found = dict(Worker.objects.get().versions)
    assert found.pop("roost")
    assert found == {"release": "2026.11", **HERE}


def test_what_is_not_known_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(versions, "version", missing)
    assert versions.versions() == HERE


@pytest.mark.parametrize(
    ("known", "whole", "short"),
    [
        ({"release": "42", "roost": "1", "django": "5"}, "release 42, Roost 1, Django 5", "42"),
        ({"roost": "1", "python": "3"}, "Roost 1, Python 3", "Roost 1"),
        ({}, "-", "-"),
    ],
)
def test_versions_in_words(known: dict[str, str], whole: str, short: str) -> None:
    assert (words.versions(known), words.release(known)) == (whole, short)


def test_the_command_and_the_admin_tell_them(admin_client: Client) -> None:
    worker = WorkerFactory(versions={"release": "r-42", "roost": "0.9", "django": "5.2", "python": "3.11"})
    assert "r-42" in run("workers")
    assert document("workers")["workers"][0]["versions"] == worker.versions
    assert "r-42" in admin_client.get(reverse("admin:roost_worker_changelist")).content.decode()
    page = admin_client.get(reverse("admin:roost_worker_change", args=[worker.pk])).content.decode()
    assert "release r-42, Roost 0.9, Django 5.2, Python 3.11" in page
