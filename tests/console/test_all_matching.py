"""What a verb would do to all that match, told by counts before it is confirmed, and done to all of them."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console import bulk
from console.actions import OperatorAction
from console.all_matching import Tally, tally
from console.item_actions import ACTIONS
from runtime.choices import State
from runtime.models import Snapshot, WorkItem
from runtime.queries import alike as alike_module
from runtime.testing import drain
from tests.console.conftest import Page
from tests.console.test_verbs import LIST, told
from tests.factories import WorkItemFactory, now

pytestmark = pytest.mark.django_db

BULK = [action for action in ACTIONS if action.bulk and action.all_matching]


@pytest.fixture
def user() -> User:
    """Make somebody who may do everything."""
    return User.objects.create_superuser("sue", password="secret")


def items_of_all_kinds() -> list[WorkItem]:
    """Make items that differ in all that a verb looks at, several of each kind."""
    later = now() + dt.timedelta(hours=1)
    kinds: list[dict[str, Any]] = [
        *({}, {"run_at": later}, {"run_at": later, "reason": "resource"}, {"reason": "limit"}),
        *({"running": True}, {"running": True, "pause_requested": True}, {"waiting": True}, {"paused": True}),
        *({"done": True}, {"done": True, "legal_hold": True}, {"done": True, "max_steps": 1}, {"cancelled": True}),
        *({"failed": True}, {"failed": True, "acknowledged_at": now(), "acknowledged_by": "ann"}),
        *({"failed": True, "max_steps": 5, "steps_total": 5}, {"failed": True, "legal_hold": True}),
        *({"priority": 3}, {"paused": True, "reason": "held"}, {"failed": True, "version": 2}),
    ]
    made = [WorkItemFactory(**kind) for kind in kinds for _one in "ab"]
    Snapshot.objects.filter(work_item=made[-1], version=2).delete()
    return made


def judged(action: OperatorAction, user: User) -> tuple[int, int]:
    """Return how many would change and be skipped, each item judged by itself."""
    verdicts = action.judge(list(WorkItem.objects.all()), by=user)
    skipped = sum(bool(verdict.skipped) for verdict in verdicts)
    return len(verdicts) - skipped, skipped


def counted(action: OperatorAction, user: User, most: int = 1000) -> Tally:
    found = tally(action, WorkItem.objects.all(), most=most, by=user)
    assert found is not None
    return found


@pytest.mark.parametrize("action", BULK, ids=lambda action: action.name)
def test_the_counts_are_those_of_judging_each_item(action: OperatorAction, user: User) -> None:
    items_of_all_kinds()
    found = counted(action, user)
    assert (found.eligible, found.skipped_count) == judged(action, user)
    assert found.eligible
    assert found.skipped
    assert found.count == WorkItem.objects.count()
    assert not found.cut


def test_reasons_are_counted_and_the_newest_item_of_each_is_named(user: User) -> None:
    WorkItemFactory.create_batch(3)
    done = WorkItemFactory.create_batch(2, done=True)
    WorkItemFactory(failed=True)
    [first, second] = counted(next(one for one in BULK if one.name == "cancel"), user).skipped
    assert (first.count, first.item.pk) == (2, max(item.pk for item in done))
    assert first.why.startswith("is done;")
    assert (second.count, second.why.startswith("is failed;")) == (1, True)


def test_what_changes_only_if_more_is_said_is_counted(user: User) -> None:
    WorkItemFactory.create_batch(2, failed=True, max_steps=5, steps_total=5)
    WorkItemFactory(failed=True)
    found = counted(next(one for one in BULK if one.name == "redrive"), user)
    assert (found.eligible, [(str(one.label), one.count) for one in found.needed]) == (3, [("Steps allowed", 2)])


def test_beyond_the_bound_only_the_newest_are_counted_and_it_says_so(user: User) -> None:
    WorkItemFactory.create_batch(2, done=True)
    WorkItemFactory.create_batch(3)
    found = counted(BULK[0], user, most=3)
    assert (found.count, found.cut) == (3, True)
    assert {one.why.split(";")[0] for one in found.skipped} == {"is queued"}


def test_a_thousand_items_take_the_queries_of_one(user: User) -> None:
    counts = []
    for size in (1, 30):
        WorkItemFactory.create_batch(size)
        user = User.objects.get(pk=user.pk)
        with CaptureQueriesContext(connection) as queries:
            counted(BULK[0], user)
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no time limit for statements")
def test_what_takes_too_long_is_given_up_and_said(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 1)
    monkeypatch.setattr(alike_module, "mark", lambda condition: slow())
    monkeypatch.setattr(alike_module, "SECONDS", 0.02)
    WorkItemFactory.create_batch(2)
    text = Page(ask_for_all(boss, "cancel", LIST)).text
    assert "There are too many to be judged beforehand" in text
    assert "Cancel · all that match" in text
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        assert cursor.fetchone() != ("20ms",)


def slow() -> Any:
    """Return an expression that takes its time."""
    from django.db.models import BooleanField
    from django.db.models.expressions import RawSQL

    return RawSQL("pg_sleep(0.1) IS NOT NULL", [], output_field=BooleanField())


def ask_for_all(client: Client, verb: str, address: str) -> Any:
    some = str(WorkItem.objects.values_list("pk", flat=True)[0])
    fields = {"action": f"{verb}_items", "_selected_action": [some], "select_across": 1, "index": 0}
    return client.post(address, fields)


def start(client: Client, verb: str, asked: Any, **fields: str) -> Any:
    form = {name: Page(asked).fields[name] for name in ("back", "click", "newest")}
    return client.post(reverse("admin:roost_workitem_verb_all", args=[verb]), {**form, "all": "yes", **fields})


def test_the_page_tells_what_would_become_of_all_and_not_of_the_newest_alone(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 2)
    WorkItemFactory.create_batch(3)
    WorkItemFactory.create_batch(2, done=True)
    asked = ask_for_all(boss, "cancel", LIST)
    page = Page(asked)
    assert page.refused == []
    assert "3 items would change." in page.text
    assert "2 would be skipped." in page.text
    assert "Cancel · all 5 that match" in page.text
    assert "Cancel · 0 items" not in page.text
    assert "of 5 items" in told(start(boss, "cancel", asked))
    drain(engines=[bulk.ENGINE])
    assert WorkItem.objects.filter(state=State.CANCELLED).count() == 3


def test_all_are_not_offered_where_none_would_change(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 2)
    WorkItemFactory.create_batch(3, done=True)
    text = Page(ask_for_all(boss, "cancel", LIST)).text
    assert "3 would be skipped." in text
    assert "Nothing here can change that way." in text


def test_what_was_removed_while_it_was_judged_is_told_without_an_item(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 1)
    WorkItemFactory.create_batch(2)

    def and_one_that_is_gone(*args: Any, **options: Any) -> Any:
        found = alike_module.alike(*args, **options)
        assert found is not None
        return replace(found, kinds=(*found.kinds, alike_module.Kind(newest=uuid.uuid4(), count=3)))

    monkeypatch.setattr("console.all_matching.alike", and_one_that_is_gone)
    text = Page(ask_for_all(boss, "cancel", LIST)).text
    assert "3 would be skipped." in text
    assert "It was removed just now. Look again." in text


def test_more_than_one_bulk_verb_covers_are_done_by_several_at_one_click(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 1)
    for where in ("console.bulk.MOST", "console.admin.bulk.MOST"):
        monkeypatch.setattr(where, 2)
    items = WorkItemFactory.create_batch(5)
    asked = ask_for_all(boss, "cancel", LIST)
    assert "Cancel · all 5 that match" in Page(asked).text
    for _press in range(2):
        words = told(start(boss, "cancel", asked, reason="a flood"))
    assert "Cancel of 5 items:" in words
    for part in ("part 1", "part 2", "part 3"):
        assert part in words
    works = WorkItem.objects.filter(engine=bulk.ENGINE)
    assert sorted(len(work.payload["items"]) for work in works) == [1, 2, 2]
    assert sorted(one for work in works for one in work.payload["items"]) == sorted(str(item.pk) for item in items)
    entries = LogEntry.objects.filter(object_id__in=[str(work.pk) for work in works])
    assert len({entry.object_id for entry in entries}) == 3
    drain(engines=[bulk.ENGINE])
    assert WorkItem.objects.filter(state=State.CANCELLED).count() == 5


def test_what_lies_beyond_all_of_them_is_said_before_and_after(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 1)
    for where in ("console.bulk", "console.admin.bulk"):
        monkeypatch.setattr(f"{where}.MOST", 2)
        monkeypatch.setattr(f"{where}.PARTS", 2)
    items = WorkItemFactory.create_batch(5)
    asked = ask_for_all(boss, "cancel", LIST)
    assert "More than 4 match. These are the newest 4" in Page(asked).text
    assert "Cancel · the newest 4 that match" in Page(asked).text
    assert "Only the newest 4 were taken" in told(start(boss, "cancel", asked))
    drain(engines=[bulk.ENGINE])
    assert list(WorkItem.objects.filter(state=State.QUEUED)) == [items[0]]


def test_fields_that_the_first_rows_need_are_not_needed_for_all(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 1)
    WorkItemFactory(failed=True)
    WorkItemFactory(failed=True, max_steps=5, steps_total=5)
    asked = ask_for_all(boss, "redrive", f"{LIST}?state__exact=failed")
    page = Page(asked)
    assert "1 changes only if you say: Steps allowed." in page.text
    assert not any(one.field.required for one in asked.context["typed"])


@pytest.mark.parametrize("query", ["q=error:nothing", "q=engine:counter", "age=day", "attention=dead", "q=payload.a:1"])
def test_every_kind_of_filter_can_be_counted(query: str, boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 1)
    WorkItemFactory.create_batch(2, failed=True, payload={"a": 1}, last_error={"message": "nothing", "type": "X"})
    text = Page(ask_for_all(boss, "redrive", f"{LIST}?{query}")).text
    assert "2 items would change." in text
