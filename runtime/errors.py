"""Say of an error what kind of failure it is, and whether trying again may help: pure, for steps and calls alike.

    transient    may pass by itself: connections, timeouts, 408, 425, 429, 5xx, a database that is away
    validation   what was sent is wrong: 400, 422, validation errors of pydantic, Django, jsonschema
    business     a rule says no: the other answers 4xx
    permission   somebody has to grant something first: 401, 403
    unknown      anything else: tried again, because most of what breaks once works the next time

Libraries are known by the names of their classes, so that none has to be installed. An error that wraps another
(`raise … from error`) and tells nothing itself is what it wraps.
"""

from __future__ import annotations

import errno
import math
import socket
from dataclasses import dataclass

from runtime.choices import RETRIED, ErrorCategory
from runtime.exceptions import Forbidden, InvalidInput, PermanentError, RetryableError, StepError
from runtime.responses import retry_after_of, service_code_of, status_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What an error is. `code` is stable and for machines, `retry_after` in seconds.

    `explicit` errors say of themselves whether they may be retried: no policy overrules them.
    """

    category: str
    retryable: bool
    retry_after: float | None = None
    code: str = ""
    explicit: bool = False


def classify(error: BaseException) -> Verdict:
    """Return what kind of failure an error is. Never raises, whatever the error is."""
    try:
        verdict = _own(error)
        if verdict is None:
            inner = _wrapped(error)
            verdict = None if inner is None else _own(inner)
    except Exception:  # noqa: BLE001 - an error whose attributes raise tells nothing
        verdict = None
    return verdict or _verdict(ErrorCategory.UNKNOWN)


def _own(error: BaseException) -> Verdict | None:
    """Return what the error itself tells, None when it tells nothing."""
    if isinstance(error, StepError):
        return _of_step(error)
    if isinstance(error, BaseExceptionGroup):
        return _of_group(error)
    if not isinstance(error, Exception):
        return None
    code = service_code_of(error)
    if code in _THROTTLED:
        return _verdict(ErrorCategory.TRANSIENT, code, retry_after_of(error))
    status = status_of(error)
    found = None if status is None else _of_status(status, error)
    return found or _of_type(error)


def _of_step(error: StepError) -> Verdict:
    if isinstance(error, RetryableError):
        wait = error.retry_after
        usable = isinstance(wait, int | float) and not math.isnan(wait)
        return Verdict(
            category=error.category,
            retryable=True,
            retry_after=wait if usable else None,
            code=error.code,
            explicit=True,
        )
    return Verdict(
        category=error.category,
        retryable=not isinstance(error, PermanentError) and error.category in RETRIED,
        code=error.code,
        explicit=isinstance(error, PermanentError),
    )


def _of_group(group: BaseExceptionGroup[BaseException]) -> Verdict:
    """Return what several errors come to: what cannot be mended by a retry decides."""
    verdicts = [classify(error) for error in group.exceptions]
    return next((verdict for verdict in verdicts if not verdict.retryable), verdicts[0])


def _of_status(status: int, error: BaseException) -> Verdict | None:
    if status < 400:
        return None
    code = f"http_{status}"
    if status >= 500 or status in (408, 425, 429):
        return _verdict(ErrorCategory.TRANSIENT, code, retry_after_of(error))
    if status in (400, 422):
        return _verdict(ErrorCategory.VALIDATION, code)
    if status in (401, 403):
        return _verdict(ErrorCategory.PERMISSION, code)
    return _verdict(ErrorCategory.BUSINESS, code)


def _of_type(error: Exception) -> Verdict | None:
    if isinstance(error, InvalidInput):
        return _verdict(ErrorCategory.VALIDATION, error.code)
    if isinstance(error, Forbidden):
        return _verdict(ErrorCategory.PERMISSION, error.code)
    for kind in type(error).__mro__:
        known = _KNOWN.get(f"{str(kind.__module__).partition('.')[0]}.{kind.__name__}")
        if known is not None:
            return _verdict(*known)
    if isinstance(error, OSError):
        return _of_system(error)
    return None


def _of_system(error: OSError) -> Verdict | None:
    if isinstance(error, TimeoutError):
        return _verdict(ErrorCategory.TRANSIENT, "timeout")
    if isinstance(error, ConnectionError | socket.gaierror) or error.errno in _UNREACHABLE:
        return _verdict(ErrorCategory.TRANSIENT, "connection")
    if isinstance(error, PermissionError):
        return _verdict(ErrorCategory.PERMISSION, "permission")
    return None


def _wrapped(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    reason = vars(error).get("reason") if hasattr(error, "__dict__") else None
    return reason if isinstance(reason, BaseException) else None


def _verdict(category: str, code: str = "", retry_after: float | None = None) -> Verdict:
    return Verdict(category=str(category), retryable=category in RETRIED, code=code, retry_after=retry_after)


_UNREACHABLE = frozenset(
    {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETRESET, errno.EAGAIN, errno.EINTR}
)

_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "SlowDown",
        "BandwidthLimitExceeded",
    }
)

_CONNECTION = (ErrorCategory.TRANSIENT, "connection")
_TIMEOUT = (ErrorCategory.TRANSIENT, "timeout")
_DATABASE = (ErrorCategory.TRANSIENT, "database")
_INVALID = (ErrorCategory.VALIDATION, "invalid_data")
_DENIED = (ErrorCategory.PERMISSION, "permission")

_NAMES: dict[tuple[ErrorCategory, str], dict[str, str]] = {
    _TIMEOUT: {
        "httpx": "TimeoutException",
        "httpcore": "TimeoutException",
        "requests": "Timeout",
        "urllib3": "TimeoutError",
        "aiohttp": "ServerTimeoutError",
        "botocore": "ConnectTimeoutError ReadTimeoutError",
        "openai": "APITimeoutError",
        "anthropic": "APITimeoutError",
        "redis": "TimeoutError",
    },
    _CONNECTION: {
        "httpx": "NetworkError RemoteProtocolError ProxyError",
        "httpcore": "NetworkError RemoteProtocolError ProxyError",
        "requests": "ConnectionError ChunkedEncodingError",
        "urllib3": "ProtocolError NewConnectionError MaxRetryError ProxyError",
        "aiohttp": "ClientConnectionError ClientPayloadError",
        "botocore": "ConnectionError HTTPClientError EndpointConnectionError",
        "openai": "APIConnectionError",
        "anthropic": "APIConnectionError",
        "redis": "ConnectionError BusyLoadingError",
        "websockets": "ConnectionClosed",
        "http": "IncompleteRead BadStatusLine",
    },
    _DATABASE: {
        "django": "OperationalError InterfaceError",
        "psycopg": "OperationalError InterfaceError",
        "sqlite3": "OperationalError",
    },
    _INVALID: {
        "pydantic": "ValidationError",
        "pydantic_core": "ValidationError",
        "django": "ValidationError",
        "jsonschema": "ValidationError",
        "marshmallow": "ValidationError",
    },
    _DENIED: {"django": "PermissionDenied"},
}

_KNOWN = {
    f"{library}.{name}": verdict
    for verdict, libraries in _NAMES.items()
    for library, names in libraries.items()
    for name in names.split()
}
