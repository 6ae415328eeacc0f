"""What options of the command line mean: JSON, files, moments."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

from django.utils.dateparse import parse_datetime

from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput


def as_json(text: str, what: str) -> Any:
    """Return what JSON text holds. Raises `InvalidInput`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"The {what} is no JSON: {error}. Put texts into quotes: '\"yes\"'.", field=what) from None
    except RecursionError:
        raise InvalidInput(f"The {what} is nested too deeply.", field=what) from None


def payload(text: str | None) -> Any:
    """Return the payload that the option means. Raises `InvalidInput`."""
    return None if text is None else json_option(text, "payload", roost.MAX_PAYLOAD_BYTES)


def json_option(text: str, what: str, most: int) -> Any:
    """Return the JSON that an option means: itself, `@` and a file's name, or `-` for stdin. Raises `InvalidInput`.

    Reads about as much as `most` bytes of JSON may take when every character is escaped, and no more.
    """
    return as_json(read_option(text, what, most * 8 + 1), what)


def read_option(text: str, what: str, most: int) -> str:
    """Return the text that an option means, at most so many bytes of a file or of stdin. Raises `InvalidInput`."""
    if text != "-" and not text.startswith("@"):
        return text
    try:
        if text == "-":
            source = sys.stdin.buffer.read(most)
        else:
            with Path(text[1:]).open("rb") as file:
                source = file.read(most)
        return source.decode()
    except OSError as error:
        raise InvalidInput(f"The {what} cannot be read from {text[1:]!r}: {error.strerror}.", field=what) from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The {what} is no UTF-8 text: {error}.", field=what) from None


def as_moment(text: str, what: str, *, nor: str = "") -> dt.datetime:
    """Return the time that an option means, with its zone if it says one. Raises `InvalidInput`.

    `nor` is what else the option may be, for the error.
    """
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        wrong = f"neither {nor} nor a" if nor else "no"
        raise InvalidInput(f"The {what} {text!r:.200} is {wrong} time like 2030-01-31T12:00:00Z.", field=what)
    return found
