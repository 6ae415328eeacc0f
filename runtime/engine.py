"""Say what an engine is: the contract between Roost and the code that knows how to make one step.

An engine is a step machine. `init_snapshot(item)` gives the first state; `step(snapshot, item)` makes one step
from it and says what comes next. Roost owns everything around the step.

    class Countdown(Engine):
        def init_snapshot(self, item):
            return {"left": item.payload["from"]}

        def step(self, snapshot, item):
            left = snapshot.data["left"] - 1
            return Complete("lift-off") if left <= 0 else Continue({"left": left}, delay=1)

A step may return `Continue`, `Complete`, `Wait`, `WaitFor`, `Fail`, or a `Snapshot` (made by `snapshot.next()` or
`snapshot.finish()`); it may ask for people, signals, children and times by `ctx.ask()`; it may raise `RetryableError`
or `PermanentError`. Any other exception is retried by the engine's policy, if it may pass by itself (see
`runtime.errors`). Guarantees:

* `def step` runs inside a transaction on the work database: the rows it writes commit together with its snapshot,
  exactly once. Keep it short, and keep the network out of it.
* `async def step` holds no transaction and may call out; many run at once in one process. What it does outside may
  happen again after a crash: call through `ctx.run`, which remembers what was done, and hand on the idempotency key.
* The snapshot handed in must not be changed; return a new one.
"""

from __future__ import annotations

import datetime as dt
import inspect
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, TypedDict, Unpack

from runtime.asks import Ask
from runtime.retry import RetryPolicy
from runtime.step import current_context
from runtime.workspaces import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """The work item as its engine sees it: plain values, read when the step's run began."""

    id: uuid.UUID
    namespace: str
    engine: str
    engine_version: str
    payload: Any
    config: Any
    priority: int
    resources: Sequence[Mapping[str, Any]]
    step_label: str
    parent_id: uuid.UUID | None
    created_at: dt.datetime
    deadline_at: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The state of an item after `version` committed steps.

    `data` is plain JSON. `label` names the step that made it, for people. A step that returns a snapshot goes on
    after `delay` seconds, or ends the item with `result` when `finished` is set; `version` is set by Roost.
    """

    data: Any
    version: int = 0
    label: str = ""
    delay: float = 0.0
    finished: bool = False
    result: Any = None

    def next(self, data: Any, *, label: str = "", delay: float = 0.0) -> Snapshot:
        """Return the snapshot that follows this one; the next step comes after `delay` seconds."""
        return replace(self, data=data, label=label, delay=delay, finished=False, result=None)

    def finish(self, result: Any = None, *, data: Any = None, label: str = "") -> Snapshot:
        """Return the last snapshot of the item, which is done with `result`. `data` None keeps the state."""
        kept = self.data if data is None else data
        return replace(self, data=kept, label=label, delay=0.0, finished=True, result=result)


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on with `state`, at once or after `delay` seconds. `label` names the step for people."""

    state: Any
    delay: float = 0.0
    label: str = ""


_KEEP: Any = object()


@dataclass(frozen=True, slots=True)
class Complete:
    """The item is done with `result`; without `state` the last state is kept."""

    result: Any = None
    state: Any = field(default=_KEEP)
    label: str = ""

    @property
    def keeps_state(self) -> bool:
        """Whether the state before the step stays the item's last state."""
        return self.state is _KEEP


@dataclass(frozen=True, slots=True)
class Wait:
    """Run the same step again after `seconds`, with the same state: no new version is made."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    """The item failed for good: it goes to the dead letters with this message, code and details."""

    message: str
    code: str = "permanent"
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Let the item wait for what is asked, with no worker and no transaction held.

    With `state` the step is over: its version is made, and the next step reads the answers in `ctx.answers`. Without,
    the same step runs again. `mode` says whether all of the asks must be answered, or any one of them.
    """

    asks: Sequence[Ask]
    state: Any = field(default=_KEEP)
    mode: Literal["all", "any"] = "all"
    label: str = ""

    @property
    def keeps_state(self) -> bool:
        """Whether no version is made, and the same step runs again."""
        return self.state is _KEEP


Decision = Snapshot | Continue | Complete | Wait | WaitFor | Fail
"""What a step may return."""


class Engine(ABC):
    """Base of engines. One instance serves every item in a process: keep no state of an item on it."""

    engine_id: ClassVar[str] = ""
    """Name for logs; items carry the name under which the engine is registered."""
    version: str = "1"
    """Version of the engine's code, kept on each item."""
    state_schema: int = 1
    """Number of the shape that the engine's states have, kept on each snapshot. Raise it when the shape changes."""
    upcasters: Mapping[int, Callable[[Any], Any]] = {}
    """From the number of an older shape to the function that makes the next shape of a state of it."""
    retry: RetryPolicy | None = None
    """Policy for steps that fail; None takes the `ROOST_MAX_ATTEMPTS` and `ROOST_BACKOFF_*` settings."""
    step_timeout: float | None = None
    """Seconds one step may run; None takes `ROOST_STEP_TIMEOUT`."""
    snapshots: str = "full"
    """Which snapshots are kept beside the latest: "full", "interval(20)" (any number) or "compact"."""
    workspace: Workspace | None = None
    """What the files of every item are made from; None for an engine without files, or one that says it by item."""
    payload_schema: Mapping[str, Any] | None = None
    """JSON schema of the payload, told to whoever asks what to send; `check_payload` is what decides."""

    @abstractmethod
    def init_snapshot(self, item: Item) -> Any:
        """Return the first state: a `Snapshot` or its data. May be `async def`; may be called again after a crash."""

    @abstractmethod
    def step(self, snapshot: Snapshot, item: Item, *args: Any, **kwargs: Any) -> Any:
        """Make one step and return a `Decision`. May be `async def`. May take a `StepContext` as third argument.

        Take two arguments or three: what else this signature allows is there for type checkers.
        """

    @property
    def is_async(self) -> bool:
        """Whether steps run in the async lane."""
        return inspect.iscoroutinefunction(self.step)

    def config(self) -> Any:
        """Return the configuration to freeze on an item at enqueue (JSON); later edits leave the item alone.

        Steps read it as `item.config`. Frozen with it are the version, `retry.max_attempts` and `step_timeout`; the
        rest of `retry` (back-off, categories) and `snapshots` are read as they are when a step has run.
        """
        return None

    def workspace_for(self, item: Item) -> Workspace | None:
        """Return what the files of this item are made from. Asked when a step first wants its workspace."""
        return self.workspace

    def check_payload(self, payload: Any) -> None:
        """Raise `InvalidInput` when `payload` is not one this engine can work on. Called at enqueue."""

    def accepts(self, version: str) -> bool:
        """Say whether this code goes on with items of that version of the engine. An item it does not is held."""
        return True

    def reads(self, schema: int) -> bool:
        """Say whether this code can go on from a state of that shape: its own, or an older one it can upcast."""
        if schema >= self.state_schema:
            return schema == self.state_schema
        own_way = type(self).upcast is not Engine.upcast
        return own_way or all(number in self.upcasters for number in range(schema, self.state_schema))

    def upcast(self, state: Any, from_schema: int) -> Any:
        """Return a state of an older shape in today's, by way of `upcasters`. The stored snapshot stays as it is.

        `state` is a copy that may be changed. What this raises is a failure of the step.
        """
        for number in range(from_schema, self.state_schema):
            state = self.upcasters[number](state)
        return state


StepFunction = Callable[..., Decision | Awaitable[Decision]]


class EngineOptions(TypedDict, total=False):
    """What `engine()` takes, each as `Engine` has it; `config` may be the configuration itself."""

    init: Callable[[Item], Any] | None
    version: str
    state_schema: int
    upcasters: Mapping[int, Callable[[Any], Any]] | None
    retry: RetryPolicy | None
    step_timeout: float | None
    snapshots: str
    workspace: Workspace | None
    payload_schema: Mapping[str, Any] | None
    config: Any
    check_payload: Callable[[Any], None] | None


class FunctionEngine(Engine):
    """An engine made of one function `(state)` or `(state, ctx)`; see `engine()`."""

    def __init__(
        self,
        function: StepFunction,
        *,
        init: Callable[[Item], Any] | None = None,
        version: str = "1",
        state_schema: int = 1,
        upcasters: Mapping[int, Callable[[Any], Any]] | None = None,
        retry: RetryPolicy | None = None,
        step_timeout: float | None = None,
        snapshots: str = "full",
        workspace: Workspace | None = None,
        payload_schema: Mapping[str, Any] | None = None,
        config: Any = None,
        check_payload: Callable[[Any], None] | None = None,
    ) -> None:
        self.function = function
        self.init = init
        self.version = version
        self.state_schema = state_schema
        self.upcasters = upcasters or {}
        self.retry = retry
        self.step_timeout = step_timeout
        self.snapshots = snapshots
        self.workspace = workspace
        self.payload_schema = payload_schema
        self._config = config
        self._check_payload = check_payload
        self._with_context = takes(function, 2)

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.function)

    def config(self) -> Any:
        """Return the configuration that was given, or what the function says that was given in its place."""
        return self._config() if callable(self._config) else self._config

    def check_payload(self, payload: Any) -> None:
        """Have the payload checked by the function that was given for it."""
        if self._check_payload is not None:
            self._check_payload(payload)

    def init_snapshot(self, item: Item) -> Any:
        """Return what `init` makes of the item, or its payload."""
        return item.payload if self.init is None else self.init(item)

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        """Call the function with the state."""
        if self._with_context:
            return self.function(snapshot.data, current_context())
        return self.function(snapshot.data)


def engine(**options: Unpack[EngineOptions]) -> Callable[[StepFunction], FunctionEngine]:
    """Make an engine of a function `(state)` or `(state, ctx)` that returns `Continue`, `Complete` and so on.

    The first state is what `init(item)` returns, or the item's payload; `ctx.item` is the item. `config` is JSON, or a
    function without arguments that returns it at each enqueue; `check_payload(payload)` raises `InvalidInput`. The
    other options are attributes of `Engine`.
    """

    def make(function: StepFunction) -> FunctionEngine:
        return FunctionEngine(function, **options)

    return make


def takes(function: Callable[..., Any], count: int) -> bool:
    """Say whether `function` can be called with `count` positional arguments."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True
