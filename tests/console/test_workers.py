"""A worker is told in the admin to drain and to go on, by those who may."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from runtime.models import Worker
from tests.console.conftest import Page
from tests.factories import WorkerFactory


def page(worker: Worker) -> str:
    return reverse("admin:roost_worker_change", args=[worker.pk])


def test_a_worker_drains_and_goes_on_although_it_beats_meanwhile(boss: Client) -> None:
    worker = WorkerFactory()
    assert "takes work" in Page(boss.get(page(worker))).text
    worker.compare_and_set(heartbeat_at=worker.heartbeat_at)
    for wanted in ("draining", "online"):
        assert boss.post(page(worker), {"desired_state": wanted}).status_code == 302
        assert Worker.objects.get().desired_state == wanted
    assert LogEntry.objects.count() == 2
    assert boss.post(page(worker), {"desired_state": "online"}).status_code == 302
    assert Worker.objects.get().row_version == 4


@pytest.mark.parametrize("values", [{"desired_state": "offline"}, {"desired_state": ""}, {}])
def test_nothing_else_can_be_wanted_of_it(boss: Client, values: dict[str, str]) -> None:
    worker = WorkerFactory()
    assert boss.post(page(worker), values).status_code == 200
    assert Worker.objects.get().desired_state == "online"


def test_one_that_stops_meanwhile_is_told_nothing(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = WorkerFactory()
    assert 'name="desired_state"' in boss.get(page(worker)).content.decode()
    Worker.objects.update(state="offline")
    assert 'name="desired_state"' not in boss.get(page(worker)).content.decode()
    monkeypatch.setattr("console.admin.workers.WorkerAdmin.get_readonly_fields", lambda *_: ())
    monkeypatch.setattr("console.admin.workers.WorkerAdmin.fields", ("desired_state",))
    answer = boss.post(page(worker), {"desired_state": "draining"}, follow=True)
    assert "it stops, or has stopped" in Page(answer).text
    assert Worker.objects.get().desired_state == "online"


def test_it_takes_the_permission(staff: Any, log_in: Any) -> None:
    worker = WorkerFactory()
    reader = log_in(staff("view_worker", name="reader"))
    assert reader.get(page(worker)).status_code == 200
    assert reader.post(page(worker), {"desired_state": "draining"}).status_code == 403
    editor = log_in(staff("view_worker", "change_worker", name="editor"))
    assert editor.post(page(worker), {"desired_state": "draining"}).status_code == 302
