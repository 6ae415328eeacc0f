"""Play steps that ask, people, signals, children, pauses, deaths and sweeps in any order; nobody may be forgotten."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from typing import Any

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runtime import clock
from runtime.choices import LIVE, EventKind, Reason, State, WaitKind, WaitState
from runtime.exceptions import RoostError
from runtime.models import Lease, Signal, Wait, WorkItem
from runtime.operations.approve import approve
from runtime.operations.cancel import cancel
from runtime.operations.pause import pause
from runtime.operations.redrive import redrive
from runtime.operations.reject import reject
from runtime.operations.requeue import requeue
from runtime.operations.resume import resume
from runtime.queries import verify
from runtime.store import children, get_store
from runtime.store.values import Claimed, Held, NewEvent, NewWait
from runtime.testing import Clock
from tests.contracts.asking import signal, wait_for
from tests.contracts.builders import Hand, new_item
from tests.properties.answers import Answers
from tests.properties.writes import Writes, after_writes

TERMS = st.builds(
    lambda need, on_failure: {"need": need, "on_failure": on_failure},
    st.sampled_from(["all", "any", 2]),
    st.sampled_from(["wait", "wake", "fail"]),
)
ASKS = st.one_of(
    st.builds(lambda end: ("approval", {"expires_in": end, "on_reject": "fail"}), st.sampled_from([None, 20.0])),
    st.builds(
        lambda quorum: ("approval", {"quorum": quorum, "expires_in": 30.0, "has_default": True, "default": "1"}),
        st.integers(1, 2),
    ),
    st.just(("signal", {"signal_name": "go"})),
    st.builds(
        lambda span: ("timer", {"expires_in": span, "has_default": True, "default": "null"}),
        st.sampled_from([0.0, 15.0]),
    ),
    st.builds(lambda terms: ("children", {"terms": terms}), TERMS),
)
VERBS = {
    "approve": lambda pk: approve(pk, actor="ann"),
    "approve too": lambda pk: approve(pk, actor="bea"),
    "reject": lambda pk: reject(pk, actor="cid"),
    "pause": pause,
    "pause now": lambda pk: pause(pk, now=True),
    "resume": resume,
    "cancel": cancel,
    "redrive": redrive,
    "redrive from the start": lambda pk: redrive(pk, from_version=0),
    "requeue": requeue,
}


FEW = 3
"""Live items beyond which no more are enqueued: of many, each would be met too seldom to come to an end."""

STORIES = [
    ("pause", "approve", "approve too", "resume"),
    ("approve", "approve too"),
    ("pause", "reject", "resume", "redrive"),
    ("cancel", "requeue", "approve"),
]
"""Moves that say more one after the other than each for itself."""


class WaitsMachine(RuleBasedStateMachine):
    """Two workers, people, senders of signals and a sweeper."""

    items = Bundle("items")
    grips = Bundle("grips")

    def __init__(self) -> None:
        super().__init__()
        self.run = transaction.atomic()
        self.run.__enter__()
        self.writes = Writes()
        self.store = get_store()
        self.clock = Clock()
        self.hand = Hand()
        self.answers = Answers()
        self.numbers = itertools.count()

    @initialize(target=items, count=st.integers(1, 3))
    def begin(self, count: int) -> Any:
        return multiple(*[self.enqueue_one() for _ in range(count)])

    def teardown(self) -> None:
        """Put the clock back and leave nothing for the next run."""
        self.writes.close()
        self.clock.close()
        transaction.set_rollback(True)
        self.run.__exit__(None, None, None)

    @precondition(lambda self: WorkItem.objects.filter(state__in=LIVE).count() < FEW)
    @rule(target=items)
    def enqueue(self) -> uuid.UUID:
        return self.enqueue_one()

    def enqueue_one(self) -> uuid.UUID:
        one = new_item()
        self.store.insert([one])
        return one.id

    @rule(target=grips, limit=st.integers(1, 3), alone=st.booleans())
    def claim(self, limit: int, alone: bool) -> Any:
        return multiple(*self._claim(limit, alone=alone))

    def _claim(self, limit: int, **values: Any) -> list[Claimed]:
        claimed = self.hand.claim(limit, **values)
        for one in claimed:
            self.answers.claimed(one)
        return claimed

    @rule(
        asks=st.lists(ASKS, min_size=1, max_size=3),
        mode=st.sampled_from(["all", "any"]),
        advance=st.booleans(),
        spawned=st.integers(0, 2),
        answered=st.integers(0, 2),
        target=items,
    )
    def ask(self, asks: list[Any], mode: str, advance: bool, spawned: int, answered: int) -> Any:
        """Claim an item, and let its step ask; some of it is answered at once."""
        claimed = self._claim(1)
        if not claimed:
            return multiple()
        grip = claimed[0]
        waits = tuple(_wait(f"{kind} {n}", kind, mode, given) for n, (kind, given) in enumerate(asks))
        kids = tuple(new_item(parent_id=grip.id, relation="child") for _ in range(spawned))
        done = self._commit(grip, State.WAITING, reason=waits[0].kind, waits=waits, advance=advance, children=kids)
        assert done in (None, State.WAITING, State.QUEUED, State.PAUSED, State.FAILED)
        self._answer_all(grip.id, answered)
        return multiple(*[kid.id for kid in kids] if done else [])

    @rule(grip=consumes(grips), end=st.sampled_from([State.QUEUED, State.QUEUED, State.DONE, State.FAILED, "retry"]))
    def step(self, grip: Claimed, end: str) -> None:
        fails = end in (State.FAILED, "retry")
        error = {"error": "{}", "reason": Reason.RETRY if end == "retry" else Reason.PERMANENT_ERROR} if fails else {}
        self._commit(grip, State.QUEUED if end == "retry" else end, advance=not fails, **error)

    @rule(late=st.booleans(), end=st.sampled_from([State.QUEUED, State.DONE, "retry", State.FAILED]))
    def work(self, late: bool, end: str) -> None:
        """Claim what is due, and make its steps; some questions are answered only while they run."""
        claimed = self._claim(3)
        for grip in claimed if late else ():
            self._answer_all(grip.id)
        for grip in claimed:
            self.step(grip, end)

    @rule(
        end=st.sampled_from([State.QUEUED, State.DONE, "retry"]),
        mode=st.sampled_from(["any", "all"]),
        verbs=st.sampled_from([(), *STORIES]),
    )
    def decide_late(self, end: str, mode: str, verbs: tuple[str, ...]) -> None:
        """Let a step ask two people; answer one of them, and the other one once the step runs, if it does."""
        for grip in self._claim(1):
            waits = tuple(_wait(f"approval {n}", "approval", mode, {}) for n in range(2))
            if self._commit(grip, State.WAITING, reason="approval", waits=waits, advance=False) != State.WAITING:
                return
            self._answer_all(grip.id, 1)
            for verb in verbs:
                with contextlib.suppress(RoostError):
                    VERBS[verb](grip.id)
                self.every_answer_is_kept()
            self.work(late=True, end=end)

    @rule(number=st.integers(0, 50), most=st.integers(1, 3))
    def answer(self, number: int, most: int) -> None:
        """Answer questions of an item that asks, the first ones of them or all."""
        asking = list(WorkItem.objects.filter(asked=True, state__in=LIVE).order_by("pk").values_list("pk", flat=True))
        if asking:
            self._answer_all(asking[number % len(asking)], most)

    def _answer_all(self, pk: uuid.UUID, most: int = 3) -> None:
        for wait in Wait.objects.filter(work_item=pk, state=WaitState.OPEN).order_by("pk")[:most]:
            for by in ("ann", "bea"):
                with contextlib.suppress(RoostError):
                    if wait.kind == WaitKind.APPROVAL:
                        approve(pk, wait.key, actor=by)
            if wait.kind == WaitKind.SIGNAL:
                self.send(pk, named=False)
            self.what_must_hold_holds()

    def _commit(self, grip: Claimed, state: str, **values: Any) -> str | None:
        """Commit as a worker would, which knows of an item what the claim told it."""
        values |= {"asked": grip.answers is not None, "has_parent": grip.parent_id is not None}
        if not values["advance"]:
            values["initial"] = '{"count": 0}' if grip.data is None else None
        left = self.hand.commit(grip, state, events=(NewEvent(kind=EventKind.LOG),), **values)
        if left is not None and values["advance"]:
            self.answers.used(grip)
        return left

    @rule(
        number=st.integers(0, 50), verbs=st.one_of(st.tuples(st.sampled_from(sorted(VERBS))), st.sampled_from(STORIES))
    )
    def move(self, number: int, verbs: tuple[str, ...]) -> None:
        """Do one thing after another to an item that has asked, whatever of it its state allows."""
        asking = list(WorkItem.objects.filter(asked=True).order_by("pk").values_list("pk", flat=True))
        if not asking:
            return
        pk = asking[number % len(asking)]
        for verb in verbs:
            with contextlib.suppress(RoostError):
                VERBS[verb](pk)
            self.what_must_hold_holds()

    @rule(pk=items, named=st.booleans())
    def send(self, pk: uuid.UUID, named: bool) -> None:
        sent = signal(payload=next(self.numbers), target=None if named else pk)
        self.answers.sent(sent.id, sent.payload)
        with contextlib.suppress(RoostError):
            self.store.signal(sent)

    @rule()
    def die(self) -> None:
        self.hand.die()
        self.hand = Hand()

    @rule(seconds=st.sampled_from([1.0, 12.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        leases = Lease.objects.filter(worker=self.hand.id, revoked_at=None)
        self.store.renew(self.hand.id, [Held(lease.pk, lease.epoch) for lease in leases])

    @rule()
    def sweep(self) -> None:
        """What is told after a commit is told by the next sweep: here no transaction ever ends."""
        before = clock.now("default")
        for _ in range(4):
            self.store.sweep(batch=100)
        # What expires while this looks is the next sweep's.
        over = Wait.objects.filter(state=WaitState.OPEN, expires_at__lte=before)
        assert not over.exists()
        for wait in Wait.objects.filter(state=WaitState.OPEN, kind="children", work_item__state=State.WAITING):
            assert children.answer("default", wait.work_item, wait) is None

    @invariant()
    @after_writes
    def what_must_hold_holds(self) -> None:
        assert list(verify.everything()) == []

    @invariant()
    @after_writes
    def every_answer_is_kept(self) -> None:
        for pk, version in WorkItem.objects.filter(asked=True, state__in=LIVE).values_list("pk", "version"):
            self.answers.kept(pk, version)

    @invariant()
    @after_writes
    def no_signal_is_left_for_whoever_waits(self) -> None:
        free = list(Signal.objects.filter(taken_by=None))
        waiting = Wait.objects.filter(state=WaitState.OPEN, kind="signal", work_item__state__in=["waiting", "paused"])
        for wait in waiting:
            assert not [one for one in free if one.target_id in (None, wait.work_item_id)]

    @invariant()
    @after_writes
    def a_signal_is_taken_once(self) -> None:
        taken = [one.taken_by_id for one in Signal.objects.exclude(taken_by=None)]
        assert len(taken) == len(set(taken))

    @invariant()
    @after_writes
    def only_what_goes_on_has_no_time_away(self) -> None:
        for item in WorkItem.objects.all():
            assert (item.state in {State.WAITING, State.PAUSED}) == (item.away_since is not None)


def _wait(key: str, kind: str, mode: str, given: dict[str, Any]) -> NewWait:
    return wait_for(key, kind, **{**given, "needed": mode})


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.django_db
@pytest.mark.scenario("S5", "S7", "S8", "S13")
def test_nobody_who_waits_is_forgotten() -> None:
    run_state_machine_as_test(WaitsMachine, settings=settings(max_examples=20, stateful_step_count=40))
