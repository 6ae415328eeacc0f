"""What the client raises: what the API refused, what did not arrive, what did not end well.

`Refused` and its kinds are the API's problem+json; they are named as Roost's own errors are in `runtime.exceptions`.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from runtime.client.shapes import Outcome

SHOWN = 200


class ClientError(Exception):
    """Base of every error of the client."""


class Unreachable(ClientError):
    """No answer came, however often it was tried; what was sent may have arrived all the same."""


class UnexpectedAnswer(ClientError):
    """The answer is none of this API's: a page, a redirect, or a body that lacks what must be in it."""


class WorkFailed(ClientError):
    """The item that was waited for ended, and not well: it failed or was cancelled. `outcome` tells how."""

    def __init__(self, outcome: Outcome) -> None:
        error = outcome.error if isinstance(outcome.error, dict) else {}
        said = f": {error['message']}" if error.get("message") else "."
        super().__init__(f"Work item {outcome.id} is {outcome.state} ({outcome.reason}){said}")
        self.outcome = outcome


class NotEnded(ClientError, TimeoutError):
    """The item did not end in the time that was given; it goes on. `outcome` tells where it is."""

    def __init__(self, outcome: Outcome, seconds: float) -> None:
        super().__init__(f"Work item {outcome.id} is still {outcome.state} after {seconds:g} seconds.")
        self.outcome = outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldError:
    """What is wrong with one field: where it stands (body.payload, query.limit), and why."""

    field: str
    message: str


class Refused(ClientError):
    """The API answered that it will not.

    `status` is HTTP's and `code` stable; `title` and `detail` are for people, `errors` name fields, `state` is the
    item's where a conflict is about an item, `retry_after` is in seconds.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.title = str(problem.get("title") or _phrase(status))
        self.detail = str(problem.get("detail") or "")
        self.code = str(problem.get("code") or "")
        self.state = str(problem.get("state") or "")
        self.errors = tuple(_fields(problem.get("errors")))
        self.retry_after = retry_after
        super().__init__(f"{status} {self.title}: {self.detail}" if self.detail else f"{status} {self.title}")


class Unauthenticated(Refused):
    """401: the token is none that is good."""


class Forbidden(Refused):
    """403: the token lacks the permission, or does not reach the namespace."""


class NotFound(Refused):
    """404: there is no such thing within the token's reach."""


class Conflict(Refused):
    """409: the item's `state` does not allow it; nothing was changed."""


class IdempotencyConflict(Conflict):
    """409: the idempotency key is taken by another request."""


class StaleVersion(Refused):
    """412: the item was written since its `row_version` was read; nothing was changed."""


class TooLarge(Refused):
    """413: the body, or a value in it."""


class InvalidInput(Refused):
    """422: `errors` name the fields."""


class Throttled(Refused):
    """429: too many requests; `retry_after` says when to go on."""


class Unavailable(Refused):
    """502, 503, 504: not now; `retry_after` says when to come again, where the answer told."""


_KINDS: dict[int, type[Refused]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: StaleVersion,
    413: TooLarge,
    422: InvalidInput,
    429: Throttled,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def refusal(status: int, headers: Mapping[str, str], content: bytes) -> Refused:
    """Return what an answer of 400 or more says, also one of a proxy that is no problem+json."""
    problem = _problem(content)
    if not problem:
        problem = {"detail": content[:SHOWN].decode("utf-8", "replace").strip()}
    kind = _KINDS.get(status, Refused)
    if problem.get("code") == "idempotency_conflict":
        kind = IdempotencyConflict
    return kind(status, problem, _seconds(headers.get("retry-after", "")))


def _problem(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _fields(said: Any) -> list[FieldError]:
    named = [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []
    return [FieldError(field=str(one.get("field", "")), message=str(one.get("message", ""))) for one in named]


def _seconds(said: str) -> float | None:
    """Return the seconds that Retry-After says: a number, or a date."""
    if said.strip().isdecimal():
        return float(said)
    try:
        then = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=dt.UTC)
    return max(0.0, (then - dt.datetime.now(dt.UTC)).total_seconds())


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"
