"""Claims under caps that have room for them: several at once, and never more than the caps allow."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

import pytest
from django.db import connection, transaction

from runtime.models import Lease, Limit, WorkItem
from runtime.store import get_store
from runtime.store.postgres import roomy, ruled
from runtime.store.turns import TIGHT_CLAIMS, Turns
from runtime.store.values import Claimed
from tests.contracts.builders import Hand, Together, new_item, put, until, waiting_for_locks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("L45")]

MARGIN = roomy.SLOTS * roomy.MOST_SHARED


@pytest.fixture(autouse=True)
def _fresh_turns(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Know already that limits have a say, as after the first claim."""
    turns = Turns()
    turns.ruled = True
    monkeypatch.setattr(get_store(), "turns", turns)


@pytest.fixture
def strictly(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each claim that is decided item by item."""
    asked: list[int] = []
    take = ruled.Ruled.take

    def counted(self: ruled.Ruled) -> Any:
        asked.append(self.request.limit)
        return take(self)

    monkeypatch.setattr(ruled.Ruled, "take", counted)
    return asked


def backlog(count: int, **values: Any) -> None:
    """Insert so many items."""
    get_store().insert([new_item(**values) for _ in range(count)])


def slots_taken(count: int) -> Callable[[], None]:
    """Return what takes so many slots for the transaction that calls it."""

    def take() -> None:
        with connection.cursor() as cursor:
            for _ in range(count):
                cursor.execute(roomy.SLOT)
                assert cursor.fetchone()

    return take


def test_a_cap_with_room_for_all_claimers_is_not_counted_item_by_item(strictly: list[int]) -> None:
    Limit.objects.create(name="wide", concurrency=MARGIN)
    backlog(100)
    assert len(Hand().claim(limit=50)) == 50
    assert strictly == []


@pytest.mark.parametrize("spare", [9, 10])
def test_a_wide_cap_on_a_pool_counts_that_pool_alone(strictly: list[int], spare: int) -> None:
    Limit.objects.create(name="wide", pool="far", concurrency=MARGIN + spare)
    backlog(10, pool="far")
    backlog(31)
    assert len(Hand().claim(limit=40)) == 40
    assert len(Hand().claim(limit=1)) == 1
    assert strictly == []
    assert get_store().turns.roomy(shared=True) == (spare == 10), "ten run in the pool beside what others may start"


def test_a_claim_asks_for_no_more_than_its_slot_allows(strictly: list[int]) -> None:
    Limit.objects.create(name="wide", concurrency=MARGIN)
    backlog(100)
    assert len(Hand().claim(limit=90)) == roomy.MOST_SHARED
    assert strictly == []


def test_claimers_beside_each_other_wait_for_nobody() -> None:
    Limit.objects.create(name="wide", concurrency=2 * MARGIN)
    backlog(100)
    one, other = Hand(), Hand()
    with transaction.atomic():
        # As the claim of another process does, but keeps its locks.
        slots_taken(1)()
        with connection.cursor() as cursor:
            cursor.execute(roomy.LOCK_SHARED)
        assert len(Together([one.claim]).results()[0]) == 50
        assert len(Together([other.claim]).results()[0]) == 50


def test_without_a_slot_a_claimer_has_the_limits_to_itself(strictly: list[int]) -> None:
    Limit.objects.create(name="wide", concurrency=MARGIN)
    backlog(60)
    with transaction.atomic():
        slots_taken(roomy.SLOTS)()
        assert len(Together([Hand().claim]).results()[0]) == 50
    assert strictly == []


def test_who_counts_alone_keeps_out_who_would_share(strictly: list[int]) -> None:
    Limit.objects.create(name="wide", concurrency=MARGIN)
    backlog(60)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(roomy.LOCK_ALONE)
        assert Together([Hand().claim]).results() == [[]]
    assert strictly == [50], "and it was left to whoever decides item by item, who had the row neither"
    assert len(Hand().claim()) == 50


def test_a_limit_is_waited_for_a_moment_before_it_is_passed_over() -> None:
    Limit.objects.create(name="one", concurrency=1)
    backlog(2)
    get_store().turns.tight(shared=True)
    get_store().turns.tight(shared=False)
    with transaction.atomic():
        list(Limit.objects.select_for_update(no_key=True))
        late = Together([Hand().claim])
        until(lambda: waiting_for_locks() > 0 or not late.running(), "the wait for the limit")
    assert len(late.results()[0]) <= 1
    assert Lease.objects.count() + len(Hand().claim()) == 1


@pytest.mark.parametrize("decides", ["rate", "resource", "key", "many"])
def test_what_has_to_be_looked_at_item_by_item_is(strictly: list[int], decides: str) -> None:
    Limit.objects.create(name="wide", concurrency=MARGIN)
    put(fair_key="a" if decides == "key" else "", resources=["r"] if decides == "resource" else [])
    if decides == "rate":
        Limit.objects.create(name="rate", rate=5)
    if decides == "many":
        Limit.objects.bulk_create(
            Limit(name=str(number), concurrency=MARGIN) for number in range(roomy.MOST_LIMITS + 1)
        )
    assert len(Hand().claim()) == 1
    assert len(strictly) == 1


def test_a_cap_that_binds_is_tried_the_easy_way_only_now_and_then(strictly: list[int]) -> None:
    Limit.objects.create(name="tight", concurrency=2)
    backlog(5)
    hand = Hand()
    assert len(hand.claim()) == 2
    turns = get_store().turns
    assert not turns.roomy(shared=False)
    Limit.objects.update(concurrency=MARGIN + 10)
    for _ in range(TIGHT_CLAIMS):
        hand.claim(limit=1)
    before = len(strictly)
    backlog(1)
    assert len(hand.claim(limit=1)) == 1
    assert len(strictly) == before


@pytest.mark.parametrize("spare", [0, 30, MARGIN - 1])
def test_claimers_at_once_fill_a_wide_cap_and_never_go_over_it(spare: int) -> None:
    cap = MARGIN + spare
    Limit.objects.create(name="wide", engine="counter", concurrency=cap)
    backlog(cap + 120)
    hands = [Hand() for _ in range(6)]
    claimed: list[Claimed] = []
    idle = 0
    while idle < 3:
        got = list(chain.from_iterable(Together([partial(hand.claim, limit=40) for hand in hands]).results()))
        claimed += got
        idle = 0 if got else idle + 1
        assert Lease.objects.count() <= cap
    assert len({one.id for one in claimed}) == len(claimed) == cap
    assert WorkItem.objects.filter(state="running").count() == cap


def test_what_the_last_claimer_in_a_slot_started_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that is freed between a claimer's lock and its count shows what it was used for."""
    Limit.objects.create(name="wide", concurrency=MARGIN + 10)
    backlog(MARGIN + 200)
    hands = [Hand() for _ in range(5)]
    for hand in hands[:4]:
        hand.claim(limit=3)
    late: list[uuid.UUID] = []
    take = roomy.take_unruled

    def slowly(*args: Any, **options: Any) -> Any:
        monkeypatch.undo()
        for hand in hands[:4]:
            Together([partial(hand.claim, limit=60)]).results()
        return take(*args, **options)

    monkeypatch.setattr(roomy, "take_unruled", slowly)
    late += [one.id for one in hands[4].claim(limit=60)]
    assert late
    assert Lease.objects.count() <= MARGIN + 10
