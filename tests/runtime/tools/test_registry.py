"""Tools are known by name, and say what they take."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pydantic
import pytest

from runtime.exceptions import InvalidInput
from runtime.journal import CallPolicy, Quota
from runtime.tools.registry import ToolRegistry

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}


class Order(pydantic.BaseModel):
    """What is ordered."""

    number: int
    due: dt.date | None = None


def checked(registry: ToolRegistry, name: str, given: dict[str, Any]) -> dict[str, Any]:
    tool = registry.get(name)
    assert tool is not None
    return tool.arguments.check(given)


def test_type_hints_say_what_a_tool_takes() -> None:
    tools = ToolRegistry()

    @tools.tool()
    def refund(order: int, due: dt.date, *, note: str = "", idempotency_key: str = "") -> None:
        """Pay money back."""

    [told] = tools.describe()
    assert (told["name"], told["description"]) == ("refund", "Pay money back.")
    assert set(told["parameters"]["properties"]) == {"order", "due", "note"}
    assert told["parameters"]["required"] == ["order", "due"]
    assert checked(tools, "refund", {"order": 7, "due": "2030-01-31"}) == {"order": 7, "due": dt.date(2030, 1, 31)}


def test_a_pydantic_model_says_what_a_tool_takes() -> None:
    tools = ToolRegistry()
    tools.tool(name="place", schema=Order)(dict)
    assert checked(tools, "place", {"number": "7"}) == {"number": 7}
    with pytest.raises(InvalidInput, match="number: "):
        checked(tools, "place", {"number": "seven"})


def test_a_json_schema_says_what_a_tool_takes() -> None:
    tools = ToolRegistry()
    tools.tool(name="count", schema=SCHEMA)(dict)
    assert tools.describe()[0]["parameters"] == SCHEMA
    assert checked(tools, "count", {"n": 2}) == {"n": 2}
    with pytest.raises(InvalidInput, match="minimum"):
        checked(tools, "count", {"n": 0})


def test_the_decorated_function_stays_what_it_was() -> None:
    def plain(n: int) -> int:
        return n

    assert ToolRegistry().tool()(plain) is plain


def test_quotas_and_timeout_go_into_the_policy() -> None:
    tools = ToolRegistry()
    own = CallPolicy(max_attempts=1, timeout=9)
    tools.tool(name="a", per_run=3, per_window=(10, 60), timeout=5, policy=own)(lambda: None)
    tools.tool(name="b", policy=own)(lambda: None)
    limited, plain = tools.get("a"), tools.get("b")
    assert limited is not None
    assert plain is not None
    assert limited.policy.quotas == (Quota(most=3), Quota(most=10, seconds=60.0))
    assert (limited.policy.timeout, limited.policy.max_attempts) == (5, 1)
    assert plain.policy == own


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": "two words"}, "name"),
        ({"name": "ü"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": 7}, "name"),
        ({"name": "taken"}, "name"),
        ({"schema": 7}, "schema"),
        ({"schema": {"type": "nonsense"}}, "schema"),
        ({"per_run": -1}, "per_run"),
        ({"per_run": True}, "per_run"),
        ({"per_run": 1.5}, "per_run"),
        ({"per_window": (3, 0)}, "per_window"),
        ({"per_window": (3, float("nan"))}, "per_window"),
        ({"per_window": (-1, 60)}, "per_window"),
    ],
)
def test_a_tool_that_cannot_be_is_refused_when_it_is_declared(options: Any, field: str) -> None:
    tools = ToolRegistry()
    tools.tool(name="taken")(lambda: None)
    with pytest.raises(InvalidInput) as caught:
        tools.tool(**{"name": "fine", **options})(lambda: None)
    assert caught.value.field == field
    assert tools.names() == ["taken"]


def test_parameters_without_names_cannot_be_arguments() -> None:
    with pytest.raises(InvalidInput, match="names of their own"):
        ToolRegistry().tool(name="any")(lambda *many: None)
