"""Pruning that goes on while workers run, and are killed, removes only what it may."""

from __future__ import annotations

import uuid
from functools import partial

import pytest

from runtime.choices import LIVE
from runtime.models import PrunedHistory, Snapshot, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.fork import fork
from runtime.operations.signal import send_signal
from runtime.queries import verify
from tests.ledger.models import Entry
from tests.processes.assertions import assert_nothing_left_over
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet, kill_holder

pytestmark = pytest.mark.slow

SECOND = 1 / 86_400
KEPT = {f"ROOST_PROCESS_SET_RETENTION_{what}": str(SECOND) for what in ("DAYS", "FAILED_DAYS", "HISTORY_DAYS")}
"""For the command alone: workers prune by themselves some time in ten minutes, and would what is to be looked at."""
LONG = ("hop", "hopsparse", "hopcompact", "write", "writecompact")
STEPS = 36
PACE = 0.4
"""Seconds a step of the long ones."""
KIDS = 3
SHORT = 10


def enqueue_long() -> dict[str, uuid.UUID]:
    """Enqueue what lives longer than pruning goes on, of each policy; atomic steps hold no lock while they wait."""
    return {
        engine: enqueue(engine, {"steps": STEPS, "delay" if "write" in engine else "sleep": PACE}).pk for engine in LONG
    }


def enqueue_families(count: int) -> list[uuid.UUID]:
    """Enqueue parents that wait for their children by name, and then for a word."""
    return [enqueue("gather", {"engine": "hop", "kids": KIDS}).pk for _ in range(count)]


def kids_are_done(parent: uuid.UUID) -> bool:
    kids = WorkItem.objects.filter(parent=parent)
    return kids.count() == KIDS and not kids.exclude(state="done").exists()


def prune_once(workers: Fleet) -> None:
    """Run `roost prune` as a timer would, and see that it went well."""
    command = workers.launch("roost", "prune", "--history", **KEPT)
    assert command.wait(timeout=60) == 0, workers.log.read_text()[-4000:]


def prune_for_a_while(workers: Fleet, victim: uuid.UUID) -> list[uuid.UUID]:
    """Prune again and again while short work comes and goes, until the victim, whose worker is killed, is half through.

    Return the short work.
    """
    runs, made = 0, []
    while runs < 2 or WorkItem.objects.get(pk=victim).version < STEPS // 2:
        made += [enqueue("hop", {"steps": 2}).pk for _ in range(SHORT)]
        [short] = enqueue_families(1)
        send_signal("word", 1, item=short)
        made.append(short)
        prune_once(workers)
        runs += 1
        if runs == 2:
            kill_holder(victim)
    return made


@pytest.mark.scenario("B20")
@pytest.mark.timeout(240)
def test_prune_under_load_removes_only_what_it_may(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start("--processes", "2")
    families = enqueue_families(3)
    for parent in families:
        workers.wait(30, partial(kids_are_done, parent), "the children")
    long = enqueue_long()
    short = prune_for_a_while(workers, long["hop"])

    there = WorkItem.objects.filter(pk__in=[*long.values(), *families])
    assert {item.state for item in there} <= LIVE
    assert there.count() == len(LONG) + len(families)
    assert all(kids_are_done(parent) for parent in families), "a parent that lives keeps its children"
    assert WorkItem.objects.filter(pk__in=short).count() < len(short), "something was pruned"
    assert PrunedHistory.objects.filter(pk=long["hop"], events_through__gt=0, snapshots_through__gt=0).exists()

    for parent in families:
        send_signal("word", "go", item=parent)
    workers.wait(60, lambda: not WorkItem.objects.filter(state__in=LIVE).exists(), "the end of all of them")
    workers.stop()
    look_at_the_ends(long, families, short)
    fork_all()
    assert_nothing_left_over()
    assert list(verify.everything()) == []


def look_at_the_ends(long: dict[str, uuid.UUID], families: list[uuid.UUID], short: list[uuid.UUID]) -> None:
    """Every item has come to what it would have come to without pruning."""
    for engine, pk in long.items():
        item = WorkItem.objects.get(pk=pk)
        assert (item.state, item.version, item.steps_total, item.result) == ("done", STEPS, STEPS, {"n": STEPS}), engine
    for engine in ("write", "writecompact"):
        numbers = sorted(Entry.objects.filter(item=long[engine]).values_list("number", flat=True))
        assert numbers == list(range(1, STEPS + 1))
    for pk in families:
        item = WorkItem.objects.get(pk=pk)
        assert (item.state, item.result) == ("done", {"kids": ["done"] * KIDS, "word": "go"})
    assert set(WorkItem.objects.filter(pk__in=short).values_list("state", flat=True)) <= {"done"}


def fork_all() -> None:
    """Every snapshot that is kept can be gone on from."""
    for kept in list(Snapshot.objects.order_by("pk")):
        made = fork(kept.work_item_id, version=kept.version)
        assert Snapshot.objects.get(work_item=made.pk, version=0).data == kept.data
