"""What a person may say besides the reason when a verb is confirmed: a version, a state, an answer."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from runtime.exceptions import InvalidInput
from runtime.sentences import translated

# fmt: off
Kind = Literal[
    "json", "whole", "integer", "number", "text", "longtext", "boolean", "choice", "enum", "date", "datetime", "time",
    "lines",
]
# fmt: on
AREAS = frozenset({"json", "longtext", "lines"})
SELECTS = frozenset({"boolean", "choice", "enum"})
NATIVE = {"date": "date", "datetime": "datetime-local", "time": "time"}
MAX_DIGITS = 18


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One choice: what is posted, and what is read."""

    value: str
    label: str | Promise


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionField:
    """One field of a confirm page. `name` is the operation's argument; left empty, the argument is not given.

    A `required` one must not be left empty. `options` are those of a choice, which `options_of` finds for the rows that
    are to be changed; those of an "enum" are JSON. `initial` stands in the form at first.
    `needed_by` tells the rows that change only if it is given: the form says how many, and asks for it where all do.
    """

    name: str
    label: str | Promise
    help: str | Promise
    kind: Kind
    required: bool = False
    initial: str = ""
    options: tuple[Option, ...] = ()
    options_of: Callable[[Sequence[Any]], list[Option]] | None = None
    needed_by: Callable[[Any], bool] | None = None

    @property
    def posted_as(self) -> str:
        """The field's name in the form."""
        return f"value-{self.name}"

    @property
    def widget(self) -> str:
        """What the page shows: "area", "select" or "input"."""
        return "area" if self.kind in AREAS else "select" if self.kind in SELECTS else "input"

    @property
    def input_type(self) -> str:
        """The type of the input element."""
        return NATIVE.get(self.kind, "text")

    @property
    def input_mode(self) -> str:
        """The keyboard that a phone shows."""
        return {"whole": "numeric", "number": "decimal"}.get(self.kind, "text")

    def offering(self, rows: Sequence[Any]) -> ActionField:
        """Return the field with the options that there are for these rows; one that is needed and alone is chosen."""
        if self.needed_by is not None:
            return self._needed(sum(map(self.needed_by, rows)), len(rows))
        if self.options_of is None:
            return self
        options = tuple(self.options_of(rows))
        alone = options[0].value if self.required and len(options) == 1 else self.initial
        return replace(self, options=options, initial=alone)

    def _needed(self, count: int, of: int) -> ActionField:
        if not count:
            return self
        note = ngettext(
            "%(count)d of these changes only if you say it.", "%(count)d of these change only if you say it.", count
        )
        return replace(self, help=f"{self.help} {note % {'count': count}}", required=count == of)

    def read(self, text: str) -> Any:
        """Return what was typed as a value. Raises `InvalidInput` that names the field and the place."""
        return READERS[self.kind](text, str(self.label))


@dataclass(frozen=True, kw_only=True, slots=True)
class Typed:
    """A field and the text that is in it, and what is wrong with that."""

    field: ActionField
    text: str
    error: str = ""


def typed(fields: tuple[ActionField, ...], form: Mapping[str, str]) -> list[Typed]:
    """Return the fields with what a form has in them."""
    return [Typed(field=field, text=form.get(field.posted_as, field.initial)) for field in fields]


def values(given: Sequence[Typed]) -> dict[str, Any]:
    """Return the arguments that were given. Raises `InvalidInput` for the first that is missing or cannot be read."""
    found, told = read_each(given)
    for one in told:
        if one.error:
            raise InvalidInput(one.error, field=str(one.field.label))
    return found


def read_each(given: Sequence[Typed]) -> tuple[dict[str, Any], list[Typed]]:
    """Return the arguments that were given, and the fields with what is wrong with each. Raises nothing."""
    found: dict[str, Any] = {}
    told: list[Typed] = []
    for one in given:
        try:
            if one.text.strip():
                found[one.field.name] = one.field.read(one.text)
            elif one.field.required:
                raise _refused(str(one.field.label), _("this is needed."))
        except InvalidInput as error:
            told.append(replace(one, error=translated(error)))
        else:
            told.append(one)
    return found, told


def told_at(fields: Sequence[Typed], place: str, message: str) -> list[Typed] | None:
    """Return the fields with the message at the one that a place such as `name.0.key` is in, None if none is."""
    names = [one.field.name for one in fields if f"{place}.".replace("[", ".").startswith(f"{one.field.name}.")]
    if not names:
        return None
    name = max(names, key=len)
    return [replace(one, error=message) if one.field.name == name else one for one in fields]


def _refused(label: str, wrong: str) -> InvalidInput:
    return InvalidInput(f"{label}: {wrong}", field=label)


def _whole(text: str, label: str) -> int:
    if not text.strip().isdecimal() or len(text.strip()) > MAX_DIGITS:
        raise _refused(label, _("this is no whole number, 0 or more."))
    return int(text)


def _integer(text: str, label: str) -> int:
    digits = text.strip()
    unsigned = digits[1:] if digits[:1] in "+-" else digits
    if not unsigned.isdecimal() or len(unsigned) > MAX_DIGITS:
        raise _refused(label, _("this is no whole number."))
    return int(digits)


def _number(text: str, label: str) -> int | float:
    try:
        return _integer(text, label)
    except InvalidInput:
        pass
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise _refused(label, _("this is no number, such as 12 or 0.5."))
    return found


def _json(text: str, label: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        told = {"field": label, "error": error.msg, "line": error.lineno, "column": error.colno}
        message = _("%(field)s: this is no JSON: %(error)s (line %(line)d, column %(column)d).") % told
        raise InvalidInput(message, field=label) from None
    except (ValueError, RecursionError):
        message = _("%(field)s: this JSON is nested too deeply, or has a number that is too long.") % {"field": label}
        raise InvalidInput(message, field=label) from None


def _boolean(text: str, label: str) -> bool:
    if text.strip() not in ("true", "false"):
        raise _refused(label, _("choose one of the answers that are offered."))
    return text.strip() == "true"


def _text(text: str, _label: str) -> str:
    return text.strip()


def _longtext(text: str, _label: str) -> str:
    return text.replace("\r\n", "\n")


def _lines(text: str, _label: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _date(text: str, label: str) -> str:
    try:
        return dt.date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise _refused(label, _("this is no date, such as 2026-03-31.")) from None


def _time(text: str, label: str) -> str:
    try:
        return dt.time.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise _refused(label, _("this is no time, such as 17:30.")) from None


def _datetime(text: str, label: str) -> str:
    """Return a moment with its offset; one without is meant in the time zone of the page."""
    try:
        found = dt.datetime.fromisoformat(text.strip())
        return (timezone.make_aware(found) if timezone.is_naive(found) else found).isoformat()
    except (ValueError, OverflowError):
        raise _refused(label, _("this is no date with a time, such as 2026-03-31T17:30.")) from None


READERS: dict[str, Callable[[str, str], Any]] = {
    "json": _json,
    "whole": _whole,
    "integer": _integer,
    "number": _number,
    "text": _text,
    "longtext": _longtext,
    "boolean": _boolean,
    "choice": _text,
    "enum": _json,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "lines": _lines,
}
"""How the text of each kind of field becomes a value."""
