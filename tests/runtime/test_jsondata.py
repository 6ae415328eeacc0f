"""What JSON holds exactly goes through unchanged; everything else is refused with its place."""

from __future__ import annotations

import enum
import json
import math
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.exceptions import InvalidInput, NotJSON
from runtime.jsondata import check, dumps, loads

pytestmark = pytest.mark.plain

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=30,
)
ANYTHING = st.recursive(
    st.none() | st.floats() | st.text() | st.binary() | st.integers() | st.decimals(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.integers()),
    max_leaves=10,
)


class Colour(enum.StrEnum):
    RED = "red"


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@given(JSON)
def test_plain_data_comes_back_equal(value: Any) -> None:
    text = dumps(value)
    assert loads(text) == value
    assert dumps(loads(text)) == text


@given(ANYTHING)
def test_anything_else_is_refused_with_one_error_and_nothing_odd_gets_through(value: Any) -> None:
    try:
        text = dumps(value)
    except NotJSON:
        return
    assert "\x00" not in text
    assert json.loads(text.encode(), parse_constant=pytest.fail) == value


def test_the_text_is_compact_and_readable() -> None:
    assert dumps({"a": [1, 2.5, None, True], "ü": "é"}) == '{"a":[1,2.5,null,true],"ü":"é"}'


def test_tuples_are_taken_as_lists() -> None:
    assert dumps((1, (2,))) == "[1,[2]]"


@pytest.mark.scenario("L15", "B19")
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (math.nan, "payload is nan"),
        ({"a": {"b": [math.inf]}}, r"payload\.a\.b is inf"),
        ([-math.inf], "payload is -inf"),
        ("a\x00b", "NUL"),
        ({"a\x00": 1}, "NUL"),
        ({"a": ["\x00"]}, "NUL"),
        ("\ud800", "lone surrogate at position 0"),
        ({"a": "ok \udfff"}, "lone surrogate at position 3"),
        ({"\ud83d": 1}, "lone surrogate"),
        ({1: "a"}, "has the key 1"),
        ({None: "a"}, "has the key None"),
        ({("a",): "a"}, "has the key"),
        ({1, 2}, "holds a set"),
        (b"bytes", "holds a bytes"),
        (Decimal(1), "holds a Decimal"),
        (uuid.uuid4(), "holds a UUID"),
        ({"x": Colour.RED}, r"payload\.x holds a Colour"),
        (object(), "holds a object"),
        ([10**5000], "4,200 digits"),
    ],
)
def test_what_json_cannot_hold_is_refused_and_the_place_is_named(value: Any, says: str) -> None:
    with pytest.raises(NotJSON, match=says) as caught:
        dumps(value, what="payload")
    assert isinstance(caught.value, InvalidInput)
    assert caught.value.field.startswith("payload")


def test_a_pair_of_surrogates_that_is_one_letter_passes() -> None:
    assert loads(dumps("\U0001f426")) == "🐦"


@pytest.mark.scenario("L15")
def test_nesting_beyond_the_limit_is_refused(settings: Any) -> None:
    dumps(nested(100))
    with pytest.raises(NotJSON, match="ROOST_MAX_JSON_DEPTH"):
        dumps(nested(101))
    settings.ROOST_MAX_JSON_DEPTH = 3
    with pytest.raises(NotJSON):
        dumps(nested(4))
    check(nested(4), depth=4)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotJSON, match="nested deeper"):
        dumps(value)


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("letter", ["a", "é", "🐦"])
def test_the_limit_counts_bytes_and_not_letters(letter: str) -> None:
    value = letter * 100
    size = len(json.dumps(value, ensure_ascii=False).encode())
    assert loads(dumps(value, max_bytes=size)) == value
    with pytest.raises(NotJSON, match=f"is {size} bytes of JSON; at most {size - 1} are allowed"):
        dumps(value, max_bytes=size - 1)


@given(JSON, st.integers(0, 200))
def test_the_limit_is_exact_for_every_value(value: Any, limit: int) -> None:
    size = len(dumps(value).encode())
    if size <= limit:
        dumps(value, max_bytes=limit)
    else:
        with pytest.raises(NotJSON):
            dumps(value, max_bytes=limit)
