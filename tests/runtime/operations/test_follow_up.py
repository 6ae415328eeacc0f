"""A follow-up reopens what has ended: new input, kept state, kept totals."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from django.db import connection, transaction

from runtime.choices import EventKind, Reason, State, WaitState
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.exceptions import Conflict, Declined, Forbidden, InvalidInput, NotFound, RetryableError
from runtime.models import Wait
from runtime.operations.enqueue import enqueue
from runtime.operations.follow_up import follow_up
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from runtime.testing import drain
from tests.contracts.builders import until, waiting_for_locks
from tests.factories import WorkItemFactory
from tests.runtime.operations.looking import Caller, fresh, last_event, values

pytestmark = pytest.mark.django_db


def kept(item: Any) -> Wait:
    found: Wait = Wait.objects.get(work_item=item.pk)
    return found


@pytest.mark.scenario("S15")
@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_what_has_ended_goes_on_with_the_state_and_the_totals_it_had(state: str) -> None:
    item = WorkItemFactory(**{state: True}, version=3, duration_total=12.5, cost_total=400)
    snapshots = list(item.snapshots.order_by("version").values())
    moved = follow_up(item.pk, {"more": 2}, actor="ann", reason="she asked")
    stored = fresh(item)
    assert (moved.state, stored.state, stored.reason, stored.version) == (*[State.QUEUED] * 2, Reason.FOLLOW_UP, 3)
    assert list(item.snapshots.order_by("version").values()) == snapshots
    assert (stored.attempt, stored.deaths, stored.last_error, stored.finished_at) == (0, 0, None, None)
    assert (stored.steps_total, stored.duration_total, stored.cost_total) == (3, 12.5, 400)
    assert stored.asked
    wait = kept(item)
    assert (wait.base_version, wait.key, wait.state, wait.resolution) == (
        3,
        "follow_up",
        WaitState.RESOLVED,
        {"more": 2},
    )
    assert (wait.resolved_by, wait.answers[0]["reason"]) == ("ann", "she asked")
    event = last_event(item)
    assert (event.kind, event.actor, event.reason) == (EventKind.FOLLOWED_UP, "ann", "she asked")
    assert event.data == {"ended": state, "key": "follow_up"}


@pytest.mark.parametrize("state", ["running", "waiting", "paused"])
def test_what_is_live_is_a_conflict_that_names_the_state(state: str) -> None:
    item = WorkItemFactory(**{state: True})
    before = values(item)
    with pytest.raises(Conflict, match=f"is {state}") as caught:
        follow_up(item.pk, 1)
    assert caught.value.state == state
    assert values(item) == before
    assert not Wait.objects.exists()


@pytest.mark.scenario("S15")
def test_a_second_one_before_any_step_replaces_the_input() -> None:
    item = WorkItemFactory(done=True)
    follow_up(item.pk, "first")
    with pytest.raises(Conflict, match="is queued"):
        follow_up(item.pk, "second")
    assert kept(item).resolution == "first"
    type(item).objects.filter(pk=item.pk).update(state=State.CANCELLED)
    follow_up(item.pk, "third")
    assert kept(item).resolution == "third"


@pytest.mark.scenario("S15")
def test_a_rollback_of_the_caller_leaves_nothing() -> None:
    item = WorkItemFactory(done=True)
    before = values(item)
    with transaction.atomic():
        follow_up(item.pk, 1)
        transaction.set_rollback(True)
    assert values(item) == before
    assert not Wait.objects.exists()


@pytest.mark.scenario("L10")
def test_an_item_that_has_used_up_its_steps_needs_more_of_them() -> None:
    item = WorkItemFactory(done=True, version=3, max_steps=3)
    with pytest.raises(Conflict, match="3 of 3 steps"):
        follow_up(item.pk, 1)
    follow_up(item.pk, 1, max_steps=5)
    assert fresh(item).max_steps == 5


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("value", [float("nan"), "a\x00", "\ud800", {1: 2}, object()])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    item = WorkItemFactory(done=True)
    with pytest.raises(InvalidInput):
        follow_up(item.pk, value)
    assert fresh(item).state == State.DONE


def test_it_asks_for_its_permission_and_for_an_item_that_exists(django_user_model: Any) -> None:
    item = WorkItemFactory(done=True)
    with pytest.raises(Forbidden, match=r"roost\.follow_up_workitem"):
        follow_up(item.pk, 1, by=django_user_model.objects.create_user("nobody"))
    with pytest.raises(NotFound):
        follow_up("00000000-0000-0000-0000-000000000000", 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("S15")
def test_of_two_at_once_one_wins_and_the_other_is_told() -> None:
    item = WorkItemFactory(done=True)
    with transaction.atomic():
        follow_up(item.pk, "first")
        if connection.vendor != "sqlite":
            other = Caller(lambda: follow_up(item.pk, "second"))
            until(lambda: waiting_for_locks() > 0, "a wait for the item's row")
    if connection.vendor == "sqlite":
        other = Caller(lambda: follow_up(item.pk, "second"))
    with pytest.raises(Conflict, match="is queued"):
        other.result()
    assert kept(item).resolution == "first"


class Tally(Engine):
    """Add up what it is given, over all of its follow-ups; the first attempt of each step fails if asked to."""

    retry = RetryPolicy(max_attempts=3, base=0.001, cap=0.001, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {"sum": item.payload}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        answer = ctx.answers.get("follow_up")  # type: ignore[attr-defined,unused-ignore]
        if ctx.attempt == 1 and answer is not None:
            raise RetryableError("once more")
        total = snapshot.data["sum"] + (answer.value if answer is not None else 0)
        state = {"sum": total, "last": True}
        return Complete({"sum": total}, state) if snapshot.data.get("last") else Continue(state)


@pytest.mark.scenario("S15")
def test_the_next_step_gets_the_input_once_however_often_it_is_tried(settings: Any) -> None:
    settings.ROOST_ENGINES = {"tally": f"{__name__}.Tally"}
    item = enqueue("tally", 1)
    drain(skip_delays=True)
    follow_up(item.pk, 10)
    drain(skip_delays=True)
    follow_up(item.pk, 100)
    drain(skip_delays=True)
    stored = fresh(item)
    assert (stored.state, stored.result, stored.asked) == (State.DONE, {"sum": 111}, False)
    assert set(Wait.objects.values_list("state", flat=True)) == {WaitState.CONSUMED}


class Paying(Engine):
    """Pays with the card of the payload, or with the one that a follow-up names."""

    paid: ClassVar[list[str]] = []

    def init_snapshot(self, item: Item) -> Any:
        return None

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        async def pay(card: str) -> str:
            self.paid.append(card)
            if card == "closed":
                raise Declined("The card is closed.")
            return card

        answer = ctx.answers.get("follow_up")
        return Complete(await ctx.run("pay", pay, item.payload if answer is None else answer.value))


@pytest.mark.scenario("S15", "S2")
def test_a_call_that_failed_for_good_is_made_again_with_what_the_follow_up_says(settings: Any) -> None:
    settings.ROOST_ENGINES = {"paying": f"{__name__}.Paying"}
    Paying.paid.clear()
    item = enqueue("paying", "closed")
    drain()
    assert fresh(item).state == State.FAILED
    follow_up(item.pk, "another")
    drain()
    stored = fresh(item)
    assert (stored.state, stored.result, Paying.paid) == (State.DONE, "another", ["closed", "another"])
