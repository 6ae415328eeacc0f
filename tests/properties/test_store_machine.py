"""Play workers, crashes, sweeps and operators against the store in any order; check its guarantees after each move."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from typing import Any

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runtime.choices import LIVE, PARKED, TERMINAL, Reason, State
from runtime.conformance.hand import held
from runtime.exceptions import Conflict
from runtime.models import Event, Lease, ResourceClaim, Snapshot, WorkItem
from runtime.store import get_store
from runtime.store.values import Held
from runtime.testing import Clock
from tests.contracts.builders import Hand, new_item, traces
from tests.properties.calls import Calls
from tests.properties.grips import RESOURCES, Grip, decide, is_blocked, outcome
from tests.properties.writes import Writes, after_writes


class StoreMachine(RuleBasedStateMachine):
    """Three workers, a sweeper and an operator."""

    items = Bundle("items")
    grips = Bundle("grips")

    def __init__(self) -> None:
        super().__init__()
        self.run = transaction.atomic()
        self.run.__enter__()
        self.writes = Writes()
        self.store = get_store()
        self.clock = Clock()
        self.hands = [Hand() for _ in range(3)]
        self.calls = Calls(self.store)
        self.epochs: dict[uuid.UUID, int] = defaultdict(int)
        self.versions: dict[uuid.UUID, int] = defaultdict(int)

    def teardown(self) -> None:
        """Put the clock back and leave nothing for the next run."""
        self.writes.close()
        self.clock.close()
        transaction.set_rollback(True)
        self.run.__exit__(None, None, None)

    # People and products ----------------------------------------------------------------------------------------------

    @rule(
        target=items,
        priority=st.integers(0, 2),
        delay=st.sampled_from([0.0, 0.0, 5.0]),
        key=st.sampled_from([None, None, "k"]),
        resources=RESOURCES,
        timeout=st.sampled_from([None, None, 40.0]),
    )
    def enqueue(self, priority: int, delay: float, key: str | None, resources: list[Any], timeout: float | None) -> Any:
        one = new_item(priority=priority, delay=delay, idempotency_key=key, resources=resources, item_timeout=timeout)
        taken = key is not None and WorkItem.objects.filter(idempotency_key=key).exists()
        inserted = self.store.insert([one])
        assert inserted == (set() if taken else {one.id})
        return multiple(*inserted)

    @rule(pk=items, verb=st.sampled_from(["cancel", "requeue", "pause", "pause now", "resume", "redrive", "priority"]))
    def move(self, pk: uuid.UUID, verb: str) -> None:
        before = traces(pk)
        try:
            _, changed = self.store.move(pk, lambda found: decide(verb, found), actor="ann", reason=verb)
        except Conflict:
            changed = False
        if not changed:
            assert traces(pk) == before

    # Workers ----------------------------------------------------------------------------------------------------------

    @rule(target=grips, number=st.integers(0, 2), limit=st.integers(1, 4), alone=st.booleans())
    def claim(self, number: int, limit: int, alone: bool) -> Any:
        hand = self.hands[number]
        due = self.store.due(hand.request(limit, alone=alone))
        batch = hand.claim(limit, alone=alone)
        assert len(batch) <= (1 if alone else limit)
        assert due is not None or not batch
        for one in batch:
            found = WorkItem.objects.get(pk=one.id)
            assert (found.epoch, found.version, found.state) == (one.epoch, one.version, State.RUNNING)
            snapshot = Snapshot.objects.filter(work_item=one.id, version=one.version).first()
            assert (None if one.data is None else json.loads(one.data)) == (snapshot.data if snapshot else None)
            assert (one.deaths >= 2) == alone
        assert [one.priority for one in batch] == sorted((one.priority for one in batch), reverse=True)
        return multiple(*[Grip(hand, one) for one in batch])

    @rule(
        grip=grips,
        end=st.sampled_from(["go on", "go on", "delay", "wait", "retry", "fail", "done", "signal"]),
        children=st.integers(0, 1),
    )
    def commit(self, grip: Grip, end: str, children: int) -> None:
        pk, good = grip.claimed.id, self._good(grip)
        before, values = traces(pk), outcome(grip, end, children)
        state = grip.hand.commit(grip.claimed, **values)
        assert (state is not None) == good
        if state is None:
            assert traces(pk) == before
            return
        before = traces(pk)
        assert (grip.hand.commit(grip.claimed, **values), traces(pk)) == (None, before), "it counted twice"
        found = WorkItem.objects.get(pk=pk)
        assert found.state == state
        grip.version, grip.over = found.version, state != State.RUNNING
        grip.data = "x"

    def _good(self, grip: Grip) -> bool:
        found = WorkItem.objects.get(pk=grip.claimed.id)
        good = (found.state, found.epoch, found.version) == (State.RUNNING, grip.claimed.epoch, grip.version)
        assert not (good and grip.over)
        return good

    @rule(grip=grips)
    def renew(self, grip: Grip) -> None:
        good = self._good(grip)
        beat = grip.hand.store.renew(grip.hand.id, held(grip.claimed))
        assert beat.lost == (frozenset() if good else set(held(grip.claimed)))
        assert not beat.strangers & set(held(grip.claimed))

    @rule(grip=grips, key=st.sampled_from("ab"), whole_run=st.booleans(), again=st.booleans())
    def begin_a_call(self, grip: Grip, key: str, whole_run: bool, again: bool) -> None:
        self.calls.begin(grip.claimed, grip.version, key, whole_run=whole_run, again=again)

    @precondition(lambda self: self.calls.begun)
    @rule(back=st.integers(0, 3), state=st.sampled_from(["succeeded", "succeeded", "failed", "retry"]))
    def end_a_call(self, back: int, state: str) -> None:
        """Tell the end of one of the last calls; its step may be over, or somebody else's."""
        self.calls.end(self.calls.begun[-1 - back % len(self.calls.begun)], state)

    @rule(
        target=grips,
        number=st.integers(0, 2),
        whole_run=st.booleans(),
        again=st.booleans(),
        dies=st.booleans(),
        goes_on=st.booleans(),
    )
    def lose_the_owner_of_a_call(self, number: int, whole_run: bool, again: bool, dies: bool, goes_on: bool) -> Any:
        """Let an owner begin a call and lose its item, the next one take it, and both of them call and tell on."""
        grips = [Grip(self.hands[number], one) for one in self.hands[number].claim(1)]
        for grip in list(grips):
            self.begin_a_call(grip, "a", whole_run, again=False)
            if dies:
                self.die(number)
            else:
                self.move(grip.claimed.id, "requeue")
            grips += [Grip(self.hands[number - 1], one) for one in self.hands[number - 1].claim(1)]
        for grip in grips:
            for key in "aab":
                self.begin_a_call(grip, key, whole_run, again)
            if goes_on:
                self.commit(grip, "go on", children=0)
        for back in range(4 if self.calls.begun else 0):
            self.end_a_call(back, "succeeded")
        return multiple(*grips)

    @rule(grip=consumes(grips))
    def release(self, grip: Grip) -> None:
        good = self._good(grip)
        before = traces(grip.claimed.id)
        assert grip.hand.release(grip.claimed) == good
        if not good:
            assert traces(grip.claimed.id) == before
        grip.hand.acknowledge(grip.claimed)

    @rule(number=st.integers(0, 2))
    def die(self, number: int) -> None:
        """Let a worker be found dead; what it remembers stays in the bundle and acts as a zombie."""
        mine = Lease.objects.filter(worker=self.hands[number].id, revoked_at=None)
        expected = mine.count()
        report = self.store.sweep(dead_workers=[self.hands[number].id], batch=100)
        self.hands[number] = Hand()
        assert report.recovered + report.quarantined + report.timed_out >= expected

    # Time -------------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 10.0, 16.0]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass for everybody; the third worker stands still and misses its heartbeat."""
        self.clock.advance(seconds)
        for hand in self.hands[:2]:
            leases = Lease.objects.filter(worker=hand.id, revoked_at=None)
            self.store.renew(hand.id, [_held(lease) for lease in leases])

    @rule()
    def sweep(self) -> None:
        self.store.sweep(batch=100)
        again = self.store.sweep(batch=100)
        assert (again.recovered, again.quarantined, again.timed_out, again.overdue) == (0, 0, 0, 0)
        parked = WorkItem.objects.filter(state=State.QUEUED, reason=Reason.RESOURCE)
        for item in parked:
            assert is_blocked(item), f"{item} is parked although nothing holds what it wants"

    # Guarantees -------------------------------------------------------------------------------------------------------

    @invariant()
    @after_writes
    def what_is_recorded_of_calls_is_kept(self) -> None:
        self.calls.are_kept()

    @invariant()
    @after_writes
    def ownership_is_sound(self) -> None:
        running = {one.pk: one.epoch for one in WorkItem.objects.filter(state=State.RUNNING)}
        assert running == dict(Lease.objects.filter(revoked_at=None).values_list("pk", "epoch"))

    @invariant()
    @after_writes
    def histories_have_no_gap(self) -> None:
        numbers: dict[uuid.UUID, list[int]] = defaultdict(list)
        for pk, seq in Event.objects.order_by("work_item", "seq").values_list("work_item_id", "seq"):
            numbers[pk].append(seq)
        versions: dict[uuid.UUID, list[int]] = defaultdict(list)
        for pk, version in Snapshot.objects.order_by("work_item", "version").values_list("work_item_id", "version"):
            versions[pk].append(version)
        for item in WorkItem.objects.all():
            assert numbers[item.pk] == list(range(1, item.event_seq + 1))
            assert versions[item.pk] in (list(range(item.version + 1)), [])
            assert item.version == 0 or versions[item.pk]

    @invariant()
    @after_writes
    def numbers_only_rise(self) -> None:
        for item in WorkItem.objects.all():
            assert item.epoch >= self.epochs[item.pk]
            assert item.version >= self.versions[item.pk]
            self.epochs[item.pk], self.versions[item.pk] = item.epoch, item.version
            assert (item.state in TERMINAL) == (item.finished_at is not None)
            assert (item.state in {State.WAITING, State.PAUSED}) == (item.away_since is not None)
            assert (item.state == State.PAUSED) == bool(item.paused_from)
            assert not item.pause_requested or item.state == State.RUNNING

    @invariant()
    @after_writes
    def claims_have_an_owner_and_fit_together(self) -> None:
        leased = set(Lease.objects.values_list("pk", flat=True))
        together: dict[int, list[ResourceClaim]] = defaultdict(list)
        for claim in ResourceClaim.objects.select_related("work_item", "resource"):
            item = claim.work_item
            parked = item.state == State.QUEUED and item.reason in PARKED
            if not claim.held:
                assert parked
                continue
            assert item.pk in leased or (claim.scope == "item" and item.state in LIVE)
            together[claim.resource_id].append(claim)
        for held_ in together.values():
            modes = Counter(claim.mode for claim in held_)
            assert not modes["exclusive"] or len(held_) == 1
            assert sum(claim.units for claim in held_ if claim.mode == "counted") <= held_[0].resource.capacity


def _held(lease: Lease) -> Held:
    return Held(lease.pk, lease.epoch)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.scenario("L25", "L26", "L28", "L29", "S1", "B4", "B8", "B23")
def test_the_store_keeps_its_guarantees_whatever_happens() -> None:
    run_state_machine_as_test(StoreMachine, settings=settings(max_examples=15, stateful_step_count=35))
