"""Play the tools of a registry from a script, in tests: none is called, and what each was asked is kept.

    with scripted(tools, search=[["a page"], ConnectionError("away")], refund={"refunded": 120}) as asked:
        drain()
    assert asked["search"][0] == {"query": "roost"}

Arguments, approvals, quotas and the journal are those of the tools: only what they do outside is played.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from runtime.exceptions import PermanentError
from runtime.tools.registry import Tool, ToolRegistry

Asked = dict[str, list[dict[str, Any]]]
"""By tool, the arguments of each of its calls, as the tool would have got them."""


@contextmanager
def scripted(registry: ToolRegistry, /, **script: Any) -> Iterator[Asked]:
    """Let the tools answer by the script while the block runs; give what they are asked, filled as they are.

    A list has an answer for each call in turn, anything else is the answer to every call. An exception is raised, any
    other answer returned. A call for which there is no answer fails for good, and the block with `AssertionError`.
    Raises `AssertionError` for a tool that the registry does not have. One script at a time.
    """
    asked: Asked = {name: [] for name in registry.names()}
    if strangers := sorted(script.keys() - asked.keys()):
        raise AssertionError(f"There is no tool {', '.join(strangers)}. There are: {', '.join(asked) or 'none'}.")
    unanswered: list[str] = []

    def play(name: str, arguments: dict[str, Any]) -> Any:
        asked[name].append(arguments)
        answer = script.get(name, _NONE)
        if isinstance(answer, list):
            answer = answer[len(asked[name]) - 1] if len(asked[name]) <= len(answer) else _NONE
        if answer is _NONE:
            unanswered.append(f"call {len(asked[name])} of {name} with {arguments!r:.200}")
            raise PermanentError(f"The script has no answer to {unanswered[-1]}.", code="unscripted")
        if isinstance(answer, BaseException):
            raise answer
        return answer

    with registry.replaced(lambda tool: replace(tool, function=_player(tool, play))):
        yield asked
    if unanswered:
        raise AssertionError(f"The script has no answer to {'; '.join(unanswered)}.")


_NONE: Any = object()


def _player(tool: Tool, play: Callable[[str, dict[str, Any]], Any]) -> Callable[..., Any]:
    """Return what stands in for a tool's function, of the same kind: a step awaits what it awaited before."""

    async def aplayed(**arguments: Any) -> Any:
        return play(tool.name, arguments)

    def played(**arguments: Any) -> Any:
        return play(tool.name, arguments)

    return aplayed if inspect.iscoroutinefunction(tool.function) else played
