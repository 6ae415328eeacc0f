"""Checks against schemas that somebody else wrote end in time, and say what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import schemas
from runtime.exceptions import InvalidInput
from runtime.schemas import check_schema, check_value

pytestmark = pytest.mark.plain

DOUBLED = {
    "$ref": "#/$defs/a0",
    "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {"a40": {"type": "string"}},
}
DEEPER = {
    "$defs": {"n": {"properties": {"x": {"allOf": [{"$ref": "#/$defs/n"}, {"$ref": "#/$defs/n"}]}}}},
    "$ref": "#/$defs/n",
}


def deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"x": value}
    return value


@pytest.mark.parametrize(
    ("schema", "value", "says"),
    [
        (DOUBLED, "x", "too large together"),
        (DEEPER, deep(60), "too large together"),
        ({"$ref": "#"}, 1, "refers to itself without end"),
        ({"type": "array", "items": {"allOf": [{"type": "integer"}] * 50}}, [1] * 1_000, "too large together"),
        ({"type": "string", "pattern": "^[a-z]+[a-z]+[a-z]+$"}, "a" * 5_000, "with its pattern it may have 493"),
        ({"patternProperties": {"^.*.*$": True}}, {"a" * 50_000: 1}, "too large together"),
        ({"additionalProperties": False, "patternProperties": {"^.*.*$": True}}, {"a" * 50_000: 1}, "too large"),
        ({"uniqueItems": True}, [{"n": 1}, {"n": 2}, {"n": 1.0}], "the same item more than once"),
    ],
    ids=["doubled", "deeper", "itself", "large", "pattern", "names", "other names", "unique"],
)
@pytest.mark.timeout(20)
def test_a_check_ends_and_says_why(schema: Any, value: Any, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "MOST_CHECKS", 10_000)
    check_schema(schema, "schema")
    with pytest.raises(InvalidInput, match=says):
        check_value(value, schema, "value")


@pytest.mark.timeout(20)
def test_many_items_are_compared_once_each() -> None:
    check_value([{"n": n} for n in range(50_000)], {"uniqueItems": True}, "value")
    check_value([1, True, "1", [1], None], {"uniqueItems": True}, "value")


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"properties": {"name": {"pattern": "(a+)+$"}}}, "may take for ever"),
        # What is a keyword in one place is a name in another.
        ({"properties": {"default": {"pattern": "(a+)+$"}}}, "may take for ever"),
        ({"patternProperties": {"(a|a)*b": {}}}, "may take for ever"),
        ({"pattern": "("}, "is not a .regex."),
        ({"items": {"unevaluatedProperties": False}}, "uses unevaluatedProperties"),
        ({"items": {"$schema": "http://json-schema.org/draft-07/schema#"}}, "names a draft below its head"),
        ({"description": "x" * 300_000}, "a schema has 262144 at most"),
        ({"type": "nonsense"}, "is no JSON schema"),
        ([], "a JSON schema is an object"),
    ],
)
def test_a_schema_that_could_not_be_checked_against_is_refused_when_it_is_handed_in(schema: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        check_schema(schema, "schema")


def test_a_wait_that_was_stored_before_is_checked_by_the_same_rules() -> None:
    with pytest.raises(InvalidInput, match="may take for ever"):
        check_value("a" * 40, {"pattern": "(a+)+$"}, "value")


def test_the_draft_of_the_head_counts() -> None:
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}
    check_schema(schema, "schema")
    with pytest.raises(InvalidInput, match="value: 1 is less than or equal to"):
        check_value(1, schema, "value")


def test_the_place_is_named() -> None:
    schema = {"type": "object", "properties": {"lines": {"items": {"type": "string", "pattern": r"^\d+$"}}}}
    with pytest.raises(InvalidInput, match=r"value\.lines\.1: 'x' does not match") as caught:
        check_value({"lines": ["1", "x"]}, schema, "value")
    assert caught.value.field == "value.lines.1"
    check_value({"lines": ["1", "2"]}, schema, "value")
