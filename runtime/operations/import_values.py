"""Check the values of an imported document against the columns they are for. Nothing in it is trusted."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.db import models
from django.db.models import Model
from django.utils.dateparse import parse_datetime

from runtime import jsondata
from runtime.exceptions import InvalidInput
from runtime.queries.export import columns

YEARS = (1900, 9000)
_WHOLE = {"SmallIntegerField": 15, "IntegerField": 31, "PositiveIntegerField": 31, "BigIntegerField": 63}


def row(model: type[Model], given: Any, where: str, *, without: Collection[str]) -> dict[str, Any]:
    """Return the values of a row by column, each of the type and the bounds of its column; the rest is left alone.

    A column that is missing takes its default. Raises `InvalidInput` that names the place.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{where} is a {type(given).__name__}; it must be an object.", field=where)
    found: dict[str, Any] = {}
    for field in columns(model, without):
        place = f"{where}.{field.attname}"
        if field.attname in given:
            found[field.attname] = _value(field, given[field.attname], place)
        elif not (field.null or field.has_default() or field.has_db_default()):
            raise InvalidInput(f"{place} is missing.", field=place)
    return found


def _value(field: Any, value: Any, where: str) -> Any:
    if value is None and field.null:
        return None
    checked = _CHECKS[_kind(field)](field, value)
    if checked is None:
        raise InvalidInput(f"{where} cannot be {value!r:.80}.", field=where)
    return checked[0]


def _kind(field: Any) -> str:
    for kind in ("JSONField", "BooleanField", "FloatField", "DateTimeField", "UUIDField", "CharField", "TextField"):
        if isinstance(field, getattr(models, kind)):
            return kind
    return "UUIDField" if isinstance(field, models.ForeignKey) else "IntegerField"


Checked = tuple[Any] | None


def _json(field: Any, value: Any) -> Checked:
    jsondata.check(value, field.attname)
    return (value,)


def _text(field: Any, value: Any) -> Checked:
    if not isinstance(value, str) or (field.max_length is not None and len(value) > field.max_length):
        return None
    chosen = {choice for choice, _label in field.flatchoices} | ({""} if field.blank else set())
    if field.choices and value not in chosen:
        return None
    jsondata.check(value, field.attname)
    return (value,)


def _whole(field: Any, value: Any) -> Checked:
    bits = _WHOLE.get(field.get_internal_type(), 63)
    low = 0 if field.get_internal_type() == "PositiveIntegerField" else -(2**bits)
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value < 2**bits
    return (value,) if fits else None


def _float(field: Any, value: Any) -> Checked:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return (float(value),) if math.isfinite(float(value)) else None
    except OverflowError:
        return None


def _moment(field: Any, value: Any) -> Checked:
    try:
        found = parse_datetime(value) if isinstance(value, str) else None
        # At the ends of the calendar there is no other time zone to show a moment in.
        fits = found is not None and found.tzinfo is not None and YEARS[0] <= found.year <= YEARS[1]
        return (found.astimezone(dt.UTC),) if found is not None and fits else None
    except (ValueError, OverflowError):
        return None


def _id(field: Any, value: Any) -> Checked:
    try:
        return (uuid.UUID(value),) if isinstance(value, str) else None
    except ValueError:
        return None


_CHECKS: dict[str, Any] = {
    "JSONField": _json,
    "BooleanField": lambda field, value: (value,) if isinstance(value, bool) else None,
    "FloatField": _float,
    "DateTimeField": _moment,
    "UUIDField": _id,
    "CharField": _text,
    "TextField": _text,
    "IntegerField": _whole,
}
