"""What a person may say besides the reason when a verb is confirmed: a version, a state, an input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from runtime.exceptions import InvalidInput


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionField:
    """One field of a confirm page. `name` is the operation's argument; left empty, the argument is not given."""

    name: str
    label: str | Promise
    help: str | Promise
    kind: Literal["json", "whole"]

    @property
    def posted_as(self) -> str:
        """The field's name in the form."""
        return f"value-{self.name}"

    def read(self, text: str) -> Any:
        """Return what was typed as a value. Raises `InvalidInput` that names the field and the place."""
        return _whole(text, str(self.label)) if self.kind == "whole" else _json(text, str(self.label))


@dataclass(frozen=True, kw_only=True, slots=True)
class Typed:
    """A field and the text that is in it."""

    field: ActionField
    text: str


def typed(fields: tuple[ActionField, ...], form: Mapping[str, str]) -> list[Typed]:
    """Return the fields with what a form has in them."""
    return [Typed(field=field, text=form.get(field.posted_as, "")) for field in fields]


def values(given: list[Typed]) -> dict[str, Any]:
    """Return the arguments that were given. Raises `InvalidInput` for the first that cannot be read."""
    return {one.field.name: one.field.read(one.text) for one in given if one.text.strip()}


def _whole(text: str, label: str) -> int:
    if not text.strip().isdecimal() or len(text.strip()) > 18:
        raise InvalidInput(_("%(field)s: this is no whole number, 0 or more.") % {"field": label}, field=label)
    return int(text)


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
