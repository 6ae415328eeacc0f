"""Read the fields of an engine's payload and refuse what it cannot work on, each with one clear error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from runtime.exceptions import InvalidInput
from runtime.weblinks import url_trouble


def check_fields(payload: Any, *, required: Iterable[str], optional: Iterable[str] = ()) -> Mapping[str, Any]:
    """Return the payload if it is an object with all of `required` and nothing beyond both. Raises `InvalidInput`."""
    required = tuple(required)
    known = (*required, *optional)
    if not isinstance(payload, Mapping):
        raise InvalidInput(
            f"The payload must be a JSON object with {', '.join(known)}; it is {_kind(payload)}.", field="payload"
        )
    missing = [name for name in required if name not in payload]
    if missing:
        raise InvalidInput(f"The payload lacks {', '.join(missing)}.", field=f"payload.{missing[0]}")
    unknown = sorted(set(payload) - set(known))
    if unknown:
        raise InvalidInput(
            f"The payload has unknown fields: {', '.join(unknown)}. Known are {', '.join(known)}.",
            field=f"payload.{unknown[0]}",
        )
    return payload


def check_integer(payload: Mapping[str, Any], name: str, *, low: int, high: int) -> None:
    """Raise `InvalidInput` unless the field is absent or a whole number between the bounds."""
    value = payload.get(name, low)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(f"{name} is {value!r}; it must be a whole number, {low} to {high}.", field=f"payload.{name}")


def check_number(payload: Mapping[str, Any], name: str, *, low: float, high: float) -> None:
    """Raise `InvalidInput` unless the field is absent or a number between the bounds."""
    value = payload.get(name, low)
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high:
        raise InvalidInput(f"{name} is {value!r}; it must be a number, {low:g} to {high:g}.", field=f"payload.{name}")


def check_text(payload: Mapping[str, Any], name: str, *, longest: int) -> None:
    """Raise `InvalidInput` unless the field is absent or text of at most `longest` characters."""
    value = payload.get(name, "")
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be text; it is {_kind(value)}.", field=f"payload.{name}")
    if len(value) > longest:
        raise InvalidInput(f"{name} has {len(value)} characters; at most {longest} are taken.", field=f"payload.{name}")


def check_url(payload: Mapping[str, Any], name: str) -> None:
    """Raise `InvalidInput` unless the field is an http or https address without a user name."""
    value = payload[name]
    trouble = "it is no text" if not isinstance(value, str) else url_trouble(value)
    if trouble:
        raise InvalidInput(f"{name} is {value!r:.200}: {trouble}. Give an http or https URL.", field=f"payload.{name}")


def _kind(value: Any) -> str:
    return "nothing (null)" if value is None else f"a {type(value).__name__}"
