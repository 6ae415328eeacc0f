"""A recorded call is forgotten by an operator's word, when that is safe, and never while it may be going on."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from runtime.choices import EventKind, State
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound
from runtime.models import JournalEntry
from runtime.operations.redrive import redrive
from runtime.operations.requeue import requeue
from runtime.operations.reset_call import reset_call
from tests.factories import JournalEntryFactory, WorkItemFactory
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = pytest.mark.django_db


def keys(item: Any) -> list[str]:
    return list(JournalEntry.objects.filter(work_item=item).order_by("key").values_list("key", flat=True))


@pytest.mark.scenario("S2", "L36")
@pytest.mark.parametrize("state", ["failed", "started"])
def test_a_call_that_failed_or_is_in_doubt_is_forgotten_with_actor_and_reason(state: str) -> None:
    item = WorkItemFactory(failed=True, version=2)
    JournalEntryFactory(work_item=item, key="charge", state=state, attempts=2)
    JournalEntryFactory(work_item=item, key="other", state=state)
    reset_call(item.pk, "charge", actor="ada", reason="the bank has no trace of it")
    assert keys(item) == ["other"]
    assert (fresh(item).state, fresh(item).attempt, fresh(item).epoch) == (State.FAILED, 5, item.epoch)
    event = last_event(item)
    assert (event.kind, event.actor, event.reason) == (EventKind.JOURNAL_RESET, "ada", "the bank has no trace of it")
    assert event.data == {"key": "charge", "name": "bank.charge", "was": state, "attempts": 2}


@pytest.mark.parametrize("state", ["queued", "waiting", "paused", "done", "failed", "cancelled"])
def test_it_is_forgotten_in_every_state_but_running(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    JournalEntryFactory(work_item=item, key="charge", state="failed")
    assert reset_call(item.pk, "charge").state == state
    assert keys(item) == []


def test_while_the_item_runs_its_calls_are_left_alone() -> None:
    item = WorkItemFactory(running=True)
    JournalEntryFactory(work_item=item, key="charge", state="started")
    before = values(item)
    with pytest.raises(Conflict, match="is running") as caught:
        reset_call(item.pk, "charge")
    assert (caught.value.state, keys(item), values(item)) == ("running", ["charge"], before)


@pytest.mark.parametrize(("state", "why"), [("succeeded", "it is kept"), ("retry", "makes it again")])
def test_a_call_that_is_to_be_kept_is_kept(state: str, why: str) -> None:
    item = WorkItemFactory(failed=True)
    JournalEntryFactory(work_item=item, key="charge", state=state)
    with pytest.raises(Conflict, match=why):
        reset_call(item.pk, "charge")
    assert keys(item) == ["charge"]


def test_a_call_of_an_earlier_step_decides_nothing_and_is_history() -> None:
    item = WorkItemFactory(failed=True, version=3)
    JournalEntryFactory(work_item=item, key="charge", state="failed", base_version=1)
    with pytest.raises(NotFound, match="journal list"):
        reset_call(item.pk, "charge")
    JournalEntryFactory(work_item=item, key="charge", state="failed", base_version=-1)
    reset_call(item.pk, "charge")
    assert JournalEntry.objects.get().base_version == 1


def test_it_needs_its_permission_and_a_key() -> None:
    item = WorkItemFactory(failed=True)
    JournalEntryFactory(work_item=item, key="charge", state="failed")
    user = User.objects.create_user("ada")
    with pytest.raises(Forbidden, match="reset_journal"):
        reset_call(item.pk, "charge", by=user)
    user.user_permissions.add(Permission.objects.get(codename="reset_journal"))
    reset_call(item.pk, "charge", by=User.objects.get(pk=user.pk))
    with pytest.raises(InvalidInput):
        reset_call(item.pk, " ")


@pytest.mark.scenario("L11", "S2")
def test_redrive_lets_failed_calls_be_made_again_and_keeps_what_was_done() -> None:
    item = WorkItemFactory(failed=True, version=2)
    for key in ("failed", "started", "succeeded", "retry"):
        JournalEntryFactory(work_item=item, key=key, state=key)
    JournalEntryFactory(work_item=item, key="whole run", state="failed", base_version=-1)
    JournalEntryFactory(work_item=item, key="before", state="failed", base_version=1)
    JournalEntryFactory(
        work_item=item, key="happened", state="failed", error={"happened": True, "message": "too large"}
    )
    redrive(item.pk)
    assert keys(item) == ["before", "happened", "retry", "started", "succeeded"]
    assert last_event(item).data["calls_forgotten"] == ["failed", "whole run"]


def test_a_follow_up_of_a_cancelled_item_makes_its_failed_calls_again_and_a_requeue_does_not() -> None:
    ended, queued = WorkItemFactory(cancelled=True), WorkItemFactory(reason="retry", run_at=WorkItemFactory().run_at)
    for item in (ended, queued):
        JournalEntryFactory(work_item=item, key="charge", state="failed")
    requeue(ended.pk)
    assert (keys(ended), keys(queued)) == ([], ["charge"])
