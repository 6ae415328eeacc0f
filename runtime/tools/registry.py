"""The tools of an agent, by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from runtime.exceptions import InvalidInput
from runtime.journal import CallPolicy, Quota
from runtime.step import StepContext
from runtime.tools import calling
from runtime.tools.arguments import Arguments, arguments_of
from runtime.tools.result import ToolResult

F = TypeVar("F", bound=Callable[..., Any])
Confirm = bool | Callable[[Mapping[str, Any]], bool]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """A tool: what it is called, what it takes, and under which terms it is called."""

    name: str
    description: str
    function: Callable[..., Any]
    arguments: Arguments
    policy: CallPolicy
    confirm: Confirm
    confirm_within: float | None

    def needs_approval(self, given: Mapping[str, Any]) -> bool:
        """Say whether a person has to approve a call with these arguments, which were checked.

        What decides are the arguments that the tool will get: a model may write them in more than one way.
        """
        return self.confirm(self.arguments.as_taken(given)) if callable(self.confirm) else self.confirm


class ToolRegistry:
    """Tools by name. Fill it when your module is imported; it is safe to share by all steps afterwards."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}

    def tool(
        self,
        *,
        name: str = "",
        description: str = "",
        schema: Any = None,
        policy: CallPolicy | None = None,
        confirm: Confirm = False,
        confirm_within: float | None = None,
        per_run: int | None = None,
        per_window: tuple[int, float] | None = None,
        timeout: float | None = None,
    ) -> Callable[[F], F]:
        """Make a tool of a function, sync or async, and return the function unchanged.

        `schema` is a pydantic model or a JSON schema of its arguments; without one, its type hints are taken. With
        `confirm`, or where that returns True for the arguments as the tool takes them (converted, and with defaults
        where nothing was given), a person has to approve each call; after
        `confirm_within` seconds (`ROOST_WAIT_SECONDS`) without an answer the call is rejected. `per_run` calls may be
        made in an item's life, and `per_window` (number, seconds) in its namespace. `timeout` is in seconds; `policy`
        is the journal's. Raises `InvalidInput`.
        """

        def add(function: F) -> F:
            called = name or function.__name__
            self._tools[self._free(called)] = Tool(
                name=called,
                description=description or inspect.getdoc(function) or "",
                function=function,
                arguments=arguments_of(function, schema),
                policy=_policy(policy or CallPolicy(), per_run, per_window, timeout),
                confirm=confirm,
                confirm_within=confirm_within,
            )
            return function

        return add

    def names(self) -> list[str]:
        """Return the tools' names, sorted."""
        return sorted(self._tools)

    def get(self, name: str) -> Tool | None:
        """Return the tool of that name, if there is one."""
        return self._tools.get(name) if isinstance(name, str) else None

    def describe(self) -> list[dict[str, Any]]:
        """Return name, description and JSON schema of each tool: what a model is told."""
        return [
            {"name": tool.name, "description": tool.description, "parameters": dict(tool.arguments.schema)}
            for _name, tool in sorted(self._tools.items())
        ]

    def call(self, ctx: StepContext, name: str, arguments: Mapping[str, Any], *, key: str = "") -> ToolResult:
        """Call a tool from an atomic step; the step must not have written before, see `StepContext.run`.

        The call is recorded as `tool:<name>:<key>`; without a key, as the how-manieth call of that tool in the step.
        A call that waits for an approval ends this run of the step by `Suspend`, which must be let through.

        Raises `RetryableError` when what failed may pass by itself, and the journal's errors (`CallInDoubt`,
        `JournalMismatch`, `UnstorableOutcome`); everything else is a result.
        """
        return calling.call(self, ctx, name, arguments, key)

    def acall(
        self, ctx: StepContext, name: str, arguments: Mapping[str, Any], *, key: str = ""
    ) -> Coroutine[Any, Any, ToolResult]:
        """Do what `call()` does from an async step: await it. Calls are counted in the order of `acall()`."""
        return calling.acall(self, ctx, name, arguments, key)

    @contextmanager
    def replaced(self, stand_in: Callable[[Tool], Tool]) -> Iterator[None]:
        """Have other tools stand in for these, under their names, while the block runs. For tests; see `scripted`."""
        before = self._tools
        self._tools = {name: stand_in(tool) for name, tool in before.items()}
        try:
            yield
        finally:
            self._tools = before

    @staticmethod
    def approval_key(name: str, arguments: Mapping[str, Any], *, key: str = "1") -> str:
        """Return the key under which a call asks for its approval; `key` is the call's own, or its number."""
        return calling.approval_key(f"{name}:{key}", dict(arguments))

    def _free(self, name: str) -> str:
        if not isinstance(name, str) or not _NAME.match(name):
            raise InvalidInput(
                f"{name!r} is no name of a tool: up to 64 letters, digits, '_' and '-', no digit first.", field="name"
            )
        if name in self._tools:
            raise InvalidInput(f"There is a tool {name!r} already. Give this one another name.", field="name")
        return name


def _policy(
    policy: CallPolicy, per_run: int | None, per_window: tuple[int, float] | None, timeout: float | None
) -> CallPolicy:
    quotas = list(policy.quotas)
    if per_run is not None:
        quotas.append(Quota(most=_most(per_run, "per_run")))
    if per_window is not None:
        most, seconds = per_window
        if not seconds > 0:
            raise InvalidInput(
                f"per_window is a number of calls and seconds above 0, not {per_window!r}.", field="per_window"
            )
        quotas.append(Quota(most=_most(most, "per_window"), seconds=float(seconds)))
    return replace(policy, quotas=tuple(quotas), timeout=policy.timeout if timeout is None else timeout)


def _most(value: Any, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInput(f"{field} allows {value!r} calls; it must be a whole number, 0 or more.", field=field)
    return value
