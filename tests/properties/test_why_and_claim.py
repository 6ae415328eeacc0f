"""In any world, `why` says of each item what the next claim then does with it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.choices import State
from runtime.models import Limit, ResourceClaim, WorkItem
from runtime.queries.why import why
from runtime.store import get_store
from runtime.store.turns import Turns
from tests.contracts.builders import Hand, cancelled, put

pytestmark = pytest.mark.django_db

BLOCKED = frozenset({"not_due", "resource", "over_capacity", "letting_go", "limit", "rate", "parked", "behind"})
KEYS = st.sampled_from(["", "", "a", "b"])
ENGINES = st.sampled_from(["counter", "hop"])
SPACES = st.sampled_from(["default", "default", "elsewhere"])

ITEMS = st.fixed_dictionaries(
    {
        "engine": ENGINES,
        "namespace": SPACES,
        "pool": st.sampled_from(["default", "default", "far"]),
        "fair_key": KEYS,
        "priority": st.integers(0, 1),
        "delay": st.sampled_from([0.0, 0.0, 0.0, 600.0]),
        "resources": st.lists(st.sampled_from(["r", "s"]), max_size=1),
    }
)
LIMITS = st.fixed_dictionaries(
    {
        "namespace": st.sampled_from(["", "", "elsewhere"]),
        "engine": st.sampled_from(["", "counter", "hop"]),
        "fair_key": st.sampled_from(["", "a"]),
        "pool": st.sampled_from(["", "", "far"]),
        "enabled": st.sampled_from([True, True, True, False]),
    },
).flatmap(
    lambda scope: st.one_of(
        st.fixed_dictionaries({"concurrency": st.integers(0, 3)}),
        st.fixed_dictionaries({"rate": st.integers(1, 3), "per_seconds": st.just(100_000.0)}),
    ).map(lambda caps: {**scope, **caps})
)
PAST = st.lists(st.sampled_from(["claim one", "claim two", "done", "die", "cancel", "later"]), max_size=5)


def play(past: list[str], hand: Hand) -> None:
    """Let a worker live through something."""
    held = []
    for what in past:
        if what.startswith("claim"):
            held += hand.claim(limit=2 if what.endswith("two") else 1)
        elif what == "die":
            hand.die()
            held = []
        elif held:
            one = held.pop()
            moves: dict[str, Callable[[], Any]] = {
                "done": lambda one=one: hand.commit(one, State.DONE),
                "later": lambda one=one: hand.commit(one, State.QUEUED, reason="delay", delay=600.0),
                "cancel": lambda one=one: cancelled(one.id),
            }
            moves[what]()


def check(taken: set[uuid.UUID], codes: dict[uuid.UUID, tuple[str, ...]], *, every: bool) -> None:
    """Compare what was said with what was taken; `every`: what was not said to be kept back has been taken.

    Of two items for which a resource is free, one gets it; the last assertion is the witness.
    """
    for pk, said in codes.items():
        kept = BLOCKED.intersection(said)
        assert not (kept and pk in taken), f"{said}, but it was claimed"
        if every and not kept and pk not in taken:
            keys = ResourceClaim.objects.filter(work_item=pk, held=False).values("resource_id")
            rivals = ResourceClaim.objects.filter(resource__in=keys, held=True, work_item__in=taken)
            assert rivals.exists(), f"{said}, but it was not claimed"


def said_of(pks: list[uuid.UUID]) -> dict[uuid.UUID, tuple[str, ...]]:
    """Return the codes of why, for those that are queued."""
    return {item.pk: why(item).codes for item in WorkItem.objects.filter(pk__in=pks, state=State.QUEUED)}


@given(
    items=st.lists(ITEMS, min_size=1, max_size=10),
    limits=st.lists(LIMITS, max_size=3),
    past=PAST,
    last=st.sampled_from([None, "", "a"]),
)
@settings(max_examples=150)
@pytest.mark.slow
@pytest.mark.scenario("L45", "B8")
def test_why_says_what_the_next_claim_does(
    items: list[dict[str, Any]], limits: list[dict[str, Any]], past: list[str], last: str | None
) -> None:
    store = get_store()
    with transaction.atomic():
        store.turns = turns = Turns()  # type: ignore[attr-defined] # both stores have it
        hand, other = Hand(), Hand()
        pks = [put(**values) for values in items]
        play(past, hand)
        for number, values in enumerate(limits):
            Limit.objects.create(name=f"limit {number}", **values)
        if last is not None:
            turns.served(0, last)
        suspects = set(WorkItem.objects.filter(deaths__gte=2).values_list("pk", flat=True))
        said = said_of(pks)
        taken = {one.id for one in other.claim(limit=50)}
        assert not taken & suspects
        check(taken, {pk: codes for pk, codes in said.items() if pk not in suspects}, every=True)
        said = said_of([*suspects])
        check({one.id for one in other.claim(alone=True)}, said, every=False)
        transaction.set_rollback(True)
