"""A deploy strands nothing silently: what new code cannot go on with is held and named, and taken up later."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import registry
from runtime.choices import EventKind, Reason, State
from runtime.compatibility import NEWER_STATE, NO_UPCASTER, NOT_ACCEPTED, objection
from runtime.models import WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.fork import fork
from runtime.operations.pause import pause
from runtime.operations.resume import resume
from runtime.operations.take_up import TakeUp
from runtime.queries import verify
from runtime.queries.held import in_flight
from runtime.queries.why import why
from runtime.store import get_store
from runtime.store.values import Move
from runtime.testing import advance, drain
from runtime.worker import taking_up
from runtime.worker.taking_up import TakingUp
from tests.contracts.builders import Hand
from tests.factories import WorkItemFactory
from tests.runtime.management.cli import document, refused, run
from tests.runtime.operations.looking import fresh, last_event
from tests.runtime.worker import releases

pytestmark = pytest.mark.django_db


@pytest.fixture
def deploy(settings: Any) -> Any:
    """Return what deploys a release of the engine "counting"."""

    def release(name: str) -> None:
        settings.ROOST_ENGINES = {"counting": f"tests.runtime.worker.releases.{name}"}

    release("First")
    return release


def begun(steps: int = 1) -> WorkItem:
    """Return an item that has made some steps."""
    item = enqueue("counting")
    if steps:
        drain(skip_delays=True, max_steps=steps)
    return item


def take_up() -> int:
    """Take up what fits, as the housekeeping of a worker with the code of today does."""
    with advance(taking_up.REST_SECONDS + 1):
        return TakingUp("default", {"counting": registry.get("counting")}).take_if_due()


@pytest.mark.scenario("B3")
@pytest.mark.parametrize("release", ["Second", "Async"])
def test_a_state_of_an_older_shape_is_upcast_and_the_stored_one_stays(deploy: Any, release: str) -> None:
    item = begun()
    deploy(release)
    drain(skip_delays=True)
    ended = fresh(item)
    assert (ended.state, ended.result) == (State.DONE, {"count": 3, "upcast": True})
    kept = list(item.snapshots.order_by("version").values_list("state_schema", "data"))
    assert kept[:2] == [(1, {"n": 0}), (1, {"n": 1})]
    assert kept[2:] == [(2, {"count": 2, "upcast": True}), (2, {"count": 2, "upcast": True})]


@pytest.mark.scenario("B3")
@pytest.mark.parametrize(
    ("release", "code", "words"),
    [("Hasty", NO_UPCASTER, "shape 1 and the code shape 2"), ("Strict", NOT_ACCEPTED, "version 3, which does not")],
)
def test_what_the_new_code_cannot_go_on_with_is_held_and_named(
    deploy: Any, release: str, code: str, words: str
) -> None:
    item = begun()
    before = fresh(item)
    deploy(release)
    drain(skip_delays=True)
    held = fresh(item)
    assert (held.state, held.reason, held.paused_from) == (State.PAUSED, Reason.HELD, State.QUEUED)
    assert (held.version, held.attempt, held.deaths, held.last_error) == (1, 0, 0, None)
    assert held.max_attempts == before.max_attempts
    event = last_event(item)
    assert (event.kind, event.data["code"]) == (EventKind.HELD, code)
    [cause] = why(held).causes
    assert (cause.code, cause.data["objection"]) == ("held", code)
    assert words in cause.text
    assert verify.item(item.pk) == []
    assert drain(skip_delays=True) == 0


@pytest.mark.scenario("B3")
def test_a_state_newer_than_the_code_is_held_when_a_deploy_is_rolled_back(deploy: Any) -> None:
    deploy("Second")
    item = begun()
    deploy("First")
    drain(skip_delays=True)
    assert last_event(item).data["code"] == NEWER_STATE
    deploy("Second")
    assert take_up() == 1
    drain(skip_delays=True)
    assert fresh(item).state == State.DONE


@pytest.mark.scenario("B3")
def test_an_item_without_a_state_is_asked_for_its_version_before_anything_is_called(deploy: Any) -> None:
    item = begun(0)
    deploy("Strict")
    drain()
    assert (fresh(item).reason, item.snapshots.count()) == (Reason.HELD, 0)
    deploy("Second")
    assert take_up() == 1
    drain(skip_delays=True)
    assert fresh(item).state == State.DONE


@pytest.mark.scenario("B3")
def test_a_deploy_rehearsed_says_before_what_it_would_strand_and_after_why(deploy: Any) -> None:
    for _ in range(2):
        begun()
    deploy("Hasty")
    enqueue("counting")
    code, message = refused("preflight")
    assert (code, "2 items in flight would be held" in message) == (1, True)
    [new, old] = sorted(in_flight(), key=lambda fleet: fleet.items)
    assert (old.state_schema, old.items, old.held, old.objection) == (1, 2, 0, NO_UPCASTER)
    assert (new.state_schema, new.engine_version, new.stranded) == (None, "2", False)
    drain(skip_delays=True)
    assert WorkItem.objects.filter(state=State.DONE).count() == 1
    assert [fleet.held for fleet in in_flight()] == [2]
    deploy("Second")
    assert "goes on" in run("preflight")
    assert document("preflight")["stranded"] == 0
    assert (take_up(), take_up()) == (2, 0)
    drain(skip_delays=True)
    assert WorkItem.objects.filter(state=State.DONE).count() == 3
    assert "Nothing is in flight." in run("preflight")


@pytest.mark.scenario("B3")
def test_two_deploys_in_a_row_strand_nothing_silently(deploy: Any) -> None:
    """Version 1 is in flight; version 2 brings an upcaster, and version 3 forgets one."""
    ended = begun(2)
    pause(ended.pk)
    old = begun(1)
    pause(old.pk)
    moved = begun(1)

    deploy("Second")
    assert document("preflight")["stranded"] == 0
    resume(ended.pk)
    drain(skip_delays=True, max_steps=2)
    resume(old.pk)
    new = enqueue("counting")
    assert [(fresh(item).state, fresh(item).version) for item in (ended, old, moved, new)] == [
        (State.DONE, 3), (State.QUEUED, 1), (State.QUEUED, 2), (State.QUEUED, 0),
    ]  # fmt: skip

    deploy("Third")
    code, message = refused("preflight")
    assert (code, message.partition(",")[0]) == (1, "2 items in flight would be held by the code here")
    assert {(one.state_schema, one.objection) for one in in_flight() if one.stranded} == {
        (1, NO_UPCASTER),
        (2, NO_UPCASTER),
    }
    drain(skip_delays=True)
    for item in (old, moved):
        held = fresh(item)
        assert (held.state, held.reason, held.last_error, held.attempt) == (State.PAUSED, Reason.HELD, None, 0)
        assert "with no way there" in run("why", item.pk)
    assert (fresh(new).state, fresh(new).result) == (State.DONE, 3)

    deploy("Mended")
    assert document("preflight")["stranded"] == 0
    with advance(60):  # the steps that were held were due a while later
        assert take_up() == 2
    drain(skip_delays=True)
    for item in (old, moved):
        assert (fresh(item).state, fresh(item).result, fresh(item).version) == (State.DONE, 3, 3)
    assert list(verify.everything()) == []


def test_preflight_names_engines_that_are_gone_and_looks_at_every_live_state(deploy: Any) -> None:
    for state in ("running", "waiting", "paused", "done", "failed", "cancelled"):
        WorkItemFactory(**{state: True}, engine="gone")
    with pytest.raises(Exception, match="3 items in flight"):
        document("preflight")
    [fleet] = in_flight()
    assert (fleet.items, fleet.objection) == (3, "unknown_engine")


@pytest.mark.scenario("B3")
def test_code_that_does_not_fit_takes_nothing_up(deploy: Any) -> None:
    item = begun()
    deploy("Hasty")
    drain(skip_delays=True)
    assert take_up() == 0
    assert fresh(item).reason == Reason.HELD


def test_an_item_held_a_moment_ago_is_left_for_a_while(deploy: Any) -> None:
    """While two releases run side by side, the one that held it would get it again at once."""
    begun()
    deploy("Hasty")
    drain(skip_delays=True)
    deploy("Second")
    with advance(1):
        assert TakingUp("default", {"counting": registry.get("counting")}).take_if_due() == 0


def test_held_items_are_taken_up_a_part_at_a_time(deploy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking_up, "TAKEN", 2)
    monkeypatch.setattr(taking_up, "LOOKED_AT", 4)
    for _ in range(5):
        begun(0)
    deploy("Strict")
    drain()
    deploy("Second")
    taking = TakingUp("default", {"counting": registry.get("counting")})
    with advance(taking_up.REST_SECONDS + 1):
        assert [taking.take_if_due() for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.scenario("B3")
def test_a_held_item_that_an_operator_pauses_stays_paused_when_code_comes(deploy: Any) -> None:
    item = begun(0)
    deploy("Strict")
    drain()
    pause(item.pk, actor="ann")
    deploy("Second")
    assert take_up() == 0
    assert (fresh(item).state, fresh(item).reason) == (State.PAUSED, Reason.OPERATOR)
    resume(item.pk)
    assert fresh(item).state == State.QUEUED


@pytest.mark.scenario("B3")
def test_a_pause_asked_for_while_the_step_ran_that_held_the_item_is_kept(deploy: Any) -> None:
    item, hand = enqueue("counting"), Hand()
    claimed = hand.take()
    pause(item.pk)
    assert hand.commit(claimed, State.PAUSED, reason=Reason.HELD, advance=False) == State.PAUSED
    assert take_up() == 1
    assert (fresh(item).state, fresh(item).reason) == (State.PAUSED, Reason.OPERATOR)


@pytest.mark.scenario("B3")
def test_taking_up_what_was_cancelled_or_taken_up_meanwhile_changes_nothing(deploy: Any) -> None:
    item, other = begun(0), begun(0)
    deploy("Strict")
    drain()
    cancel(item.pk)
    TakeUp(item.pk).execute()
    assert fresh(item).state == State.CANCELLED
    TakeUp(other.pk).execute()
    seq = fresh(other).event_seq
    TakeUp(other.pk).execute()
    assert (fresh(other).state, fresh(other).event_seq) == (State.QUEUED, seq)


def test_an_operator_may_try_a_held_item_again(deploy: Any) -> None:
    item = begun()
    deploy("Hasty")
    drain(skip_delays=True)
    resume(item.pk)
    drain(skip_delays=True)
    assert fresh(item).reason == Reason.HELD
    deploy("Second")
    resume(item.pk)
    drain(skip_delays=True)
    assert fresh(item).state == State.DONE


def test_an_upcaster_that_fails_is_a_failure_of_the_step(deploy: Any) -> None:
    item = begun()
    deploy("Broken")
    drain(skip_delays=True)
    assert (fresh(item).state, fresh(item).last_error["type"]) == (State.FAILED, "KeyError")


def test_an_engine_may_read_old_states_in_its_own_way() -> None:
    engine = releases.Own()
    assert [engine.reads(schema) for schema in (1, 3, 4, 5)] == [True, True, True, False]
    assert engine.upcast({"n": 1}, 2) == {"n": 1, "from": 2}
    assert objection(engine, "1", None) is None


def test_an_upcaster_is_needed_for_every_shape_in_between() -> None:
    engine = releases.Second()
    engine.state_schema, engine.upcasters = 4, {1: str, 3: str}
    assert [engine.reads(schema) for schema in (1, 2, 3, 4, 5)] == [False, False, True, True, False]


@pytest.mark.parametrize("wrong", [0, "2", True, 2**31])
def test_a_shape_that_is_no_number_is_refused_when_the_engine_is_loaded(
    wrong: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ROOST_ENGINES = {f"wrong-{wrong}": "tests.runtime.worker.releases.Own"}
    monkeypatch.setattr(releases.Own, "state_schema", wrong)
    with pytest.raises(registry.EngineLoadError, match="state_schema"):
        registry.get(f"wrong-{wrong}")


def test_redrive_and_fork_keep_the_shape_of_the_state(deploy: Any) -> None:
    item = begun()
    deploy("Second")
    drain(skip_delays=True)
    back = Move(kind=EventKind.REQUEUED, state=State.QUEUED, reason=Reason.REQUEUED, restore=1)
    get_store().move(item.pk, lambda _: back, actor="", reason="")
    assert item.snapshots.latest("version").state_schema == 1
    assert fork(item.pk, version=1).snapshots.get().state_schema == 1
    assert fork(item.pk, version=2).snapshots.get().state_schema == 2
