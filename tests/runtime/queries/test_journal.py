"""What is in doubt is told: by the list, by `why`, and `verify` finds entries that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.models import JournalEntry
from runtime.queries import journal, verify
from runtime.queries.why import why
from tests.factories import JournalEntryFactory, WorkItemFactory

pytestmark = pytest.mark.django_db


def doubts(item: Any) -> list[str]:
    listed = [call.entry.key for call in journal.page(item).rows if call.in_doubt]
    assert [entry.key for entry in journal.in_doubt(item)] == listed
    assert [cause.data["key"] for cause in why(item).causes if cause.code == "in_doubt"] == listed
    return listed


@pytest.mark.scenario("L36")
def test_a_call_of_an_owner_that_is_gone_is_in_doubt_and_one_being_made_is_not() -> None:
    item = WorkItemFactory(running=True, epoch=3)
    JournalEntryFactory(work_item=item, key="now", state="started", epoch=3)
    JournalEntryFactory(work_item=item, key="before", state="started", epoch=2)
    JournalEntryFactory(work_item=item, key="done", epoch=2)
    assert doubts(item) == ["before"]
    [cause] = [cause for cause in why(item).causes if cause.code == "in_doubt"]
    assert "'before'" in cause.text
    assert "journal reset" in cause.text


@pytest.mark.parametrize("state", ["queued", "waiting", "paused", "failed", "cancelled"])
def test_a_started_call_of_an_item_that_does_not_run_is_in_doubt(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    JournalEntryFactory(work_item=item, key="charge", state="started")
    assert doubts(item) == ["charge"]


def test_a_healthy_journal_has_no_problem() -> None:
    item = WorkItemFactory(running=True, version=2)
    for state in ("started", "retry", "succeeded", "failed"):
        JournalEntryFactory(work_item=item, key=state, state=state)
    JournalEntryFactory(work_item=item, key="once", base_version=-1)
    assert verify.item(item.pk) == []


@pytest.mark.parametrize(
    "broken", [{"ended_at": None}, {"base_version": 9}, {"epoch": 9}], ids=["end", "base", "epoch"]
)
def test_entries_that_cannot_be_are_problems(broken: dict[str, Any]) -> None:
    item = WorkItemFactory(running=True, version=2)
    entry = JournalEntryFactory(work_item=item)
    JournalEntry.objects.filter(pk=entry.pk).update(**broken)
    assert [problem.code for problem in verify.item(item.pk)] == ["journal"]
