"""Say what a step sees of Roost while it runs."""

from __future__ import annotations

import contextvars
import datetime as dt
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from runtime.asks import Answer, Ask
from runtime.exceptions import Cancelled, InvalidInput, RoostError
from runtime.journal import CallPolicy
from runtime.journal.call import Scope

if TYPE_CHECKING:
    from runtime.engine import Item


class Suspend(BaseException):
    """Ends this run of a step that asked for something which is not there yet; the step runs again once it is.

    Not an `Exception`, so that a step's own `except Exception` does not swallow it. Let it pass.
    """

    def __init__(self, asks: Sequence[Ask], mode: Literal["all", "any"] = "all") -> None:
        super().__init__(f"The step waits for {', '.join(repr(ask.key) for ask in asks)}.")
        self.asks = asks
        self.mode: Literal["all", "any"] = mode


class ChildOptions(TypedDict, total=False):
    """What may be said about a child besides its engine and payload; `runtime.operations.spec` checks it."""

    delay: float | dt.timedelta
    """Seconds until the item is due, from the moment that it is stored."""
    run_at: dt.datetime | None
    """When the item is due (aware); instead of `delay`. A past moment means now."""
    priority: int
    """Higher is sooner; -32768 to 32767. Default 0; a spawned child has its parent's."""
    deadline: dt.datetime | dt.timedelta | None
    """When the item fails unless it is done: an aware datetime, or a timedelta from now."""
    resources: Sequence[str | Mapping[str, Any]]
    """See `runtime.operations.resources`."""
    fair_key: str
    """Items take turns by this key. Default ""; a spawned child has its parent's."""
    pool: str
    """The workers that may take it. Default "default"; a spawned child has its parent's."""
    max_attempts: int | None
    """Attempts of a step; None takes the engine's retry policy, then `ROOST_MAX_ATTEMPTS`."""
    max_steps: int | None
    """Steps over the item's whole life; None takes `ROOST_MAX_STEPS`."""
    pause_after: int | None
    """Steps after which the item pauses, until somebody resumes it; None for no such pause."""
    step_timeout: float | dt.timedelta | None
    """Seconds for one step; None takes the engine's, then `ROOST_STEP_TIMEOUT`."""
    item_timeout: float | dt.timedelta | None
    """Seconds for the item, waiting and paused time excluded; None takes `ROOST_ITEM_TIMEOUT`."""


class StepContext(ABC):
    """What a step may ask of Roost while it runs.

    Everything staged here (artifacts, children, log lines) is committed with the step's outcome or not at all.
    A step gets it as its third argument, if it takes one, or from `current_context()`.
    """

    attempt: int
    """1 for the first run of this step, 2 for its first retry, …"""
    idempotency_key: str
    """The same for every attempt of this step and for no other step: hand it to whom you call."""

    @property
    @abstractmethod
    def item(self) -> Item:
        """The item as its engine sees it: id, payload, frozen configuration and so on."""

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Whether the item was cancelled, or its lease lost: whatever the step does now is refused."""

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` when there is no point in going on."""
        if self.cancelled:
            raise Cancelled("The item is no longer this worker's: its step should end now.")

    @property
    @abstractmethod
    def answers(self) -> Mapping[str, Answer]:
        """What was asked for from this snapshot and has been answered, by key."""

    @overload
    def ask(self, ask: Ask, /, *, mode: Literal["all", "any"] = "all") -> Answer: ...

    @overload
    def ask(self, first: Ask, second: Ask, /, *more: Ask, mode: Literal["all", "any"] = "all") -> dict[str, Answer]: ...

    def ask(self, *asks: Ask, mode: Literal["all", "any"] = "all") -> Answer | dict[str, Answer]:
        """Return the answer to one ask, or the answers by key to several: all of them, or with mode "any" at least one.

        When they are not there yet, this run of the step ends by `Suspend`, which must be let through, and the item
        waits with no worker. Once answered, the step runs again from the top and gets here with the answers: what it
        does before asking is done again, so calls to the outside go through the journal. Rows that an atomic step
        wrote before asking are rolled back; children spawned before are the same ones in the next run. The commit
        that makes the next version consumes the answers, once.
        """
        if strange := [type(ask).__name__ for ask in asks if not isinstance(ask, Ask)]:
            raise InvalidInput(f"A step cannot ask for a {strange[0]}. Ask for an Approval, Input, …", field="asks")
        found = {ask.key: self.answers[ask.key] for ask in asks if ask.key in self.answers}
        if not found or (mode != "any" and len(found) < len(asks)):
            raise Suspend(asks, mode)
        return found[asks[0].key] if len(asks) == 1 else found

    def count_call(self, name: str) -> int:
        """Return how often this run of the step has called the tool `name`, counting this call."""
        counts: dict[str, int] = self.__dict__.setdefault("_tool_calls", {})
        counts[name] = counts.get(name, 0) + 1
        return counts[name]

    @abstractmethod
    def run(
        self,
        key: str,
        fn: Callable[..., Any],
        *args: Any,
        policy: CallPolicy | None = None,
        scope: Scope = "step",
        input: Any = None,  # noqa: A002 - the callee's own words are args and kwargs
        name: str = "",
        **kwargs: Any,
    ) -> Any:
        """Call `fn(*args, **kwargs)` once and remember the result, whatever becomes of the step; see `runtime.journal`.

        In an async step, `await` it; `fn` may be async or sync there, and runs in a thread if it is sync. In an atomic
        step it calls and returns; `fn` must not write to the work database, and on SQLite the step must not have
        written before. The key is the step's own; with `scope` "item" it is recorded for the item's whole life.
        `input` is JSON that stands for the arguments where they are none. A parameter `idempotency_key` of `fn` gets a
        key that is the same for every attempt. The result must be JSON; tuples come back as lists.

        Raises `CallFailed`, `CallInDoubt`, `JournalMismatch` and `UnstorableOutcome` (permanent), `RetryableError`
        when the policy's attempts are used up, `InvalidInput`, and `Fenced` when the item was taken away.
        """

    @abstractmethod
    def artifact(
        self,
        name: str,
        content: bytes | str | Any,
        *,
        kind: str = "other",
        content_type: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Store content under `name` and return its sha256 (hex).

        `content` is bytes, text, or (for kind "json") JSON data. The bytes are written at once and only once for
        the same content; the artifact exists when the step commits. Raises `StorageUnavailable` (retried).
        """

    @abstractmethod
    async def aartifact(
        self,
        name: str,
        content: bytes | str | Any,
        *,
        kind: str = "other",
        content_type: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Do what `artifact()` does without blocking the event loop."""

    def workspace(self) -> Path:
        """Return the folder of the item's workspace, made from what its engine declares if it is not there yet.

        The same path for every step and after every crash, on this host. It is this step's alone until the step ends;
        see `runtime.workspaces`. Raises `WorkspaceRefused` (permanent), `WorkspaceUnavailable` (retried) and `Fenced`.
        """
        raise RoostError("There are no workspaces here.")

    async def aworkspace(self) -> Path:
        """Do what `workspace()` does without blocking the event loop."""
        return self.workspace()

    @abstractmethod
    def log(self, message: str, *, level: str = "info", **data: Any) -> None:
        """Keep a line, with JSON data, in the item's history."""

    @abstractmethod
    def progress(self, fraction: float | None = None, note: str = "") -> None:
        """Tell how far this step is (0…1): shown while it runs, a heartbeat later, and not kept."""

    @abstractmethod
    def usage(self, *, tokens: int = 0, cost: int | float | Decimal = 0, call: str = "") -> None:
        """Add what this run of the step has used to its item's `tokens_total` and `cost_total`; calls add up.

        `cost` is in US dollars; the total is kept in millionths of one, rounded once for each run. What a run used
        is counted once, in the commit of what the run came to: a step, a failed attempt (the money was spent), or a
        wait. A run that was cut off, because its process was killed or its item taken away, counts nothing.

        A step that runs again, after a failure or an answer, says it again. What a recorded call has used is counted
        by the run that made the call, and not by those that replay it, when `call` names its key, or when the function
        that `run()` calls says it. Raises `InvalidInput` for what is no number, negative, or no call of this run.
        """

    @abstractmethod
    def spawn(
        self,
        engine: str,
        payload: Any = None,
        *,
        relation: str = "child",
        **options: Unpack[ChildOptions],
    ) -> uuid.UUID:
        """Enqueue a child item in this step's commit and return the id it will have.

        The child has its parent's namespace, and its pool, priority and fairness key unless another is given. A
        `delay` counts from the commit, a `deadline` given as a timedelta from this call. Raises `InvalidInput` (naming
        the field), `UnknownEngine` or `EngineLoadError` here, not at the commit.
        """


_current: contextvars.ContextVar[StepContext | None] = contextvars.ContextVar("roost_step", default=None)


def current_context() -> StepContext:
    """Return the context of the step that is running. Raises `RoostError` outside a step."""
    context = _current.get()
    if context is None:
        raise RoostError("current_context() was called outside a step. Call it from step() or what step() calls.")
    return context
