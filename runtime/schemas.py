"""Check JSON schemas, and values against them, in bounded time. Nothing is fetched: a schema refers to itself alone.

Steps hand on schemas that agents wrote, and anybody who may answer sends a value. So a check counts what it looks at
and gives up at `MOST_CHECKS`; items are compared by what they are, not each with each; patterns are looked at before
they are matched (`runtime.patterns`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any

from runtime import patterns
from runtime.exceptions import InvalidInput
from runtime.sentences import say as _

MAX_MESSAGE = 500
MOST_CHECKS = 100_000
"""Keywords that one check looks at: a few seconds of work."""
MAX_SCHEMA_BYTES = 256 * 1024
UNCOUNTED = frozenset({"unevaluatedItems", "unevaluatedProperties"})
"""Keywords that go through the schema once more by themselves, without being counted."""

_left: ContextVar[list[int]] = ContextVar("roost_schema_checks_left")


class _TooMuch(Exception):
    """The check has looked at as much as it may."""


def check_schema(schema: Mapping[str, Any], field: str) -> None:
    """Raise `InvalidInput` unless this is a JSON schema (the draft that `$schema` names, else 2020-12).

    Refused are also patterns that may take for ever, and keywords whose work cannot be bounded.
    """
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(schema, Mapping):
        raise InvalidInput(
            _("%(field)s is a %(kind)s; a JSON schema is an object.", field=field, kind=type(schema).__name__),
            field=field,
        )
    try:
        if (size := len(json.dumps(schema))) > MAX_SCHEMA_BYTES:
            raise InvalidInput(
                _(
                    "%(field)s has %(size)s bytes; a schema has %(max_schema_bytes)s at most.",
                    field=field,
                    size=size,
                    max_schema_bytes=MAX_SCHEMA_BYTES,
                ),
                field=field,
            )
        validator_for(schema).check_schema(schema)
        _bounded(schema, field)
    except InvalidInput:
        raise
    except SchemaError as error:
        raise InvalidInput(
            _("%(field)s is no JSON schema: %(message)s", field=field, message=error.message[:MAX_MESSAGE]), field=field
        ) from error
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput(
            _("%(field)s is no JSON schema: it is no JSON, or nested too deeply.", field=field), field=field
        ) from None


def check_value(value: Any, schema: Mapping[str, Any], field: str) -> None:
    """Raise `InvalidInput`, naming the place, unless the schema allows the value."""
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    left = _left.set([MOST_CHECKS])
    try:
        validator = _counting(validator_for(schema))(_bounded(schema, field), registry=Registry())
        error = best_match(validator.iter_errors(value))
    except Unresolvable as unknown:
        raise InvalidInput(
            _("The schema of %(field)s refers to what it does not hold: %(unknown)s", field=field, unknown=unknown),
            field=field,
        ) from None
    except RecursionError:
        raise InvalidInput(
            _("The schema of %(field)s refers to itself without end.", field=field), field=field
        ) from None
    except _TooMuch:
        raise InvalidInput(
            _("%(field)s was not checked to its end: it and its schema are too large together.", field=field),
            field=field,
        ) from None
    finally:
        _left.reset(left)
    if error is not None:
        place = ".".join([field, *(str(part) for part in error.absolute_path)])
        raise InvalidInput(_("%(place)s: %(message)s", place=place, message=error.message[:MAX_MESSAGE]), field=place)


def _bounded(schema: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return the schema without the name of its draft, by which parts of it would be checked uncounted.

    Raises `InvalidInput` for what cannot be checked in bounded time, wherever it stands: what is a keyword in one place
    is a name in another.
    """
    found = {name: inner for name, inner in schema.items() if name != "$schema"}
    _refuse(found, field)
    return found


def _refuse(schema: Any, field: str) -> None:
    if isinstance(schema, list):
        for inner in schema:
            _refuse(inner, field)
    if not isinstance(schema, Mapping):
        return
    if forbidden := UNCOUNTED & schema.keys():
        raise InvalidInput(
            _("%(field)s uses %(name)s, which is not taken here.", field=field, name=min(forbidden)), field=field
        )
    if isinstance(schema.get("$schema"), str):
        raise InvalidInput(
            _("%(field)s names a draft below its head, which is not taken here.", field=field), field=field
        )
    for pattern in _patterns(schema):
        if trouble := patterns.trouble(pattern):
            raise InvalidInput(
                _(
                    "The pattern %(pattern)r of %(field)s is not taken: %(trouble)s.",
                    pattern=pattern[:80],
                    field=field,
                    trouble=trouble,
                ),
                field=field,
            )
    for inner in schema.values():
        _refuse(inner, field)


def _patterns(schema: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(one := schema.get("pattern"), str):
        yield one
    if isinstance(several := schema.get("patternProperties"), Mapping):
        yield from several


@cache
def _counting(draft: Any) -> Any:
    """Return the draft's validator, each of whose keywords counts."""
    from jsonschema.validators import extend

    keywords = {**draft.VALIDATORS, "pattern": _pattern, "uniqueItems": _unique_items}
    for name in ("additionalProperties", "patternProperties"):
        keywords[name] = _short_names(draft.VALIDATORS[name])
    return extend(draft, {name: _counted(check) for name, check in keywords.items()})


def _counted(check: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(check)
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        left = _left.get()
        left[0] -= 1 + (len(instance) // 10 if isinstance(instance, list | dict) else 0)
        if left[0] < 0:
            raise _TooMuch
        return check(validator, value, instance, schema)

    return counted


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if not isinstance(instance, str):
        return
    if len(instance) > (most := patterns.longest(pattern)):
        yield ValidationError(f"has {len(instance)} characters; with its pattern it may have {most}")
    elif not re.search(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _short_names(check: Callable[..., Any]) -> Callable[..., Any]:
    """Return the keyword's check for names that are short enough for the patterns beside it."""

    @wraps(check)
    def short(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        given = schema.get("patternProperties") or {}
        if isinstance(instance, dict) and given:
            most = min(map(patterns.longest, given))
            if any(len(name) > most for name in instance):
                raise _TooMuch
        yield from check(validator, value, instance, schema) or ()

    return short


def _unique_items(validator: Any, wanted: bool, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if wanted and isinstance(instance, list) and len({_identity(one) for one in instance}) < len(instance):
        yield ValidationError("has the same item more than once")


def _identity(value: Any) -> str:
    """Return a text that two JSON values have in common if they are the same: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
