"""Read a request's body: JSON, as large, as deep and as plain as may be stored."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser

from console.api.problems import Refusal
from runtime import jsondata
from runtime.conf import settings as roost
from runtime.exceptions import NotJSON

ENVELOPE = 4
"""How much deeper a body may be than what is stored: it stands in a field of an item in a list."""


class StrictParser(Parser):
    """Takes JSON that Roost could store, and says what is wrong with any other."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the value of the body. Raises `Refusal` (400)."""
        try:
            found = json.loads(request.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise _bad(f"The body is no JSON: {_words(error)}") from None
        try:
            jsondata.check(found, "body", _depth())
        except NotJSON as error:
            raise _bad(str(error)) from None
        return found


def _depth() -> int:
    return int(roost.MAX_JSON_DEPTH) + ENVELOPE


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which JSON does not know")


def _words(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (line {error.lineno}, column {error.colno})."
    if isinstance(error, RecursionError):
        return "it is nested too deeply."
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8."
    # Python says of a long number which of its own switches takes more.
    return "a number in it has too many digits." if "digits" in str(error) else f"{error}."


def _bad(detail: str) -> Refusal:
    return Refusal(400, "bad_json", detail)
