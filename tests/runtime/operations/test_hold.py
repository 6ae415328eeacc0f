"""Legal hold keeps an item and what belongs to it from being removed, and changes nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from runtime.choices import EventKind
from runtime.exceptions import Conflict, InvalidInput, NotFound
from runtime.models import WorkItem
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import fork
from runtime.operations.hold import hold, unhold
from runtime.operations.prune import prune
from runtime.operations.redrive import redrive
from runtime.operations.requeue import requeue
from runtime.operations.reset_call import reset_call
from runtime.queries.why import why
from tests.factories import JournalEntryFactory, WorkItemFactory
from tests.properties.worldly import rows_of
from tests.runtime.operations.aged import ended
from tests.runtime.operations.looking import Caller, fresh, last_event, values, wait_until_blocked

pytestmark = pytest.mark.django_db

STATES = ["queued", "running", "waiting", "paused", "done", "failed", "cancelled"]


@pytest.mark.parametrize("state", STATES)
def test_an_item_is_held_in_every_state_and_is_otherwise_as_it_was(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    before = fresh(item)
    hold(item.pk, actor="ada", reason="case 1")
    event = last_event(item)
    assert (event.kind, event.actor, event.reason) == (EventKind.LEGAL_HOLD, "ada", "case 1")
    stored = fresh(item)
    assert stored.legal_hold
    assert (stored.state, stored.reason, stored.epoch) == (before.state, before.reason, before.epoch)
    with pytest.raises(Conflict, match="on legal hold already"):
        hold(item.pk, reason="again")
    unhold(item.pk, actor="bob", reason="closed")
    assert last_event(item).kind == EventKind.LEGAL_HOLD_LIFTED
    assert not fresh(item).legal_hold
    with pytest.raises(Conflict, match="is not on legal hold"):
        unhold(item.pk, reason="again")


@pytest.mark.parametrize("verb", [hold, unhold])
def test_a_reason_is_required(verb: Any) -> None:
    item = WorkItemFactory()
    with pytest.raises(InvalidInput, match="A reason is required"):
        verb(item.pk)


def test_what_is_held_is_not_removed_until_the_hold_is_lifted() -> None:
    item = ended(400, version=2)
    hold(item.pk, reason="case 1")
    before = values(item)
    assert prune(items=[item.pk], older_than=0).items == 0
    assert values(item) == before
    unhold(item.pk, reason="closed")
    assert prune().items == 1


def test_what_a_held_item_points_to_stays_and_so_do_its_children() -> None:
    parent, origin = ended(400), ended(400)
    held = ended(400, parent=parent, forked_from=origin, forked_version=0, legal_hold=True)
    child = ended(400, parent=held)
    assert prune().items == 0
    assert WorkItem.objects.filter(pk__in=[parent.pk, origin.pk, held.pk, child.pk]).count() == 4
    unhold(held.pk, reason="closed")
    assert prune().items == 4


def test_what_triggers_have_enqueued_stays_with_an_item_on_legal_hold() -> None:
    held = ended(400, legal_hold=True)
    child = ended(400, parent=held, relation="trigger")
    assert prune(dry_run=True).items == prune().items == 0
    assert WorkItem.objects.filter(pk=child.pk).exists()
    unhold(held.pk, reason="closed")
    assert prune().items == 2


@pytest.mark.parametrize(("verb", "state"), [(redrive, "failed"), (requeue, "done"), (follow_up, "done")])
def test_an_item_that_has_ended_and_is_on_legal_hold_is_forked_and_not_brought_back(verb: Any, state: str) -> None:
    item = ended(1, state=state, version=2, engine="echo", legal_hold=True)
    JournalEntryFactory(work_item=item, key="charge", state="failed")
    before = rows_of(item.pk)
    with pytest.raises(Conflict, match=r"on legal hold.*Fork it instead, or lift the hold"):
        verb(item.pk)
    assert rows_of(item.pk) == before
    assert fork(item.pk).forked_from_id == item.pk
    unhold(item.pk, reason="closed")
    assert verb(item.pk).state == "queued"


def test_a_recorded_call_of_an_item_on_legal_hold_is_not_forgotten() -> None:
    item = WorkItemFactory(failed=True, legal_hold=True)
    JournalEntryFactory(work_item=item, key="charge", state="failed")
    before = rows_of(item.pk)
    with pytest.raises(Conflict, match="on legal hold, with its recorded calls"):
        reset_call(item.pk, "charge")
    assert rows_of(item.pk) == before


def test_why_names_the_hold() -> None:
    item = WorkItemFactory(done=True)
    hold(item.pk, actor="ada", reason="case 1")
    told = why(fresh(item))
    assert told.codes == ("done", "legal_hold")
    assert "On legal hold by ada since " in told.text
    assert "(case 1)" in told.text


@pytest.mark.django_db(transaction=True)
def test_a_hold_that_is_set_meanwhile_wins_or_finds_nothing() -> None:
    held, late = ended(400), ended(400)
    with transaction.atomic():
        hold(held.pk, reason="case 1")
        if connection.vendor == "postgresql":
            assert Caller(prune).result().items == 1, "what somebody has locked is passed over"
    assert prune().items == (0 if connection.vendor == "postgresql" else 1)
    assert list(WorkItem.objects.all()) == [held]
    with pytest.raises(NotFound):
        hold(late.pk, reason="too late")


@pytest.mark.django_db(transaction=True)
def test_a_hold_behind_a_prune_is_told_that_the_item_is_gone() -> None:
    item = ended(400)
    with transaction.atomic():
        assert prune().items == 1
        caller = Caller(lambda: hold(item.pk, reason="late"))
        Caller(wait_until_blocked).result()  # not here: a transaction sees one state of pg_stat_activity
    with pytest.raises(NotFound):
        caller.result()
