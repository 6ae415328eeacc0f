"""Read the HTTP answer that an error carries, whichever library raised it: by its attributes, importing none."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

LONGEST_RETRY_AFTER = 24 * 3600.0


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error tells of, None when it tells of none."""
    response = _get(error, "response")
    if isinstance(response, Mapping):
        return _status(_metadata(response).get("HTTPStatusCode"))
    found = _first_status(response, "status_code", "status") or _first_status(error, "status_code", "status")
    if found is None and _get(error, "headers") is not None:
        return _first_status(error, "code")
    return found


def retry_after_of(error: BaseException) -> float | None:
    """Return the seconds after which the answer asks to be called again, a day at the most; None if it does not ask.

    A date is taken against the answer's own Date where it has one, so that no clock of ours matters.
    """
    headers = _headers(error)
    asked = _text(headers, "retry-after")
    if asked is None:
        return None
    seconds = _number(asked)
    if seconds is None:
        seconds = _until(asked, _text(headers, "date"))
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def service_code_of(error: BaseException) -> str:
    """Return the code that an AWS service gives its error, whatever the status; empty for none."""
    response = _get(error, "response")
    told = response.get("Error") if isinstance(response, Mapping) else None
    return str(told.get("Code") or "") if isinstance(told, Mapping) else ""


def _headers(error: BaseException) -> Any:
    response = _get(error, "response")
    if isinstance(response, Mapping):
        return _metadata(response).get("HTTPHeaders")
    found = _get(response, "headers")
    return _get(error, "headers") if found is None else found


def _metadata(response: Mapping[Any, Any]) -> Mapping[Any, Any]:
    found = response.get("ResponseMetadata")
    return found if isinstance(found, Mapping) else {}


def _first_status(source: Any, *names: str) -> int | None:
    return next((found for name in names if (found := _status(_get(source, name))) is not None), None)


def _status(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return int(value)
    return None


def _get(source: Any, name: str) -> Any:
    try:
        return getattr(source, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody's error must not hide the error
        return None


def _text(headers: Any, wanted: str) -> str | None:
    try:
        found = {str(name).lower(): value for name, value in headers.items()}.get(wanted)
    except Exception:  # noqa: BLE001 - what a library calls headers may be anything
        return None
    return None if found is None else str(found).strip()


def _number(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return None if math.isnan(seconds) else seconds


def _until(text: str, said_at: str | None) -> float | None:
    moment = _date(text)
    if moment is None:
        return None
    return (moment - (_date(said_at or "") or dt.datetime.now(dt.UTC))).total_seconds()


def _date(text: str) -> dt.datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)
