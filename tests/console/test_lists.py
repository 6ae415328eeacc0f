"""The tables in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console.admin import base
from runtime.models import (
    Artifact,
    Blob,
    Event,
    JournalEntry,
    Lease,
    Mailbox,
    Resource,
    ResourceClaim,
    Signal,
    Snapshot,
    Wait,
    Worker,
    WorkItem,
)
from tests.console.conftest import Page
from tests.factories import (
    ArtifactFactory,
    EventFactory,
    JournalEntryFactory,
    LeaseFactory,
    MailboxFactory,
    ResourceClaimFactory,
    ResourceFactory,
    SignalFactory,
    SnapshotFactory,
    WaitFactory,
    WorkerFactory,
    WorkItemFactory,
)

FACTORIES: dict[type[Any], Any] = {
    WorkItem: WorkItemFactory,
    Snapshot: SnapshotFactory,
    Lease: LeaseFactory,
    Resource: ResourceFactory,
    ResourceClaim: ResourceClaimFactory,
    Event: EventFactory,
    Artifact: ArtifactFactory,
    Worker: WorkerFactory,
    Wait: WaitFactory,
    Signal: SignalFactory,
    Mailbox: MailboxFactory,
    JournalEntry: JournalEntryFactory,
}
TABLES = [*FACTORIES, Blob]
# Session, user, count, rows; then what a table adds: the live lists' cursor, namespaces, the leases' workers.
QUERIES = {WorkItem: 6, Lease: 5, Wait: 5}
HOSTILE = '<img src=x onerror="alert(1)">'


def address(model: type[Any], page: str = "changelist", *arguments: Any) -> str:
    return reverse(f"admin:roost_{model._meta.model_name}_{page}", args=arguments)


def queries_of(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in queries.captured_queries]


def test_every_table_of_roost_is_in_the_admin() -> None:
    models = set(apps.get_app_config("roost").get_models())
    assert {model for model in models if not admin.site.is_registered(model)} == set()


@pytest.mark.parametrize("model", FACTORIES, ids=lambda model: model._meta.model_name)
def test_a_list_of_fifty_rows_makes_the_queries_of_a_list_of_one(model: type[Any], boss: Client) -> None:
    FACTORIES[model]()
    one = queries_of(boss, address(model))
    FACTORIES[model].create_batch(49)
    fifty = queries_of(boss, address(model))
    assert len(fifty) == len(one), fifty
    expected = QUERIES.get(model, 4) + (1 if model is WorkItem and connection.vendor == "postgresql" else 0)
    assert len(one) <= expected, one


@pytest.mark.scenario("B18")
@pytest.mark.parametrize("model", TABLES, ids=lambda model: model._meta.model_name)
def test_nobody_adds_changes_or_deletes_rows_by_hand(model: type[Any], boss: Client) -> None:
    row = FACTORIES[model]() if model in FACTORIES else ArtifactFactory().blob
    assert boss.get(address(model, "add")).status_code == 403
    # How much room a resource has is configuration, and what is wanted of a worker.
    for page in ("change", "delete") if model not in (Resource, Worker) else ("delete",):
        assert boss.post(address(model, page, row.pk), {}).status_code == 403
    assert model._default_manager.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model._meta.model_name)
def test_pages_pass_a_strict_content_security_policy(model: type[Any], boss: Client) -> None:
    row = FACTORIES[model]() if model in FACTORIES else ArtifactFactory().blob
    for url in (address(model), address(model, "change", row.pk)):
        answer = boss.get(url)
        assert answer.status_code == 200
        assert Page(answer).refused == []


def test_a_list_counts_no_further_than_its_bound(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "COUNTED", 7)
    WorkItemFactory.create_batch(9)
    counts = [sql for sql in queries_of(boss, address(WorkItem)) if "COUNT(" in sql]
    assert len(counts) == 1
    assert "LIMIT 7" in counts[0]


def test_lists_leave_heavy_columns_in_the_database(boss: Client) -> None:
    WorkItemFactory(payload={"big": True})
    rows = [sql for sql in queries_of(boss, address(WorkItem)) if '"roost_workitem"."engine"' in sql]
    assert rows
    assert all("payload" not in sql and "last_error" not in sql for sql in rows)


def test_a_lease_is_listed_even_when_its_workers_row_is_gone(boss: Client) -> None:
    lease = LeaseFactory()
    Worker.objects.all().delete()
    assert str(lease.worker_id) in Page(boss.get(address(Lease))).text


@pytest.mark.parametrize("term", ["id", "parent", "key", "fingerprint"])
def test_a_search_finds_items_by_whole_ids_and_keys(term: str, boss: Client) -> None:
    parent = WorkItemFactory()
    wanted = WorkItemFactory(failed=True, parent=parent, idempotency_key="order-17", fingerprint="feedbeef")
    WorkItemFactory()
    terms = {"id": wanted.pk, "parent": parent.pk, "key": " order-17 ", "fingerprint": "feedbeef"}
    found = boss.get(address(WorkItem), {"q": str(terms[term])}).context["cl"].result_list
    assert wanted in found
    assert len(found) == (2 if term == "parent" else 1)


def test_a_search_for_nonsense_finds_nothing(boss: Client) -> None:
    WorkItemFactory()
    assert list(boss.get(address(WorkItem), {"q": "' OR 1=1 --"}).context["cl"].result_list) == []


@pytest.mark.parametrize("attention", ["dead", "retry", "parked", "suspect"])
def test_the_attention_filter_shows_what_somebody_should_look_at(attention: str, boss: Client) -> None:
    items = {
        "dead": WorkItemFactory(failed=True),
        "retry": WorkItemFactory(attempt=2, reason="retry"),
        "parked": WorkItemFactory(reason="resource"),
        "suspect": WorkItemFactory(deaths=2),
    }
    WorkItemFactory(done=True, deaths=2)
    found = boss.get(address(WorkItem), {"attention": attention}).context["cl"].result_list
    assert list(found) == [items[attention]]


def test_payloads_are_shown_only_with_the_permission(staff: Any, log_in: Any) -> None:
    item = WorkItemFactory(done=True, payload={"word": "sesame"}, result={"word": "sesame"}, config={"a": "sesame"})
    snapshot = Snapshot.objects.filter(work_item=item).latest("version")
    Snapshot.objects.filter(work_item=item).update(data={"word": "sesame"})
    event = EventFactory(work_item=item, data={"word": "sesame"})
    views = ["view_workitem", "view_snapshot", "view_event"]
    urls = [
        address(WorkItem, "change", item.pk),
        address(Snapshot, "change", snapshot.pk),
        address(Event, "change", event.pk),
    ]
    blind, seeing = log_in(staff(*views, name="blind")), log_in(staff(*views, "view_payload", name="seeing"))
    for url in urls:
        assert "sesame" not in blind.get(url).content.decode()
        assert "sesame" in seeing.get(url).content.decode()


def test_nobody_guesses_a_payload_by_filtering(staff: Any, log_in: Any) -> None:
    WorkItemFactory(payload={"word": "sesame"})
    blind, seeing = (log_in(staff("view_workitem", *more, name=str(more))) for more in ([], ["view_payload"]))
    for lookup in ("payload__word", "payload__icontains", "result", "last_error__message"):
        assert blind.get(address(WorkItem), {lookup: "sesame"}).status_code == 400
    for lookup in ("payload__api_key", "payload__icontains", "result__a__password", "last_error__message__startswith"):
        assert seeing.get(address(WorkItem), {lookup: "sesame"}).status_code == 400
    assert len(seeing.get(address(WorkItem), {"payload__word": '"sesame"'}).context["cl"].result_list) <= 1


@pytest.mark.parametrize("lookup", ["regex", "iregex", "contains", "icontains", "startswith", "endswith"])
def test_no_list_is_filtered_by_parts_of_a_value_which_would_read_it_through(boss: Client, lookup: str) -> None:
    """A regular expression may even never end: on SQLite it is Python's, and holds up the whole process."""
    for model, column in ((WorkItem, "idempotency_key"), (Event, "actor")):
        assert boss.get(address(model), {f"{column}__{lookup}": "(a+)+$"}).status_code == 400
        assert boss.get(address(model), {column: "whole"}).status_code == 200


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model._meta.model_name)
def test_a_table_is_shown_only_with_the_permission_to_view_it(model: type[Any], staff: Any, log_in: Any) -> None:
    name = model._meta.model_name
    other = "view_event" if name != "event" else "view_worker"
    stranger: User = staff(other)
    friend: User = staff(f"view_{name}", name="friend")
    assert log_in(stranger).get(address(model)).status_code == 403
    assert log_in(friend).get(address(model)).status_code == 200


def test_what_engines_and_people_wrote_is_shown_as_text(boss: Client) -> None:
    error = {"type": HOSTILE, "message": HOSTILE, "traceback": HOSTILE}
    item = WorkItemFactory(
        failed=True,
        version=1,
        engine=HOSTILE,
        payload=HOSTILE,
        step_label=HOSTILE,
        last_error=error,
        result=HOSTILE,
    )
    Snapshot.objects.filter(work_item=item).update(data=HOSTILE, label=HOSTILE)
    EventFactory(work_item=item, actor=HOSTILE, reason=HOSTILE, data={HOSTILE: HOSTILE})
    ArtifactFactory(work_item=item, name=HOSTILE, metadata={HOSTILE: HOSTILE})
    ResourceClaimFactory(work_item=item, resource__key=HOSTILE)
    rows = [item, *Snapshot.objects.all(), *Event.objects.all(), *Artifact.objects.all(), *ResourceClaim.objects.all()]
    urls = [address(type(row), "change", row.pk) for row in rows] + [address(type(row)) for row in rows]
    for url in urls:
        page = Page(boss.get(url))
        assert page.refused == [], url


@pytest.mark.parametrize("model", [Event, Snapshot, Artifact], ids=lambda model: model._meta.model_name)
def test_one_items_rows_are_read_in_the_order_of_the_index_that_finds_them(model: type[Any], boss: Client) -> None:
    """Else a database asked for the newest few by primary key reads every newer row of all items first."""
    row = FACTORIES[model]()
    [unique] = [rule for rule in model._meta.constraints if "work_item" in getattr(rule, "fields", ())]
    for query in ({"work_item__id__exact": row.work_item_id}, {"q": row.work_item_id}):
        listed = boss.get(address(model), query).context["cl"]
        assert row in listed.result_list
        ordered = dict.fromkeys(name.removeprefix("-") for name in listed.queryset.query.order_by)
        assert list(ordered)[: len(unique.fields) - 1] == list(unique.fields[1:])


def test_an_items_events_and_a_search_by_id_are_found_by_an_index(boss: Client) -> None:
    item = EventFactory().work_item
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # a table of one row is always read through otherwise
    for model, query in ((Event, {"work_item__id__exact": item.pk}), (WorkItem, {"q": item.pk})):
        plan = boss.get(address(model), query).context["cl"].queryset[:50].explain()
        assert "Seq Scan" not in plan
        assert "SCAN roost_" not in plan
        assert "index" in plan.lower()
