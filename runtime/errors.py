"""Say what kind of failure an error is: whether another attempt may help, and when."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.exceptions import InvalidInput, PermanentError, RetryableError, StepError


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What `classify` says of an error. `retry_after` is in seconds."""

    category: str = "unknown"
    retryable: bool = True
    retry_after: float | None = None
    code: str = ""


def classify(error: BaseException) -> Verdict:
    """Return what kind of failure this is. Pure."""
    code = error.code if isinstance(error, StepError) else ""
    if isinstance(error, InvalidInput):
        return Verdict(category="validation", retryable=False, code=error.code)
    if isinstance(error, PermanentError):
        return Verdict(category="business", retryable=False, code=code)
    if isinstance(error, RetryableError):
        return Verdict(category="transient", retry_after=error.retry_after, code=code)
    if isinstance(error, OSError | TimeoutError):
        return Verdict(category="transient")
    return Verdict()
