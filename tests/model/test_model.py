"""The protocol keeps its promises in every world, each of its rules is needed, and its moves are the code's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from runtime.choices import TRANSITIONS, State
from tests.model.explore import Explored, explore
from tests.model.invariants import violated
from tests.model.protocol import moves
from tests.model.world import Rules, World
from tests.model.worlds import BROKEN, EVERY_MOVE, WORLDS

pytestmark = pytest.mark.plain

MODELLED = frozenset({"queued", "running", "paused", "done", "cancelled"})
NOT_MODELLED = {
    ("queued", "queued"): "a retry made due now: the model knows no due times",
}
"""Transitions between the model's states that it does not make, and why."""
ALLOWED = {(str(before), str(after)) for before, follow in TRANSITIONS.items() for after in follow}


@pytest.mark.slow
@pytest.mark.scenario("L4", "L26", "L28", "L40", "L44", "B4", "B11")
@pytest.mark.parametrize("name", WORLDS)
def test_every_promise_is_kept_in_every_world(name: str, record_property: Callable[[str, object], None]) -> None:
    found = explore(*WORLDS[name])
    record_property("states", found.states)
    assert not found.broken, found.story()
    assert found.states > 5000
    assert found.transitions - ALLOWED == set()


@pytest.mark.scenario("L44", "B4")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_protocol_breaks_the_promise_that_its_rule_keeps(name: str) -> None:
    rules, begin, promise = BROKEN[name]
    found = explore(rules, begin)
    assert found.broken == promise, found.story()
    assert broken_at_the_end(found, rules, begin), "the trace leads nowhere"
    assert not explore(Rules(steps=rules.steps, batch=rules.batch), begin).broken, "the rule makes no difference"


def broken_at_the_end(found: Explored, rules: Rules, world: World) -> bool:
    """Walk along a counterexample by its moves' names, and say whether each was possible and only the last is bad."""
    worlds = {world}
    for move in found.trace:
        assert not all(violated(world) for world in worlds)
        worlds = {after for world in worlds for label, after in moves(world, rules) if label == move}
    return bool(worlds)


def test_the_model_moves_items_in_every_way_that_the_table_of_transitions_names() -> None:
    made = explore(*EVERY_MOVE).transitions
    assert ALLOWED & set(product(MODELLED, MODELLED)) - made == set(NOT_MODELLED)
    assert set(State) >= MODELLED
