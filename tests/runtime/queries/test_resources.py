from __future__ import annotations

import pytest

from runtime.choices import Reason, State
from runtime.models import Resource
from runtime.queries import resources
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("L29")
def test_a_resource_shows_who_holds_it_and_who_waits() -> None:
    by = rows.worker()
    holder = rows.running(by)
    waiter = rows.item(State.QUEUED, reason=Reason.RESOURCE)
    rows.claim(holder, "page", held=True)
    rows.claim(waiter, "page", held=False)
    [view] = resources.page().rows
    assert view.key == "page"
    assert [(claim.item, claim.worker, claim.worker_name) for claim in view.holders] == [(holder.pk, by.pk, str(by))]
    assert [(claim.item, claim.worker) for claim in view.waiters] == [(waiter.pk, None)]


def test_busy_leaves_out_what_nobody_holds_or_wants() -> None:
    Resource.objects.create(key="quiet")
    rows.claim(rows.item(), "loud", held=True)
    assert [view.key for view in resources.page(busy=True).rows] == ["loud"]
    assert [view.key for view in resources.page().rows] == ["loud", "quiet"]
    assert [view.key for view in resources.page(key="quiet").rows] == ["quiet"]


def test_resources_are_paged() -> None:
    for key in "abc":
        Resource.objects.create(key=key)
    first = resources.page(limit=2)
    second = resources.page(limit=2, after=("default", "b"))
    assert [view.key for view in (*first.rows, *second.rows)] == ["a", "b", "c"]
    assert (first.more, second.more) == (True, False)


@pytest.mark.scenario("L27")
def test_in_an_items_way_are_the_other_holders_in_the_same_namespace() -> None:
    mine, other = rows.item(resources=[rows.ask(key) for key in "abc"]), rows.item()
    rows.claim(mine, "a", held=True)
    rows.claim(other, "b", held=True)
    rows.claim(rows.item(namespace="elsewhere"), "c", held=True)
    [obstacle] = resources.obstacles(mine)
    assert (obstacle.key, [claim.item for claim in obstacle.holders]) == ("b", [other.pk])


@pytest.mark.parametrize(
    ("mode", "units", "holders", "stand_in_the_way"),
    [
        ("exclusive", 1, [("shared", 1), ("shared", 1)], [0, 1]),
        ("shared", 1, [("shared", 1), ("shared", 1)], []),
        ("shared", 1, [("exclusive", 1)], [0]),
        ("counted", 1, [("counted", 2)], []),
        ("counted", 2, [("counted", 1), ("counted", 1), ("shared", 1)], [0, 1]),
        ("counted", 3, [("shared", 1)], []),
    ],
)
def test_what_stands_in_the_way_goes_by_the_rule_of_the_claim(
    mode: str, units: int, holders: list[tuple[str, int]], stand_in_the_way: list[int]
) -> None:
    Resource.objects.create(key="gpu", capacity=3)
    item = rows.item(resources=[rows.ask("gpu", mode, units)])
    made = [rows.item() for _ in holders]
    for holder, (its_mode, its_units) in zip(made, holders, strict=True):
        rows.claim(holder, "gpu", held=True, mode=its_mode, units=its_units)
    found = resources.obstacles(item)
    told = [claim.item for obstacle in found for claim in obstacle.holders]
    assert told == [made[place].pk for place in stand_in_the_way]
    assert bool(found) == bool(stand_in_the_way)


@pytest.mark.parametrize("known", [True, False])
def test_to_ask_for_more_than_there_is_stands_in_the_way_for_ever(known: bool) -> None:
    if known:
        Resource.objects.create(key="gpu", capacity=3)
    item = rows.item(resources=[rows.ask("gpu", "counted", 4)])
    [obstacle] = resources.obstacles(item)
    assert (obstacle.units, obstacle.capacity, obstacle.holders) == (4, 3 if known else 1, ())


def test_a_holder_whose_worker_row_is_gone_is_still_shown() -> None:
    by = rows.worker()
    name = by.pk
    rows.claim(rows.running(by), "page", held=True)
    by.delete()
    [view] = resources.page().rows
    assert [(holder.worker, holder.worker_name) for holder in view.holders] == [(name, "")]
