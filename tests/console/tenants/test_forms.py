"""Forms make and change things in reach alone, and do not tell what has a name elsewhere."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from runtime.models import WorkItem
from tests.console.roles import MODELS
from tests.console.tenants.world import OURS, THEIRS, content, everything, furnish, told
from tests.console.test_lists import address
from tests.console.test_schedules import VALUES

pytestmark = pytest.mark.django_db


def test_a_form_enqueues_in_reach_alone(limited: Client) -> None:
    furnish(THEIRS)
    url, before = reverse("admin:roost_workitem_enqueue"), everything()
    form = {"engine": "counter", "value-value.count_to": "3", "value-namespace": THEIRS}
    answer = limited.post(url, form)
    assert "out of reach of limited" in content(answer)
    for spaced in ("default", f"{THEIRS} "):
        limited.post(url, form | {"value-namespace": spaced})
    assert everything() == before
    limited.post(url, form | {"value-namespace": ""})
    [made] = WorkItem.objects.exclude(namespace=THEIRS)
    assert made.namespace == OURS, "the only one that they reach is meant"


def test_a_form_sends_signals_in_reach_alone(limited: Client) -> None:
    furnish(THEIRS)
    url, before = reverse("admin:roost_mailbox_send"), everything()
    form = {"value-name": f"{THEIRS} mail", "value-namespace": THEIRS}
    for confirmed in ({}, {"confirmed": "yes"}):
        answer = limited.post(url, form | confirmed)
        assert "out of reach of limited" in content(answer)
        assert told(answer, [*form.values()]) == set()
        limited.post(url, form | {"value-namespace": "default"} | confirmed)
    assert everything() == before
    limited.post(url, {"value-name": "go", "value-namespace": "", "confirmed": "yes"})
    assert MODELS["signal"]._default_manager.get(name="go").namespace == OURS


def test_a_form_sets_schedules_in_reach_alone(limited: Client) -> None:
    rows, before = furnish(THEIRS), everything()
    row, add = rows["schedule"], address(MODELS["schedule"], "add")
    refused = [limited.post(add, {**VALUES, "namespace": THEIRS, "name": name}) for name in (row.name, "another")]
    assert ["out of reach of limited" in content(answer) for answer in refused] == [True, True]
    # That there is one of that name is not told.
    assert [content(answer).count("errorlist") for answer in refused] == [1, 1]
    limited.post(address(MODELS["schedule"], "change", row.pk), VALUES)
    assert everything() == before
    assert limited.post(add, {**VALUES, "namespace": OURS}).status_code == 302
    assert MODELS["schedule"]._default_manager.filter(namespace=OURS).count() == 1
