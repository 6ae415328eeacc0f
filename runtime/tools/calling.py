"""The way of a tool call: find the tool, check its arguments, have it approved, make it once, tell what came of it."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime import jsondata
from runtime.asks import Answer, Approval
from runtime.choices import ErrorCategory
from runtime.conf import settings as roost
from runtime.exceptions import CallFailed, InvalidInput, NotJSON, QuotaExceeded, TooLarge
from runtime.journal.call import input_hash
from runtime.step import StepContext
from runtime.tools.arguments import GIVEN
from runtime.tools.result import ToolResult

if TYPE_CHECKING:
    from runtime.tools.registry import Tool, ToolRegistry


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A call that may be made: `given` as it was asked for (JSON), `values` as the tool takes it."""

    tool: Tool
    key: str
    given: Mapping[str, Any]
    values: Mapping[str, Any]


def call(registry: ToolRegistry, ctx: StepContext, name: str, arguments: Any, key: str) -> ToolResult:
    """See a call through in this thread."""
    prepared = prepare(registry, ctx, name, arguments, key)
    if isinstance(prepared, ToolResult):
        return prepared
    refused = _approve(ctx, prepared)
    if refused is not None:
        return refused
    try:
        made = _make(ctx, prepared)
        if inspect.iscoroutine(made):
            made.close()
            raise InvalidInput("registry.call() is for atomic steps; in an async step, await registry.acall().")
        return ToolResult.recorded(made)
    except (CallFailed, QuotaExceeded) as error:
        return _failure(error)


def acall(
    registry: ToolRegistry, ctx: StepContext, name: str, arguments: Any, key: str
) -> Coroutine[Any, Any, ToolResult]:
    """Return what is to be awaited for a call. It gets its number now, whenever it is awaited."""
    prepared = prepare(registry, ctx, name, arguments, key)

    async def made() -> ToolResult:
        if isinstance(prepared, ToolResult):
            return prepared
        refused = _approve(ctx, prepared)
        if refused is not None:
            return refused
        try:
            return ToolResult.recorded(await _make(ctx, prepared))
        except (CallFailed, QuotaExceeded) as error:
            return _failure(error)

    return made()


def prepare(registry: ToolRegistry, ctx: StepContext, name: str, arguments: Any, key: str) -> ToolCall | ToolResult:
    """Return the call, or the result that says why there is none."""
    tool = registry.get(name)
    if tool is None:
        return _unknown(registry, name)
    number = ctx.count_call(tool.name)
    try:
        if not isinstance(arguments, Mapping):
            raise InvalidInput(f"arguments is a {type(arguments).__name__}; it must be an object.", field="arguments")
        jsondata.dumps(dict(arguments), what="arguments", max_bytes=roost.MAX_TOOL_BYTES)
        values = tool.arguments.check(arguments)
    except InvalidInput as error:
        return _invalid(tool, error)
    return ToolCall(tool=tool, key=f"{tool.name}:{key or number}", given=dict(arguments), values=values)


def _unknown(registry: ToolRegistry, name: Any) -> ToolResult:
    near = difflib.get_close_matches(str(name), registry.names(), n=3)
    return ToolResult.failure(
        ErrorCategory.VALIDATION,
        "unknown_tool",
        f"There is no tool {str(name)[:100]!r}. There are: {', '.join(registry.names()) or 'none'}.",
        suggestions=[f"Call {found!r}." for found in near],
    )


def _invalid(tool: Tool, error: InvalidInput) -> ToolResult:
    code = error.code if isinstance(error, NotJSON) else "invalid_arguments"
    expected = ", ".join(tool.arguments.schema.get("properties", {})) or "none"
    return ToolResult.failure(
        ErrorCategory.VALIDATION,
        code,
        f"The arguments of {tool.name} are wrong: {error}",
        suggestions=[f"{tool.name} takes: {expected}. Correct the arguments and call it again."],
        schema=dict(tool.arguments.schema),
    )


def _approve(ctx: StepContext, made: ToolCall) -> ToolResult | None:
    """Wait until a person has approved the call; return the result of one that is not to be made."""
    tool = made.tool
    if not tool.needs_approval(made.given):
        return None
    answer = ctx.ask(
        Approval(
            approval_key(made.key, made.given),
            prompt=f"Call the tool {tool.name}?",
            data={"tool": tool.name, "arguments": made.given},
            expires_in=tool.confirm_within,
            default=False,
        )
    )
    return None if answer.approved else _rejected(tool, answer)


def approval_key(key: str, given: Mapping[str, Any]) -> str:
    """Return the key under which a call asks: with the hash of its arguments, since it is approved for no others."""
    return f"tool:{key}:{input_hash(key, given)[:16]}"


def _rejected(tool: Tool, answer: Answer) -> ToolResult:
    if answer.expired:
        return ToolResult.failure(
            ErrorCategory.PERMISSION, "not_approved", f"Nobody approved the call of {tool.name} in time."
        )
    because = f": {answer.reason}" if answer.reason else "."
    return ToolResult.failure(
        ErrorCategory.PERMISSION, "rejected", f"{answer.by or 'A person'} rejected the call of {tool.name}{because}"
    )


def _make(ctx: StepContext, made: ToolCall) -> Any:
    tool = made.tool
    function = functools.partial(enveloped(tool.function), dict(made.values))
    given = {"tool": tool.name, "arguments": made.given}
    return ctx.run(f"tool:{made.key}", function, policy=tool.policy, input=given, name=f"tool:{tool.name}")


def enveloped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the keyword arguments, as a dict, that calls a tool and returns its result as JSON."""

    async def amade(values: Mapping[str, Any], **more: Any) -> Any:
        return envelope(await function(**values, **more))

    def made(values: Mapping[str, Any], **more: Any) -> Any:
        return envelope(function(**values, **more))

    found: Any = amade if inspect.iscoroutinefunction(function) else made
    parameters = [inspect.Parameter("values", inspect.Parameter.POSITIONAL_ONLY)]
    if GIVEN in inspect.signature(function).parameters:
        parameters.append(inspect.Parameter(GIVEN, inspect.Parameter.KEYWORD_ONLY))
    found.__signature__ = inspect.Signature(parameters)
    return found  # type: ignore[no-any-return]


def envelope(value: Any) -> Any:
    """Return what a tool returned as the JSON of a result; one that is too large was made in vain, and says so."""
    result = value if isinstance(value, ToolResult) else ToolResult(success=True, payload=value)
    found = result.as_json()
    try:
        jsondata.dumps(found, what="result", max_bytes=roost.MAX_TOOL_BYTES)
    except TooLarge as error:
        return ToolResult.failure(
            ErrorCategory.VALIDATION,
            "too_large",
            f"The call was made, but its {error}",
            suggestions=["Ask for less, or for a part of it."],
        ).as_json()
    except NotJSON:
        return found  # the journal says what is wrong with it
    return found


def _failure(error: CallFailed | QuotaExceeded) -> ToolResult:
    if isinstance(error, QuotaExceeded):
        told: dict[str, Any] = {name: error.details.get(name) for name in ("most", "seconds", "retry_after")}
        later = error.details.get("seconds") is not None
        return ToolResult.failure(error.category, error.code, str(error), retryable=later, **told)
    recorded = error.details.get("error", {})
    category = str(recorded.get("category") or ErrorCategory.UNKNOWN)
    return ToolResult.failure(
        category,
        str(recorded.get("code") or error.code),
        str(recorded.get("message") or error),
        retryable=category == ErrorCategory.TRANSIENT,
        suggestions=[str(one) for one in (recorded.get("details") or {}).get("suggestions", ())],
        error=recorded.get("type", ""),
    )
