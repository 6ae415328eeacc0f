"""Check JSON schemas, and values against them. Nothing is ever fetched: a schema refers to itself alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.exceptions import InvalidInput

MAX_MESSAGE = 500


def check_schema(schema: Mapping[str, Any], field: str) -> None:
    """Raise `InvalidInput` unless this is a JSON schema (the draft that `$schema` names, else 2020-12)."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(schema, Mapping):
        raise InvalidInput(f"{field} is a {type(schema).__name__}; a JSON schema is an object.", field=field)
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise InvalidInput(f"{field} is no JSON schema: {error.message[:MAX_MESSAGE]}", field=field) from error


def check_value(value: Any, schema: Mapping[str, Any], field: str) -> None:
    """Raise `InvalidInput`, naming the place, unless the schema allows the value."""
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = validator_for(schema)(schema, registry=Registry())
    try:
        error = best_match(validator.iter_errors(value))
    except Unresolvable as unknown:
        raise InvalidInput(f"The schema of {field} refers to what it does not hold: {unknown}", field=field) from None
    if error is not None:
        place = ".".join([field, *(str(part) for part in error.absolute_path)])
        raise InvalidInput(f"{place}: {error.message[:MAX_MESSAGE]}", field=place)
