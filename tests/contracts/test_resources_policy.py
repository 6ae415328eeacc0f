"""Who fits beside whom: policy, without a database."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.store.resources import Ask, Candidate, Holder, Key, fits

ME, YOU = uuid.uuid4(), uuid.uuid4()


def alone(mode: str, *held: tuple[str, int], units: int = 1, capacity: int = 1, owner: uuid.UUID = YOU) -> bool:
    """Say whether a claim on one resource fits beside what `owner` holds."""
    holders = [Holder(owner, mode_, units_) for mode_, units_ in held]
    return fits(ME, {1: Ask(mode, units, "step")}, {1: holders}, {1: capacity})


@pytest.mark.parametrize("mode", ["exclusive", "shared", "counted"])
def test_a_free_resource_fits_every_mode(mode: str) -> None:
    assert alone(mode)


@pytest.mark.parametrize("mode", ["exclusive", "shared", "counted"])
def test_an_exclusive_claim_goes_with_nothing(mode: str) -> None:
    assert not alone(mode, ("exclusive", 1), capacity=9)
    assert not alone("exclusive", (mode, 1), capacity=9)


def test_shared_goes_with_shared_and_counted() -> None:
    assert alone("shared", ("shared", 1), ("shared", 1))
    assert alone("shared", ("counted", 1))
    assert alone("counted", ("shared", 1))


@pytest.mark.parametrize(("units", "fitting"), [(1, True), (2, True), (3, False)])
def test_counted_claims_share_the_capacity(units: int, fitting: bool) -> None:
    assert alone("counted", ("counted", 1), ("counted", 2), units=units, capacity=5) is fitting


def test_more_than_the_capacity_never_fits() -> None:
    assert not alone("counted", units=2, capacity=1)


def test_what_one_holds_oneself_is_no_hindrance() -> None:
    assert alone("exclusive", ("exclusive", 1), owner=ME)
    assert alone("counted", ("counted", 5), units=5, capacity=5, owner=ME)


def test_every_resource_must_fit() -> None:
    asks = {1: Ask("exclusive", 1, "step"), 2: Ask("exclusive", 1, "step")}
    assert fits(ME, asks, {}, {1: 1, 2: 1})
    assert not fits(ME, asks, {2: [Holder(YOU, "shared", 1)]}, {1: 1, 2: 1})


def test_a_candidate_is_read_from_text_and_from_data() -> None:
    entry = {"key": "k", "mode": "counted", "units": 3, "scope": "item"}
    expected = {Key("n", "k"): Ask("counted", 3, "item")}
    assert Candidate.of(ME, "n", [entry]).asks == expected
    assert Candidate.of(ME, "n", '[{"key":"k","mode":"counted","units":3,"scope":"item"}]').asks == expected


claimed = st.tuples(st.sampled_from(["exclusive", "shared", "counted"]), st.integers(1, 4))


@given(st.lists(claimed, max_size=8), st.integers(1, 6))
def test_whatever_is_granted_one_after_the_other_is_sound(wishes: list[tuple[str, int]], capacity: int) -> None:
    held: list[Holder] = []
    for mode, units in wishes:
        item = uuid.uuid4()
        if fits(item, {1: Ask(mode, units, "step")}, {1: held}, {1: capacity}):
            held.append(Holder(item, mode, units))
    modes = [holder.mode for holder in held]
    assert "exclusive" not in modes or len(modes) == 1
    assert sum(holder.units for holder in held if holder.mode == "counted") <= capacity
