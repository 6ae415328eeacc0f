"""Basic: items go in, are claimed in their order, and move on step by step."""

from __future__ import annotations

import json
import time

from django.db import transaction

from runtime.choices import EventKind, Reason, State
from runtime.conformance.report import require
from runtime.conformance.stage import Stage
from runtime.models import Snapshot

LATER_SECONDS = 0.3
PATIENCE = 10.0
TEXT = '{"a":[1,2.50,-3e-7,12345678901234567890],"t":"ünï \\"q\\" \\\\ {x} %s NULL 😀","n":null,"b":true}'


def an_inserted_item_is_queued(stage: Stage) -> None:
    """An inserted item is queued, with its first event."""
    pk = stage.put(priority=3)
    found = stage.item(pk)
    seen = (found.state, found.reason, found.version, found.epoch, found.event_seq, found.priority)
    require(seen == (State.QUEUED, Reason.NEW, 0, 0, 1, 3), f"It is {seen}.")
    require(stage.kinds(pk) == [EventKind.ENQUEUED], f"Its events are {stage.kinds(pk)}.")


def a_taken_key_is_left_out(stage: Stage) -> None:
    """An item whose idempotency key is taken is left out, its neighbours are not."""
    first = stage.put(idempotency_key="k")
    again, other = stage.new(idempotency_key="k"), stage.new()
    inserted = stage.store.insert([again, other])
    require(inserted == {other.id}, "insert says that it inserted other items than it may.")
    there = {item.pk for item in stage.items()}
    require(there == {first, other.id}, f"There are {len(there)} items where there must be 2.")


def an_insert_joins_the_callers_transaction(stage: Stage) -> None:
    """An insert in a transaction that is rolled back leaves nothing."""
    with transaction.atomic(using=stage.using):
        stage.store.insert([stage.new()])
        transaction.set_rollback(True, using=stage.using)
    require(stage.items() == [], "The item is there although its transaction was rolled back.")


def json_comes_back_as_it_was(stage: Stage) -> None:
    """JSON comes back as it was given, whatever is in it."""
    stage.put(payload=json.loads(TEXT), config=TEXT)
    claimed = stage.hand().take()
    require(json.loads(claimed.payload or "") == json.loads(TEXT), f"The payload came back as {claimed.payload}.")
    require(json.loads(claimed.config or "") == json.loads(TEXT), f"The config came back as {claimed.config}.")


def a_claim_makes_one_owner(stage: Stage) -> None:
    """A claimed item runs under a new epoch, with a lease and an event, and is not claimed again."""
    pk, hand = stage.put(), stage.hand()
    claimed = hand.take()
    found, lease = stage.item(pk), stage.leases().get(pk)
    require((found.state, found.epoch) == (State.RUNNING, 1), f"It is {found.state} with epoch {found.epoch}.")
    owner = lease and (lease.worker_id, lease.epoch, lease.revoked_at)
    require(owner == (hand.id, 1, None), f"Its lease is {owner}.")
    require((claimed.epoch, claimed.version, claimed.data) == (1, 0, None), "It was handed out as something else.")
    require(stage.kinds(pk) == [EventKind.ENQUEUED, EventKind.CLAIMED], f"Its events are {stage.kinds(pk)}.")
    require(stage.hand().claim() == [], "Another worker got it, too.")


def the_most_urgent_comes_first(stage: Stage) -> None:
    """A claim takes the most urgent first, then what is due longest, and no more than was asked for."""
    first, second, urgent = stage.put(), stage.put(), stage.put(priority=7)
    hand = stage.hand()
    taken = [one.id for one in (*hand.claim(limit=2), *hand.claim(limit=2))]
    require(taken == [urgent, first, second], "They were taken in another order, or not all of them.")


def nothing_runs_before_it_is_due(stage: Stage) -> None:
    """An item is not claimed before it is due, and is when it is."""
    pk, hand = stage.put(delay=LATER_SECONDS), stage.hand()
    require(hand.claim() == [], "It was claimed before it was due.")
    soon = stage.store.next_due_in(hand.request())
    require(soon is not None and 0 <= soon <= LATER_SECONDS, f"next_due_in says {soon}.")
    give_up_at = time.monotonic() + PATIENCE
    taken = hand.claim()
    while not taken and time.monotonic() < give_up_at:
        time.sleep(LATER_SECONDS / 10)
        taken = hand.claim()
    require([one.id for one in taken] == [pk], "It was not claimed once it was due.")


def a_step_makes_a_version(stage: Stage) -> None:
    """A step makes one version with its snapshot and event, and the next claim reads that state."""
    pk, hand = stage.put(), stage.hand()
    claimed = hand.take()
    require(hand.commit(claimed, label="one") == State.RUNNING, "The outcome of the owner was refused.")
    require(hand.commit(claimed, State.QUEUED, version=1, initial=None) == State.QUEUED, "The second one was.")
    found = stage.item(pk)
    require((found.version, found.steps_total) == (2, 2), f"It is at {found.version}, with {found.steps_total} steps.")
    require(stage.versions(pk) == [0, 1, 2], f"Its snapshots are {stage.versions(pk)}.")
    require(stage.kinds(pk)[2:] == [EventKind.STEP, EventKind.STEP], f"Its events are {stage.kinds(pk)}.")
    label = Snapshot.objects.using(stage.using).get(work_item=pk, version=1).label
    require(label == "one", f"The snapshot is labelled {label!r}.")
    again = stage.hand().take()
    seen = (again.version, json.loads(again.data or "null"))
    require(seen == (2, {"count": 2}), f"The next claim reads {seen}.")


def the_end_is_written_with_the_last_step(stage: Stage) -> None:
    """The last step, the result and the end are one write, after which nobody owns the item."""
    pk, hand = stage.put(), stage.hand()
    require(hand.commit(hand.take(), State.DONE, result='{"answer": [42, null]}') == State.DONE, "It was refused.")
    found = stage.item(pk)
    require((found.state, found.result) == (State.DONE, {"answer": [42, None]}), f"It is {found.state}.")
    require(found.finished_at is not None, "It has no time of its end.")
    require(stage.leases() == {}, "There is still a lease on it.")
    require(hand.claim() == [], "It was claimed again.")


CHECKS = (
    an_inserted_item_is_queued,
    a_taken_key_is_left_out,
    an_insert_joins_the_callers_transaction,
    json_comes_back_as_it_was,
    a_claim_makes_one_owner,
    the_most_urgent_comes_first,
    nothing_runs_before_it_is_due,
    a_step_makes_a_version,
    the_end_is_written_with_the_last_step,
)
