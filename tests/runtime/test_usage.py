"""What may be said of tokens and money, and how it adds up."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest

from runtime.exceptions import InvalidInput
from runtime.queries.words import spent
from runtime.usage import MOST, Tally, told_in

pytestmark = pytest.mark.plain


def test_what_is_used_adds_up_and_is_rounded_once() -> None:
    tally = Tally()
    for _ in range(3):
        tally.add(5, 0.0000005)
    tally.add(0, Decimal("1.1"))
    tally.add(2, 3)
    assert tally.totals == (17, 4_100_002)


@pytest.mark.parametrize("tokens", [-1, 1.0, True, "5", None, MOST + 1])
def test_tokens_are_a_whole_number(tokens: Any) -> None:
    tally = Tally()
    with pytest.raises(InvalidInput, match="tokens"):
        tally.add(tokens, 1)
    assert tally.totals == (0, 0)


@pytest.mark.parametrize(
    "cost", [-1, -0.1, Decimal(-1), float("nan"), float("inf"), Decimal("sNaN"), True, "5", None, 10**10]
)
def test_a_cost_is_a_finite_number_of_dollars(cost: Any) -> None:
    tally = Tally()
    with pytest.raises(InvalidInput, match=r"cost|microdollars"):
        tally.add(1, cost)
    assert tally.totals == (0, 0)


def test_threads_may_add_at_once() -> None:
    tally = Tally()
    threads = [threading.Thread(target=lambda: [tally.add(1, 0.000001) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.totals == (2000, 2000)


@pytest.mark.parametrize(
    ("used", "words"),
    [
        ((0, 0), ""),
        ((12_345, 0), "12,345 tokens"),
        ((0, 31_200), "$0.0312"),
        ((1, 1_500_000), "1 tokens, $1.50"),
        ((0, 2_000_000_001), "$2,000.000001"),
    ],
)
def test_people_read_it_in_tokens_and_dollars(used: tuple[int, int], words: str) -> None:
    assert spent(*used) == words


@pytest.mark.parametrize("data", [None, [], {}, {"usage": 7}, {"delay": 1}])
def test_an_event_without_usage_tells_none(data: Any) -> None:
    assert told_in(data) == (0, 0)
