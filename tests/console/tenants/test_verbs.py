"""No verb, on one item or on all that match, does anything out of reach of who asks for it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from console import bulk
from console.actions import Confirmation
from console.admin.verbs import TOLD
from runtime.models import WorkItem
from tests.console.roles import ASKED, MODELS
from tests.console.subjects import STATES, TYPED, chosen, subject
from tests.console.tenants.world import OURS, THEIRS, everything, furnish, told
from tests.console.test_lists import address
from tests.console.test_permissions import ADMINS
from tests.console.test_verbs import told as said
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db


@pytest.mark.matrix
@pytest.mark.parametrize(("model", "verb"), ASKED, ids=lambda name: name)
def test_no_verb_reaches_an_item_out_of_reach(model: str, verb: str, limited: Client) -> None:
    row = subject(model, verb)
    for name in ("workitem", "resource", "schedule"):
        MODELS[name]._default_manager.update(namespace=THEIRS)
    row = MODELS[model]._default_manager.get(pk=row.pk)
    ours = WorkItemFactory(namespace=OURS, **({STATES[verb]: True} if verb in STATES else {}))
    before = everything()
    url = reverse(f"admin:roost_{model}_verb", args=[verb])
    form: dict[str, Any] = {"items": str(Confirmation.of(row)), "back": address(MODELS[model])}
    asked = limited.post(url, form)
    assert asked.status_code == 200
    assert told(asked, [form["items"], row.pk]) == set()
    listed = {"action": f"{verb}_items", "_selected_action": [str(row.pk)], "index": 0}
    assert told(limited.post(address(MODELS[model]), listed), [row.pk]) == set()
    answer = limited.post(url, form | {**TYPED, **chosen(verb, row)}, follow=True)
    assert told(answer, [form["items"], row.pk]) == set()
    if model == "workitem" and ADMINS[model].verbs:
        both = f"{form['items']} {Confirmation.of(WorkItem.objects.get(pk=ours.pk))}"
        limited.post(url, form | {**TYPED, **chosen(verb, row), "items": both})
    after = everything()
    for name in ("workitem", "wait", "signal", "lease", "resourceclaim", "journalentry", "schedule"):
        theirs = [one for one in before[name] if one["id" if "id" in one else "work_item_id"] != ours.pk]
        assert [one for one in after[name] if one in theirs] == theirs, name
    assert (
        not WorkItem.objects.filter(namespace=THEIRS).exclude(pk__in=[one["id"] for one in before["workitem"]]).exists()
    )


@pytest.mark.matrix
@pytest.mark.parametrize(("model", "verb"), ASKED, ids=lambda name: name)
def test_who_reaches_all_does_it(model: str, verb: str, boss: Client) -> None:
    row = subject(model, verb)
    for name in ("workitem", "resource", "schedule"):
        MODELS[name]._default_manager.update(namespace=THEIRS)
    row = MODELS[model]._default_manager.get(pk=row.pk)
    before = everything()
    url = reverse(f"admin:roost_{model}_verb", args=[verb])
    boss.post(url, {"items": str(Confirmation.of(row)), **TYPED, **chosen(verb, row)})
    assert everything() != before


def test_a_verb_on_all_that_match_is_started_on_what_is_in_reach_alone(limited: Client) -> None:
    ours = furnish(OURS)["workitem"]
    theirs = furnish(THEIRS)["workitem"]
    url = reverse("admin:roost_workitem_verb_all", args=["redrive"])
    limited.post(url, {"back": f"{address(WorkItem)}?state__exact=failed", "reason": "because"})
    [work] = WorkItem.objects.filter(engine="bulk_verb")
    assert (work.namespace, work.payload["items"]) == (OURS, [str(ours.pk)])
    for query in (f"namespace={THEIRS}", f"q=id:{theirs.pk}"):
        limited.post(url, {"back": f"{address(WorkItem)}?{query}", "reason": "because"})
    assert WorkItem.objects.filter(engine="bulk_verb").count() == 1


def test_a_verb_on_items_of_several_namespaces_tells_nobody_of_the_others(boss: Client) -> None:
    items = [furnish(space)["workitem"] for space in (OURS, THEIRS)]
    url = reverse("admin:roost_workitem_verb_all", args=["redrive"])
    boss.post(url, {"back": f"{address(WorkItem)}?state__exact=failed", "reason": "because"})
    made = {one.namespace: one.payload["items"] for one in WorkItem.objects.filter(engine="bulk_verb")}
    assert made == {item.namespace: [str(item.pk)] for item in items}


def test_the_log_of_a_verb_tells_how_many_items_it_covers_and_not_how_many_there_are(boss: Client) -> None:
    for space, count in ((OURS, 1), (THEIRS, 2)):
        WorkItemFactory.create_batch(count, namespace=space, failed=True)
    url = reverse("admin:roost_workitem_verb_all", args=["redrive"])
    boss.post(url, {"back": f"{address(WorkItem)}?state__exact=failed", "click": "c1"})
    namespaces = {str(one.pk): one.namespace for one in WorkItem.objects.filter(engine="bulk_verb")}
    told = {namespaces[one.object_id]: one.change_message for one in LogEntry.objects.all()}
    assert told == {OURS: "redrive of 1 items [c1]", THEIRS: "redrive of 2 items [c1]"}


def test_of_many_items_that_do_a_verb_a_few_are_linked_and_the_others_counted(boss: Client) -> None:
    for number in range(TOLD + 2):
        WorkItemFactory(namespace=f"tenant-{number}", failed=True)
    url = reverse("admin:roost_workitem_verb_all", args=["redrive"])
    words = said(boss.post(url, {"back": f"{address(WorkItem)}?state__exact=failed"}))
    assert WorkItem.objects.filter(engine="bulk_verb").count() == TOLD + 2
    assert words.count("/change/") == TOLD
    assert "?q=engine%3Abulk_verb" in words
    assert "and 2 more" in words


def test_more_namespaces_than_are_done_at_once_start_nothing(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST_STARTED", 2)
    url = reverse("admin:roost_workitem_verb_all", args=["redrive"])
    for number, started in ((0, 1), (1, 3), (2, 3)):
        WorkItemFactory(namespace=f"tenant-{number}", failed=True)
        words = said(boss.post(url, {"back": f"{address(WorkItem)}?state__exact=failed"}))
        assert WorkItem.objects.filter(engine="bulk_verb").count() == started
    assert "lies in 3 namespaces" in words
    assert "Narrow it by namespace." in words


def test_without_the_setting_each_namespace_has_its_own_too_since_tokens_are_divided(
    boss: Client, settings: Any
) -> None:
    settings.ROOST_NAMESPACES_OF = None
    items = [WorkItemFactory(namespace=space, failed=True) for space in (OURS, THEIRS, "default")]
    url = reverse("admin:roost_workitem_verb_all", args=["redrive"])
    boss.post(url, {"back": f"{address(WorkItem)}?state__exact=failed", "reason": "because"})
    made = {one.namespace: one.payload["items"] for one in WorkItem.objects.filter(engine="bulk_verb")}
    assert made == {item.namespace: [str(item.pk)] for item in items}
