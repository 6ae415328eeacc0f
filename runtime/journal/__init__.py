"""The journal: calls to the outside world that are made once, and remembered.

    charge = ctx.run("charge", client.charge, order, amount)          in a step
    Journal(JsonLinesJournal(path), "import-7").run("load", load)     anywhere else

Each call has a key. Before it is made, an entry `started` is written; when it has ended, what came of it. Both are
durable before anybody is told. The next time somebody runs the same key, the entry decides:

    succeeded   the result is returned and nothing is called
    failed      `CallFailed` is raised again and nothing is called, until the entry is reset
    retry       the call failed in a way that may pass: it is made again
    started     nobody knows whether it happened, it is *in doubt*: `CallPolicy.in_doubt` decides

The same key with other arguments is a `JournalMismatch`: what was recorded is not the answer to this question.

    entries   what is written and what is answered: Begin, End, Entry, Found; what an entry means for a Begin
    call      a call, prepared: its arguments, their hash, its idempotency key
    flow      what happens in which order: a generator that asks for writes, calls and pauses, and does none itself
    drive     carries a flow out, sync and async
    memory, lines, outside   stores that need no database, and `Journal`, which runs calls with them
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from runtime.exceptions import InvalidInput
from runtime.retry import RetryPolicy, check_tries


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """How many calls of one name may be begun: `most` in the whole run of an item, or in the last `seconds` in its
    namespace. Calls are counted, not attempts; a call that is recorded already is never refused.
    """

    most: int
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.most, int) or isinstance(self.most, bool) or self.most < 0:
            raise InvalidInput(f"most is {self.most!r}; it must be a whole number, 0 or more.", field="most")
        _check_span(self.seconds, "seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class CallPolicy:
    """How a recorded call is made.

    `max_attempts` calls are made in one run of the step while the errors are such as may pass (`errors.classify`),
    with back-off between them: `base`·2^(n-1) seconds, at most `cap`, moved by ± `jitter`, or what the callee asked
    for by Retry-After, if that is not beyond `cap`. Then the error goes to the step as a `RetryableError`, whose own
    policy decides when it runs again. `timeout` is the seconds one call may take; a call cut off by it is in doubt.

    `in_doubt` says what becomes of a call of which nobody knows whether it happened: "retry" makes it again, under the
    same idempotency key; "ask" waits for a person; "fail" raises `CallInDoubt`. `sticky` says which failures are
    recorded for good: "permanent", those that a retry cannot mend; "any", also the last attempt of the others.
    Beyond one of the `quotas` nothing is called: `QuotaExceeded`.
    """

    max_attempts: int = 3
    base: float = 0.5
    cap: float = 5.0
    jitter: float = 0.25
    in_doubt: Literal["retry", "ask", "fail"] = "retry"
    sticky: Literal["permanent", "any"] = "permanent"
    timeout: float | None = None
    quotas: tuple[Quota, ...] = ()

    def __post_init__(self) -> None:
        check_tries(self.max_attempts, self.base, self.cap, self.jitter)
        for name, allowed in (("in_doubt", ("retry", "ask", "fail")), ("sticky", ("permanent", "any"))):
            value = getattr(self, name)
            if value not in allowed:
                raise InvalidInput(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.", field=name)
        _check_span(self.timeout, "timeout")
        if not all(isinstance(quota, Quota) for quota in self.quotas):
            raise InvalidInput("quotas must be a tuple of Quota.", field="quotas")

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after so many failures (1 = the first)."""
        policy = RetryPolicy(max_attempts=self.max_attempts, base=self.base, cap=self.cap, jitter=self.jitter)
        return policy.delay(failures)


def _check_span(seconds: Any, name: str) -> None:
    known = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (known and seconds > 0):
        raise InvalidInput(f"{name} is {seconds!r}; it must be a number of seconds above 0, or None.", field=name)


DEFAULT = CallPolicy()
