"""Forms made of JSON schemas."""

from __future__ import annotations

from typing import Any

import pytest

from console.action_fields import Typed, typed
from console.schema_fields import answer_of, fields_of


def kinds(schema: Any) -> dict[str, str]:
    return {field.name: field.kind for field in fields_of(schema)}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (None, "json"),
        (True, "json"),
        ({}, "json"),
        ({"type": "string"}, "longtext"),
        ({"type": "string", "maxLength": 40}, "text"),
        ({"type": ["string", "null"], "pattern": "^a"}, "text"),
        ({"type": "integer"}, "integer"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"enum": ["a", 1]}, "enum"),
        ({"const": 7}, "enum"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "date-time"}, "datetime"),
        ({"type": "array", "items": {"type": "string"}}, "lines"),
        ({"type": "array", "items": {"type": "integer"}}, "json"),
        ({"type": "array"}, "json"),
        ({"type": ["string", "integer"]}, "json"),
        ({"anyOf": [{"type": "string"}]}, "json"),
        ({"type": "object"}, "json"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "oneOf": [{}]}, "json"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "json"),
        ({"type": "object", "properties": {"a": True}}, "json"),
    ],
)
def test_a_simple_value_has_a_field_of_its_kind_and_any_other_is_json(schema: Any, kind: str) -> None:
    assert kinds(schema) == {"value": kind}


def test_an_object_of_simple_properties_has_a_field_for_each() -> None:
    schema = {"type": "object", "properties": {"a b": {"type": "integer"}, "c": {"$ref": "#"}}, "required": ["c"]}
    first, second = fields_of(schema)
    assert (first.name, first.kind, first.required) == ("value.a b", "integer", False)
    assert (second.name, second.kind, second.required) == ("value.c", "json", True)


def test_what_is_left_empty_is_not_said() -> None:
    fields = fields_of({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}})
    assert answer_of(typed(fields, {"value-value.b": "false"})) == {"b": False}
    assert answer_of(typed(fields, {})) == {}
    assert answer_of(typed(fields_of(None), {})) is None


def test_defaults_stand_in_the_form() -> None:
    properties = {
        "text": {"type": "string", "default": "x"},
        "flag": {"type": "boolean", "default": True},
        "list": {"type": "array", "items": {"type": "string"}, "default": ["a", "b"]},
        "pick": {"enum": ["é", None], "default": "é"},
        "any": {"default": {"a": 1}},
    }
    given = typed(fields_of({"type": "object", "properties": properties}), {})
    assert answer_of(given) == {"text": "x", "flag": True, "list": ["a", "b"], "pick": "é", "any": {"a": 1}}
    pick = next(one for one in given if one.field.name == "value.pick")
    assert pick.text in {option.value for option in pick.field.options}


def test_a_time_without_an_offset_is_meant_where_the_page_is(settings: Any) -> None:
    settings.TIME_ZONE = "UTC"
    [field] = fields_of({"type": "string", "format": "date-time"})
    assert answer_of([Typed(field=field, text="2026-03-31T17:30")]) == "2026-03-31T17:30:00+00:00"
    assert answer_of([Typed(field=field, text="2026-03-31T17:30:00+02:00")]) == "2026-03-31T17:30:00+02:00"


def test_draft_3_says_of_a_property_that_it_is_required() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": True}
    assert kinds(schema) == {"value.a": "longtext"}
