"""Each error is what it is, whichever library raised it; and only what may pass by itself is worth another attempt."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import math
import socket
import urllib.error
from email.message import Message
from email.utils import format_datetime
from typing import Any

import botocore.exceptions
import django.core.exceptions
import django.db
import httpx
import jsonschema
import pydantic
import pytest
import requests
import urllib3.exceptions

from runtime import exceptions
from runtime.errors import classify
from runtime.responses import LONGEST_RETRY_AFTER

pytestmark = pytest.mark.once

REQUEST = httpx.Request("GET", "https://example.com")


def over_httpx(status: int, headers: dict[str, str] | None = None) -> Exception:
    response = httpx.Response(status, headers=headers, request=REQUEST)
    return httpx.HTTPStatusError("no", request=REQUEST, response=response)


def over_requests(status: int, headers: dict[str, str] | None = None) -> Exception:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers or {})
    return requests.HTTPError("no", response=response)


def over_urllib(status: int, headers: dict[str, str] | None = None) -> Exception:
    told = Message()
    for name, value in (headers or {}).items():
        told[name] = value
    return urllib.error.HTTPError("https://example.com", status, "no", told, None)


def over_boto(status: int, headers: dict[str, str] | None = None, code: str = "Oops") -> Exception:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return botocore.exceptions.ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "Call")


def over_attributes(status: int, headers: dict[str, str] | None = None) -> Exception:
    """Return an error as aiohttp and the clients of model providers make it: all on the error itself."""
    error = RuntimeError("no")
    error.status = status  # type: ignore[attr-defined]
    error.headers = headers or {}  # type: ignore[attr-defined]
    return error


CLIENTS = [over_httpx, over_requests, over_urllib, over_boto, over_attributes]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("status", "category"),
    [
        *((status, "transient") for status in (408, 425, 429, 500, 502, 503, 504, 529)),
        *((status, "validation") for status in (400, 422)),
        *((status, "permission") for status in (401, 403)),
        *((status, "business") for status in (402, 404, 409, 410, 451)),
    ],
)
def test_an_http_answer_says_what_an_error_is(client: Any, status: int, category: str) -> None:
    verdict = classify(client(status))
    assert (verdict.category, verdict.code) == (category, f"http_{status}")
    assert verdict.retryable is (category == "transient")
    assert not verdict.explicit


def from_library(module: str, *names: str) -> Exception:
    """Return an error of a library that is not installed here; the last name is the class's, the others its bases'."""
    kind: Any = Exception
    for name in names:
        kind = type(name, (kind,), {"__module__": module})
    found: Exception = kind("no")
    return found


class Person(pydantic.BaseModel):
    """Something to be validated."""

    age: int


def of_pydantic() -> Exception:
    with pytest.raises(pydantic.ValidationError) as caught:
        Person.model_validate({"age": "old"})
    return caught.value


@pytest.mark.parametrize(
    ("error", "category", "code"),
    [
        (httpx.ReadTimeout("slow"), "transient", "timeout"),
        (httpx.ConnectError("no"), "transient", "connection"),
        (httpx.RemoteProtocolError("gone"), "transient", "connection"),
        (requests.ConnectionError("no"), "transient", "connection"),
        (requests.ReadTimeout("slow"), "transient", "timeout"),
        (urllib3.exceptions.ProtocolError("gone"), "transient", "connection"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), "transient", "connection"),
        (from_library("aiohttp.client_exceptions", "ClientError", "ClientConnectionError"), "transient", "connection"),
        (from_library("openai", "APIError", "APIConnectionError", "APITimeoutError"), "transient", "timeout"),
        (urllib.error.URLError(socket.gaierror(-2, "unknown")), "transient", "connection"),
        (ConnectionResetError(), "transient", "connection"),
        (TimeoutError(), "transient", "timeout"),
        (OSError(errno.ENETUNREACH, "no route"), "transient", "connection"),
        (django.db.OperationalError("gone"), "transient", "database"),
        (django.db.InterfaceError("closed"), "transient", "database"),
        (of_pydantic(), "validation", "invalid_data"),
        (jsonschema.ValidationError("no"), "validation", "invalid_data"),
        (django.core.exceptions.ValidationError("no"), "validation", "invalid_data"),
        (exceptions.InvalidInput("no"), "validation", "invalid"),
        (django.core.exceptions.PermissionDenied(), "permission", "permission"),
        (PermissionError(errno.EACCES, "no"), "permission", "permission"),
        (exceptions.Forbidden("no"), "permission", "forbidden"),
        (django.db.IntegrityError("twice"), "unknown", ""),
        (OSError(errno.ENOSPC, "full"), "unknown", ""),
        (ValueError("no"), "unknown", ""),
        (SystemExit(503), "unknown", ""),
        (asyncio.CancelledError(), "unknown", ""),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, BaseException) else str(value),
)
def test_a_librarys_error_is_known_by_its_class(error: BaseException, category: str, code: str) -> None:
    verdict = classify(error)
    assert (verdict.category, verdict.code) == (category, code)
    assert verdict.retryable is (category in ("transient", "unknown"))


@pytest.mark.parametrize(
    ("error", "category", "retryable"),
    [
        (exceptions.RetryableError("no", code="busy"), "transient", True),
        (exceptions.StepTimeout("slow"), "transient", True),
        (exceptions.PermanentError("no", code="busy"), "unknown", False),
        (exceptions.InvalidData("no"), "validation", False),
        (exceptions.WrongOutcome("no"), "validation", False),
        (exceptions.Declined("no"), "business", False),
        (exceptions.AccessDenied("no"), "permission", False),
    ],
)
def test_what_an_error_says_of_itself_is_believed(error: Any, category: str, retryable: bool) -> None:
    verdict = classify(error)
    assert (verdict.category, verdict.retryable, verdict.explicit) == (category, retryable, True)
    assert verdict.code == error.code


@pytest.mark.parametrize("client", CLIENTS)
def test_retry_after_is_read_from_every_clients_answer(client: Any) -> None:
    assert classify(client(429, {"Retry-After": "17"})).retry_after == 17
    assert classify(client(503, {"retry-after": " 2.5 "})).retry_after == 2.5
    assert classify(client(429)).retry_after is None
    assert classify(client(404, {"Retry-After": "17"})).retry_after is None


def test_a_date_to_retry_after_is_taken_against_the_answers_own_date() -> None:
    said_at = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    headers = {"Retry-After": format_datetime(said_at + dt.timedelta(seconds=90), usegmt=True)}
    assert classify(over_httpx(503, headers)).retry_after == 0, "without a Date, that time is long past"
    assert classify(over_httpx(503, {**headers, "Date": format_datetime(said_at, usegmt=True)})).retry_after == 90


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ("-5", 0),
        ("1e300", LONGEST_RETRY_AFTER),
        ("inf", LONGEST_RETRY_AFTER),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_hostile_retry_after_is_bounded_or_left_out(asked: str, waits: float | None) -> None:
    assert classify(over_httpx(429, {"Retry-After": asked})).retry_after == waits


@pytest.mark.parametrize("wrong", [math.nan, "soon"])
def test_a_wait_that_is_no_number_is_left_out(wrong: Any) -> None:
    assert classify(exceptions.RetryableError("no", retry_after=wrong)).retry_after is None


def test_too_many_calls_of_aws_are_transient_whatever_the_status_says() -> None:
    verdict = classify(over_boto(400, code="ThrottlingException"))
    assert (verdict.category, verdict.code) == ("transient", "ThrottlingException")
    assert classify(over_boto(400)).category == "validation"


def wrapped(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


def test_an_error_that_tells_nothing_is_what_it_wraps_one_level_deep() -> None:
    assert classify(wrapped(RuntimeError("call failed"), over_httpx(401))).category == "permission"
    assert classify(wrapped(RuntimeError("a"), exceptions.RetryableError(retry_after=3))).retry_after == 3
    assert classify(wrapped(ConnectionError(), over_httpx(401))).category == "transient"
    assert classify(wrapped(RuntimeError("a"), wrapped(RuntimeError("b"), over_httpx(401)))).category == "unknown"


def test_what_cannot_be_mended_decides_among_errors_that_come_together() -> None:
    group = ExceptionGroup("tasks", [ConnectionError(), exceptions.Declined("no")])
    assert (classify(group).category, classify(group).retryable) == ("business", False)
    assert classify(ExceptionGroup("tasks", [ConnectionError(), ValueError()])).category == "transient"


def test_an_error_whose_attributes_fail_is_unknown_and_raises_nothing() -> None:
    class Hostile(Exception):
        @property
        def response(self) -> Any:
            raise RuntimeError("no response for you")

        status_code = property(lambda self: 1 / 0)
        headers = 7

    assert classify(Hostile()).category == "unknown"


@pytest.mark.parametrize("code", [404, True, "E404"])
def test_a_code_without_an_http_answer_around_it_is_no_status(code: Any) -> None:
    error = RuntimeError("no")
    error.code = code  # type: ignore[attr-defined]
    assert classify(error).category == "unknown"
