from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import conditions
from runtime.exceptions import InvalidInput

pytestmark = pytest.mark.plain

SCOPE: dict[str, Any] = {
    "result": {"status": "down", "count": 3, "items": [{"name": "a"}, {"name": "b"}], "odd key": 1, "none": None},
    "payload": {"quiet": False, "tags": ["x", "y"], "ratio": 0.5},
    "state": None,
    "error": {"code": "timeout"},
    "item": {"id": "1", "engine": "watch"},
}


@pytest.mark.scenario("L33")
@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('result.status == "down"', True),
        ("result.status == 'up'", False),
        ("result.count >= 3 and result.count < 4", True),
        ("result.count == 3.0", True),
        ("result.count == true", False),
        ("not payload.quiet", True),
        ("not not payload.quiet", False),
        ("payload.quiet or result.count > 2", True),
        ("payload.quiet and result.nowhere or result.count > 2", True),
        ("payload.quiet and (result.nowhere or result.count > 2)", False),
        ("result.items[1].name == 'b'", True),
        ("result.items[-1].name == 'b'", True),
        ("result.items[7].name == null", True),
        ('result["odd key"] == 1', True),
        ("result.none == null and result.missing == null", True),
        ("state.anything.at[3].all", False),
        ("'x' in payload.tags", True),
        ("'tim' in error.code", True),
        ("'code' in error", True),
        ("error.code in ['timeout', 'other', 1, null]", True),
        ("1 in payload.tags", False),
        ("result.status < 5", False),
        ("result.status >= 5", False),
        ("result.items < result.items", False),
        ("result.status != 5", True),
        ("payload.ratio <= 5e-1", True),
        ("result.count > -1", True),
        ("[] == []", True),
        ("true", True),
        ("null", False),
        (r"'it\'s' == " + '"it\'s"', True),
        ("item.engine == 'watch'", True),
        ("result.and == null", True),
    ],
)
def test_a_condition_is_what_it_says(text: str, holds: bool) -> None:
    assert conditions.condition(text).holds(SCOPE) is holds


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "result ==",
            "== 1",
            "result.",
            "result[",
            "result[1",
            "result[x]",
            "(result",
            "result)",
            "result 1",
        ),
        *("other.thing", "__import__('os')", "result.__class__()", "result; 1", "result = 1", "1 < 2 < 3", "[1 2]"),
        *("result[1.5]", "result[99999999999]", "'open", "and", "not", "in [1]", "[result]", "01 == 1", "é == 1"),
        *("(" * 30 + "true" + ")" * 30, "x" * 501, "result == 1e", "lambda: 1", "result['a'"),
    ],
)
def test_what_is_no_condition_is_refused_with_words(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        conditions.condition(text)
    assert caught.value.field == "condition"
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("value", [None, 1, ["a"], b"true"])
def test_only_text_is_a_condition(value: Any) -> None:
    with pytest.raises((InvalidInput, TypeError)):
        conditions.condition(value)


def test_attributes_and_calls_are_out_of_reach() -> None:
    assert conditions.path("result.__class__.__mro__").value(SCOPE) is None
    assert conditions.path("payload.tags.append").value(SCOPE) is None
    assert conditions.path("error.code[0]").value(SCOPE) is None


@given(st.text(alphabet="result.payload[]()'\" and or not in <>=!0123456789,-\\", max_size=80))
def test_any_text_is_read_or_refused_quickly(text: str) -> None:
    began = time.thread_time()
    with contextlib.suppress(InvalidInput):
        conditions.condition(text).holds(SCOPE)
    assert time.thread_time() - began < 1


@pytest.mark.scenario("L33")
def test_a_payload_map_takes_values_and_keeps_the_rest() -> None:
    mapped = {"url": "$result.items[0].name", "deep": [{"code": "$error.code"}, 5], "$price": "$$5", "gone": "$state.x"}
    assert conditions.filled(mapped, SCOPE) == {
        "url": "a", "deep": [{"code": "timeout"}, 5], "$price": "$5", "gone": None,
    }  # fmt: skip
    assert conditions.filled("$result", SCOPE) is SCOPE["result"]
    assert conditions.roots_of(mapped) == {"result", "error", "state"}


def test_a_payload_map_with_bad_paths_is_refused() -> None:
    for mapped in ({"a": "$other"}, ["$"], "$result[", {"a": ["$result"] * 1001}):
        with pytest.raises(InvalidInput) as caught:
            conditions.roots_of(mapped)
        assert caught.value.field == "payload"
    nested: Any = "$result"
    for _ in range(30):
        nested = [nested]
    with pytest.raises(InvalidInput, match="nested"):
        conditions.roots_of(nested)
