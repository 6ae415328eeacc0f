"""Turn whatever a route raises into a problem: never a page, never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from ninja.errors import AuthenticationError, HttpError, ValidationError

from console.api.problems import MOST_TOLD, Refusal, problem
from runtime.exceptions import (
    Conflict,
    CorruptArtifact,
    EngineLoadError,
    Forbidden,
    InvalidInput,
    NotFound,
    RoostError,
    StaleVersion,
    StorageUnavailable,
    TooLarge,
)
from runtime.store.transactions import lock_not_available, not_migrated, sqlstate

TOO_SLOW = "57014"
"""PostgreSQL's code of a statement that ran into its timeout."""
RETRY_AFTER = "5"
SIGN_IN = 'Bearer realm="roost"'
WHO_CALLS = "Send a token that is good (Authorization: Bearer roost_…), or a session."

logger = logging.getLogger("roost.api")

Handler = Callable[[HttpRequest, Any], HttpResponse]

STATUS: tuple[tuple[type[RoostError], int], ...] = (
    (TooLarge, 413),
    (InvalidInput, 422),
    (NotFound, 404),
    (Forbidden, 403),
    (StaleVersion, 412),
    (Conflict, 409),
    (StorageUnavailable, 503),
)
"""How Roost's errors are told, the first that fits; what is not here is ours to mend: 500."""


def on_roost_error(request: HttpRequest, error: RoostError) -> HttpResponse:
    """Tell one of Roost's errors in its own words."""
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    if status == 500:
        return on_failure(request, error)
    if isinstance(error, StorageUnavailable):
        logger.warning("the artifact storage failed a request", exc_info=error)
        return problem(503, error.code, "The artifact storage does not answer.", headers={"Retry-After": RETRY_AFTER})
    place = _said_in(request, getattr(error, "field", ""))
    errors = [{"field": place, "message": str(error)}] if place else []
    return problem(status, error.code, str(error), errors=errors, state=str(getattr(error, "state", "")))


def _said_in(request: HttpRequest, field: str) -> str:
    """Return where a request said what an operation found wrong with its argument, empty where it did not say it."""
    match, name = request.resolver_match, field.partition(".")[0]
    if match is not None and name in match.kwargs:
        return f"path.{field}"
    if name in request.GET:
        return f"query.{field}"
    return "" if request.method == "GET" or not field else f"body.{field}"


def on_failure(request: HttpRequest, error: Exception) -> HttpResponse:
    """Tell nothing of what went wrong inside, and log it."""
    logger.error("%s %r failed", request.method, request.path, exc_info=error)
    if isinstance(error, CorruptArtifact):
        return problem(500, error.code, "What is stored is damaged or gone. An operator finds more in the log.")
    if isinstance(error, EngineLoadError):
        return problem(500, error.code, "The engine cannot be loaded here. An operator finds more in the log.")
    return problem(500, "internal", "This failed, and it is not your request's fault. The log says why.")


def on_database_error(request: HttpRequest, error: DatabaseError) -> HttpResponse:
    """Tell apart what took too long, and what failed."""
    headers = {"Retry-After": RETRY_AFTER}
    if sqlstate(error) == TOO_SLOW:
        return problem(503, "too_slow", "This takes longer than a request may. Narrow what you ask.", headers=headers)
    if lock_not_available(error):
        return problem(503, "busy", "Somebody else keeps a lock that this needs. Try again.", headers=headers)
    if not_migrated(error):
        logger.error("%s %r: Roost's tables are not those of this code: migrate", request.method, request.path)
        told = "The database is not ready for this code: an operator has to migrate it."
        return problem(503, "unavailable", told, headers=headers)
    if isinstance(error, OperationalError):
        logger.warning("%s %r: the database failed", request.method, request.path, exc_info=error)
        return problem(503, "unavailable", "The database does not answer. Try again.", headers=headers)
    return on_failure(request, error)


def on_refusal(request: HttpRequest, error: Refusal) -> HttpResponse:
    """Give the answer that was raised."""
    return error.response


def on_validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Name every field that is wrong, without repeating what was sent."""
    errors = [{"field": _place(one["loc"]), "message": str(one["msg"])} for one in error.errors[:MOST_TOLD]]
    first = errors[0] if errors else {"field": "", "message": "The request cannot be read."}
    return problem(422, "invalid", f"{first['field']}: {first['message']}", errors=errors)


def _place(parts: tuple[Any, ...]) -> str:
    """Return where a field stands: body.items.3.engine; a body has one argument, whose name says nothing.

    The fields and the file of a form are its body's.
    """
    names = [str(part) for part in parts]
    if names[:1] in (["form"], ["file"]):
        return ".".join(["body", *names[1:]])
    if names[:1] == ["body"] and len(names) > 1:
        names = ["body", *names[2:]]
    return ".".join(names)


def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Tell what ninja refuses; a body that was not read says itself why."""
    cause = error.__cause__
    if isinstance(cause, Refusal):
        return cause.response
    return problem(error.status_code, "refused", str(error))


def on_unknown_caller(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    """Ask who it is."""
    return problem(401, "unauthenticated", WHO_CALLS, headers={"WWW-Authenticate": SIGN_IN})


def on_missing(request: HttpRequest, error: Http404) -> HttpResponse:
    """Tell that there is nothing here."""
    return problem(404, "not_found", "There is nothing at this address.")


def on_denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    """Tell that it is not allowed."""
    return problem(403, "forbidden", "This is not allowed.")


def on_suspicion(request: HttpRequest, error: Exception) -> HttpResponse:
    """Tell that the request cannot be one that is meant."""
    return problem(400, "bad_request", "The request cannot be read.")


HANDLERS: dict[type[Exception], Handler] = {
    Exception: on_failure,
    DatabaseError: on_database_error,
    Refusal: on_refusal,
    RoostError: on_roost_error,
    ValidationError: on_validation_error,
    HttpError: on_http_error,
    AuthenticationError: on_unknown_caller,
    Http404: on_missing,
    PermissionDenied: on_denied,
    SuspiciousOperation: on_suspicion,
    MultiPartParserError: on_suspicion,
}
"""What answers which exception; the nearest class counts."""


def answer(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return the problem that an exception is told as."""
    return HANDLERS[kind_of(error)](request, error)


def kind_of(error: Exception) -> type[Exception]:
    """Return the class that says what answers an exception."""
    return next(kind for kind in type(error).__mro__ if kind in HANDLERS)
