"""Make a form of a JSON schema: a field for each simple property, one field of checked JSON for what is not simple.

The form only helps to write the answer. Whether the schema allows it is for the operation to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from console.action_fields import ActionField, Kind, Option, Typed, values

WHOLE = "value"
"""Name of the one field of an answer that is no object of its own fields."""
MOST_FIELDS = 40
MOST_OPTIONS = 200
ONE_LINE = 200
FORMATS: dict[str, Kind] = {"date": "date", "date-time": "datetime", "time": "time"}
COMPOUND = frozenset({"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties"})


def fields_of(schema: Any, *, whole: str = "") -> tuple[ActionField, ...]:
    """Return the fields of an answer's form; `whole` is the label of the one field of an answer that has no others."""
    properties = _properties(schema)
    if properties is None:
        named = {"title": whole, **schema} if isinstance(schema, Mapping) else {"title": whole}
        return (_field(WHOLE, named, required=False),)
    needed = _needed(schema)
    return tuple(_field(f"{WHOLE}.{name}", inner, required=name in needed) for name, inner in properties.items())


def answer_of(given: Sequence[Typed]) -> Any:
    """Return the answer that a form makes. Raises `InvalidInput` for the first field that cannot be read."""
    return composed(values(given), given)


def composed(said: Mapping[str, Any], given: Sequence[Typed]) -> Any:
    """Return the answer that the values of these fields make."""
    if [one.field.name for one in given] == [WHOLE]:
        return said.get(WHOLE)
    return {name.removeprefix(f"{WHOLE}."): value for name, value in said.items()}


def _needed(schema: Mapping[str, Any]) -> list[Any]:
    """Return the names that are required; in draft 3 of JSON Schema that is a flag."""
    found = schema.get("required")
    return found if isinstance(found, list) else []


def _properties(schema: Any) -> Mapping[str, Any] | None:
    """Return the properties of an object whose form has a field for each, None for anything else."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object" or not COMPOUND.isdisjoint(schema):
        return None
    found = schema.get("properties")
    if not isinstance(found, Mapping) or not 0 < len(found) <= MOST_FIELDS:
        return None
    if not {*_needed(schema)} <= found.keys():
        return None
    return found if all(isinstance(inner, Mapping) for inner in found.values()) else None


def _field(name: str, schema: Mapping[str, Any], *, required: bool) -> ActionField:
    kind = _kind(schema)
    label = str(schema.get("title") or name.removeprefix(f"{WHOLE}.") if name != WHOLE else schema.get("title") or "")
    return ActionField(
        name=name,
        label=label or _("Answer"),
        help=" ".join(filter(None, [_said(schema), _how(kind)])),
        kind=kind,
        required=required,
        initial=_initial(kind, schema.get("default")),
        options=_options(kind, schema),
    )


def _kind(schema: Mapping[str, Any]) -> Kind:
    if not COMPOUND.isdisjoint(schema):
        return "json"
    choices = _choices(schema)
    if choices is not None:
        return "enum" if len(choices) <= MOST_OPTIONS else "json"
    wanted = _type(schema)
    if wanted == "array":
        items = schema.get("items")
        return "lines" if isinstance(items, Mapping) and _kind(items) in {"text", "longtext"} else "json"
    if wanted == "string":
        return _text_kind(schema)
    simple: dict[str, Kind] = {"integer": "integer", "number": "number", "boolean": "boolean"}
    return simple.get(wanted, "json")


def _text_kind(schema: Mapping[str, Any]) -> Kind:
    if (found := FORMATS.get(str(schema.get("format")))) is not None:
        return found
    short = "pattern" in schema or "format" in schema or schema.get("maxLength", ONE_LINE + 1) <= ONE_LINE
    return "text" if short else "longtext"


def _type(schema: Mapping[str, Any]) -> str:
    """Return the one type that a value may have beside null, nothing where there are several."""
    wanted = schema.get("type")
    kinds = [kind for kind in (wanted if isinstance(wanted, list) else [wanted]) if kind != "null"]
    return str(kinds[0]) if len(kinds) == 1 else ""


def _choices(schema: Mapping[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    found = schema.get("enum")
    return found if isinstance(found, list) else None


def _options(kind: Kind, schema: Mapping[str, Any]) -> tuple[Option, ...]:
    if kind == "boolean":
        return (Option(value="true", label=_("yes")), Option(value="false", label=_("no")))
    if kind != "enum":
        return ()
    return tuple(
        Option(value=_encoded(one), label=one if isinstance(one, str) else _encoded(one))
        for one in _choices(schema) or ()
    )


def _initial(kind: Kind, default: Any) -> str:
    if default is None or kind in {"date", "datetime", "time"}:
        return default if isinstance(default, str) else ""
    if kind == "lines":
        return "\n".join(map(str, default)) if isinstance(default, list) else ""
    if kind in {"text", "longtext"}:
        return str(default)
    return _encoded(default)


def _encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _said(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description") or "")


def _how(kind: Kind) -> str:
    if kind == "lines":
        return _("One on each line.")
    return _("JSON; texts in quotes.") if kind == "json" else ""
