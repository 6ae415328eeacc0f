"""Format log lines with everything that is told with them: for machines as JSON, for people as key=value.

    LOGGING = {
        …,
        "formatters": {"json": {"()": "runtime.logs.JSONFormatter"}, "text": {"()": "runtime.logs.TextFormatter"}},
    }

Roost's loggers, and others, tell in `extra=` what a line is about. Both formatters write all of it, whatever it is, and
take out what looks like a secret as the console does: by the names of keys, by a few shapes of text, and by
`ROOST_REDACT`. They are made before Django's apps are loaded, so that nothing here may import a model.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import threading
from collections.abc import Mapping
from typing import Any

from runtime.queries.redaction import redacted, shown

OWN = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})
"""What every record has: not told by whoever wrote the line."""

MAX_DEPTH = 20
LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"

_inside = threading.local()


class JSONFormatter(logging.Formatter):
    """Make one JSON object a line: time (UTC), level, logger, message, every extra, and the exception if there is one.

    An extra that has the name of one of these is written as `extra_…`. What JSON cannot hold is written as text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Never raises, whatever the record holds."""
        line: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(_message(record)),
        }
        if exception := self._exception(record):
            line["exception"] = redacted(exception)
        if record.stack_info:
            line["stack"] = redacted(str(record.stack_info))
        for name, value in extras_of(record).items():
            line[f"extra_{name}" if name in line else name] = value
        return json.dumps(line, separators=(",", ":"), allow_nan=False)

    def _exception(self, record: logging.LogRecord) -> str:
        if record.exc_info:
            return "" if record.exc_info[0] is None else self.formatException(record.exc_info)
        return str(record.exc_text or "")


class TextFormatter(logging.Formatter):
    """Make a line for people, with every extra as key=value behind the message; a traceback follows it."""

    def __init__(self, fmt: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(LINE if fmt is None else fmt, *args, **kwargs)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without what shows as a secret in it."""
        text: str = redacted(super().format(record))
        return text

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line without the traceback."""
        told = [f"{name}={_word(value)}" for name, value in extras_of(record).items()]
        return " ".join([super().formatMessage(record), *told])


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was told with a line as plain JSON data, masked as people are shown it.

    Where `ROOST_REDACT` makes something else of it than an object, that is the one extra `extra`. What the product's
    callable logs itself is not handed to it again.
    """
    told = {name: plain(value) for name, value in record.__dict__.items() if name not in OWN}
    if not told:
        return {}
    if getattr(_inside, "hook", False):
        masked: Any = redacted(told)
    else:
        _inside.hook = True
        try:
            masked = plain(shown(told))
        except Exception as error:  # noqa: BLE001 - settings that cannot be read must not cost the line
            masked = f"[hidden: {type(error).__name__}]"
        finally:
            _inside.hook = False
    return masked if isinstance(masked, dict) else {"extra": masked}


def plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return a value as JSON data: what JSON has stays, times are ISO, anything else is text. Never raises."""
    if value is None or isinstance(value, bool):
        return value
    if depth > 0 and isinstance(value, Mapping | list | tuple | set | frozenset):
        return _each(value, depth - 1)
    return _number(value) if type(value) in (int, float) else _text(value)


def _each(value: Any, depth: int) -> Any:
    try:
        if isinstance(value, Mapping):
            return {_text(key): plain(inner, depth) for key, inner in value.items()}
        return [plain(inner, depth) for inner in value]
    except Exception:  # noqa: BLE001 - a mapping of somebody else's may do anything
        return _text(value)


def _number(value: int | float) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value.bit_length() < 1024 else hex(value)


def _text(value: Any) -> str:
    try:
        if isinstance(value, dt.datetime | dt.date | dt.time):
            return value.isoformat()
        return str(value)
    except Exception:  # noqa: BLE001 - whatever an extra is, it must not cost the line
        return f"<{type(value).__name__} whose text cannot be read>"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit the message
        return f"{_text(record.msg)} {_text(record.args)}"


def _word(value: Any) -> str:
    """Return a value as one word: as it is when it has neither spaces nor quotes nor line ends, else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    simple = text and text.isprintable() and not any(sign in text for sign in " \"'=")
    return text if simple or not isinstance(value, str) else json.dumps(text)
