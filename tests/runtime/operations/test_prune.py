"""What has been kept long enough goes whole; what anybody may still need stays."""

from __future__ import annotations

import math
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models.signals import pre_delete

from runtime import faults
from runtime.exceptions import Forbidden, InvalidInput
from runtime.faults import InjectedFault, Plan
from runtime.models import Artifact, Event, JournalEntry, Signal, Snapshot, Wait, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.prune import Pruned, prune
from runtime.queries import verify
from runtime.store import going
from tests.factories import (
    ArtifactFactory,
    JournalEntryFactory,
    LeaseFactory,
    SignalFactory,
    WaitFactory,
    WorkItemFactory,
    now,
)
from tests.ledger.models import Receipt
from tests.runtime.operations.aged import DAY, ended
from tests.runtime.operations.looking import values

pytestmark = pytest.mark.django_db


def kept(*items: WorkItem) -> bool:
    """Say whether all of these are there still, as they were made."""
    return WorkItem.objects.filter(pk__in=[item.pk for item in items]).count() == len(items)


def gone(*items: WorkItem) -> bool:
    """Say whether none of these is there any more."""
    return not WorkItem.objects.filter(pk__in=[item.pk for item in items]).exists()


# Ages ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "days"), [("done", 30), ("cancelled", 30), ("failed", 90)])
def test_an_item_goes_when_its_time_is_over_and_not_before(state: str, days: int) -> None:
    old, young = ended(days + 0.1, state=state), ended(days - 0.1, state=state)
    assert prune().items == 1
    assert gone(old)
    assert kept(young)


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "paused"])
def test_a_live_item_never_goes(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    before = values(item)
    assert prune(older_than=0).items == 0
    assert values(item) == before


def test_nothing_goes_by_itself_where_retention_is_off(settings: Any) -> None:
    settings.ROOST_RETENTION_DAYS = settings.ROOST_RETENTION_FAILED_DAYS = None
    items = [ended(1_000), ended(1_000, state="failed")]
    assert prune() == Pruned()
    assert prune(older_than=999).items == 1, "an age that is given counts, for dead letters too only where they may go"
    assert kept(items[1])


def test_an_age_that_is_given_never_shortens_the_life_of_dead_letters() -> None:
    letter, done = ended(20, state="failed"), ended(20)
    assert prune(older_than=10).items == 1
    assert gone(done)
    assert kept(letter)


@pytest.mark.parametrize(("point", "left"), [("prune.before", 2), ("prune.after", 0)])
def test_pruning_that_was_cut_off_has_removed_items_whole_and_goes_on(point: str, left: int) -> None:
    items = [ended(31, version=2), ended(32, version=2)]
    with faults.planned(Plan(point=point, action="raise")), pytest.raises(InjectedFault):
        prune()
    assert WorkItem.objects.count() == left
    assert Snapshot.objects.count() == sum(Snapshot.objects.filter(work_item=item).count() for item in items)
    assert list(verify.everything()) == []
    prune()
    assert gone(*items)


# Whole --------------------------------------------------------------------------------------------------------------


def test_an_item_goes_with_all_its_rows_and_its_key_is_free_again(folder: Path) -> None:
    item = ended(31, version=3, idempotency_key="order 1")
    JournalEntryFactory(work_item=item)
    ArtifactFactory(work_item=item)
    wait = WaitFactory(work_item=item, kind="signal", key="go", state="consumed")
    SignalFactory(taken_by=wait)
    SignalFactory(target=item)
    stranger = SignalFactory()
    done = prune()
    assert done.items == 1
    assert dict(done.rows) == {
        "roost.WorkItem": 1,
        "roost.Event": 2,
        "roost.Snapshot": 4,
        "roost.JournalEntry": 1,
        "roost.Artifact": 1,
        "roost.Wait": 1,
        "roost.Signal": 2,
    }
    for model in (WorkItem, Event, Snapshot, JournalEntry, Artifact, Wait):
        assert not model._default_manager.exists()
    assert list(Signal.objects.all()) == [stranger], "a signal that it took is not free for another item"
    assert enqueue("echo", {}, idempotency_key="order 1").pk != item.pk


def test_pointers_to_what_is_gone_are_cleared_and_nothing_is_left_to_complain_about() -> None:
    parent = ended(40)
    child, fork = ended(10, parent=parent), ended(10, forked_from=parent, forked_version=0)
    assert prune().items == 1
    child.refresh_from_db()
    fork.refresh_from_db()
    assert (child.parent_id, fork.forked_from_id) == (None, None)
    assert list(verify.everything()) == []


def test_what_a_live_item_was_forked_from_stays_as_long_as_it_lives() -> None:
    origin = ended(40)
    fork = WorkItemFactory(forked_from=origin, forked_version=0)
    before = values(fork)
    assert prune().items == 0
    assert values(fork) == before
    assert kept(origin)


# What stays ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relation", ["child", "detached", "trigger"])
def test_a_parent_stays_while_a_child_is_live(relation: str) -> None:
    parent = ended(40)
    WorkItemFactory(parent=parent, relation=relation)
    assert prune().items == 0
    assert kept(parent)


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "paused", "failed", "done"])
def test_a_child_stays_as_long_as_its_parent_does(state: str) -> None:
    parent = WorkItemFactory(**({state: True} if state != "queued" else {}))
    child = ended(400, parent=parent)
    assert prune().items == 0
    assert kept(child)


def test_a_child_of_a_trigger_goes_on_its_own() -> None:
    child = ended(40, parent=WorkItemFactory(failed=True), relation="trigger")
    assert prune().items == 1
    assert gone(child)


def test_a_family_goes_from_the_top_and_a_dry_run_counts_all_of_it() -> None:
    parent = ended(40)
    child = ended(41, parent=parent)
    grandchild = ended(42, parent=child)
    dry = prune(dry_run=True)
    assert (dry.items, set(dry.shown)) == (3, {parent.pk, child.pk, grandchild.pk})
    assert kept(parent, child, grandchild)
    assert prune().items == 3


@pytest.mark.parametrize("state", ["open", "withdrawn"])
def test_what_somebody_waits_for_by_name_stays(state: str) -> None:
    named, other = ended(40), ended(40)
    data = {"children": [str(named.pk)], "need": "all", "on_failure": "wait"}
    WaitFactory(kind="children", data=data, state=state)
    assert prune(dry_run=True).shown == (other.pk,)
    done = prune()
    assert (done.items, done.kept) == (1, 1)
    assert kept(named)


def test_what_a_worker_has_still_to_let_go_of_stays() -> None:
    item = ended(40, state="cancelled")
    LeaseFactory(work_item=item, revoked_at=item.finished_at)
    assert prune().items == 0
    assert kept(item)


def test_what_a_row_of_the_product_protects_stays_and_stands_in_nobodys_way() -> None:
    protected, *others = ended(50), ended(40), ended(39)
    Receipt.objects.create(item=protected)
    done = prune()
    assert (done.items, done.kept) == (2, 1)
    assert gone(*others)
    assert Event.objects.filter(work_item=protected).count() == 2, "it keeps all its rows"


@pytest.mark.parametrize(
    "wrong", [ValueError("a receiver of the product's"), IntegrityError("a constraint of its own")]
)
def test_an_item_that_cannot_be_removed_stands_in_nobodys_way(
    wrong: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    items = [ended(40 + number) for number in range(9)]

    def refuse(instance: WorkItem, **_more: Any) -> None:
        if instance.pk == items[4].pk:
            raise wrong

    pre_delete.connect(refuse, sender=WorkItem)
    try:
        done = prune()
    finally:
        pre_delete.disconnect(refuse, sender=WorkItem)
    assert (done.items, done.kept) == (8, 1)
    assert kept(items[4])
    assert f"{items[4].pk} could not be removed" in caplog.text


def test_a_round_goes_on_behind_what_the_last_one_came_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going, "LOOK", 2)
    items = [ended(60 - number) for number in range(6)]
    for item in items[:4]:
        Receipt.objects.create(item=item)
    done = prune(limit=1)
    assert (done.items, done.kept, done.more) == (1, 4, True)
    on = prune(after=done.place)
    assert (on.items, on.kept, on.place) == (1, 0, None), "what stays is not looked at again"
    Receipt.objects.all().delete()
    assert prune().items == 4, "the next one begins anew"


def test_many_that_ended_at_the_same_moment_are_looked_at_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going, "LOOK", 2)
    moment = now(-40 * DAY)
    items = [WorkItemFactory(done=True, finished_at=moment) for _ in range(7)]
    for item in items[::2]:
        Receipt.objects.create(item=item)
    done = prune()
    assert (done.items, done.kept) == (3, 4)


# Filters ------------------------------------------------------------------------------------------------------------


@pytest.mark.scenario("B10")
@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("none", [[], (), set(), frozenset()])
def test_an_empty_list_of_items_removes_nothing(none: Any, dry_run: bool) -> None:
    item = ended(400)
    assert prune(items=none, dry_run=dry_run, older_than=0) == Pruned()
    assert kept(item)


@pytest.mark.scenario("B10")
@pytest.mark.parametrize(
    "filters",
    [
        {"engine": ""},
        {"engine": "  "},
        {"engine": 0},
        {"namespace": ""},
        {"namespace": []},
        {"items": ""},
        {"items": "*"},
        {"items": [""]},
        {"items": [None]},
        {"items": ["%"]},
        {"items": 7},
        {"limit": 0},
        {"limit": -1},
        {"limit": True},
        {"limit": 1.5},
        {"older_than": -1},
        {"older_than": math.nan},
        {"older_than": math.inf},
        {"older_than": "30"},
        {"older_than": True},
        {"older_than": 1e300},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_and_removes_nothing(filters: dict[str, Any]) -> None:
    item = ended(400)
    with pytest.raises(InvalidInput) as caught:
        prune(**filters)
    assert caught.value.field in filters or caught.value.field == "item"
    assert kept(item)


def test_filters_narrow() -> None:
    mine, engine, space, listed = ended(40), ended(40, engine="echo"), ended(40, namespace="b"), ended(40)
    assert prune(items=[uuid.uuid4()]).items == 0
    assert prune(items=[listed.pk], engine="echo").items == 0
    assert prune(items=[str(listed.pk)]).items == 1
    assert prune(engine="echo").items == 1
    assert prune(namespace="b").items == 1
    assert gone(engine, space, listed)
    assert kept(mine)


def test_the_limit_bounds_what_goes_and_the_oldest_go_first() -> None:
    items = [ended(40 + days) for days in range(5)]
    done = prune(limit=2)
    assert (done.items, done.more) == (2, True)
    assert gone(*items[3:])
    assert kept(*items[:3])
    dry = prune(limit=2, dry_run=True)
    assert (dry.items, dry.more, dry.shown) == (2, True, (items[2].pk, items[1].pk))


def test_only_who_may_prunes() -> None:
    item = ended(40)
    with pytest.raises(Forbidden, match=r"roost\.prune_workitem"):
        prune(by=User.objects.create_user("ada"))
    assert kept(item)
