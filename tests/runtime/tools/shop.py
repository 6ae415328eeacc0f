"""A shop's tools, and an engine that calls the tool which its payload names."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime.engine import Complete, Engine, Item, Snapshot
from runtime.exceptions import Declined, InvalidData, RetryableError
from runtime.journal import CallPolicy
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from runtime.tools.registry import ToolRegistry
from runtime.tools.result import ToolResult

tools = ToolRegistry()
made: list[tuple[str, Any]] = []
"""The calls that were made: effects outside."""


@tools.tool(confirm=lambda arguments: arguments["amount"] > 100, confirm_within=3600)
async def refund(order: int, amount: float, *, idempotency_key: str) -> dict[str, Any]:
    """Pay money back for an order."""
    made.append(("refund", {"order": order, "amount": amount, "key": idempotency_key}))
    return {"refunded": amount}


@tools.tool()
def look_up(name: str) -> dict[str, Any]:
    """Look a customer up."""
    made.append(("look_up", name))
    if name == "nobody":
        raise InvalidData("There is no such customer.", code="no_customer", details={"suggestions": ["Ask for one."]})
    if name == "banned":
        raise Declined("The customer is banned.")
    return {"name": name}


@tools.tool(policy=CallPolicy(max_attempts=2, base=0.0, cap=0.0))
def weather(city: str) -> ToolResult:
    """Say what the weather is; the service is often away."""
    made.append(("weather", city))
    if city == "away":
        raise ConnectionError("the service is away")
    if city == "once" and len(made) < 2:
        raise RetryableError("not now")
    return ToolResult(success=True, payload="rain", suggestions=["Take an umbrella."])


@tools.tool(policy=CallPolicy(max_attempts=2, base=0.0, cap=0.0, sticky="any"))
def flaky() -> None:
    """Never there."""
    made.append(("flaky", None))
    raise ConnectionError("away for good")


@tools.tool(per_run=2)
def search(query: str) -> str:
    """Search, twice in a run at the most."""
    made.append(("search", query))
    return query


@tools.tool(per_window=(3, 60))
async def mail(to: str) -> str:
    """Send a mail, three in a minute at the most."""
    made.append(("mail", to))
    return to


@tools.tool()
def dump(size: int) -> str:
    """Return a text of some size."""
    made.append(("dump", size))
    return "x" * size


@tools.tool(confirm=lambda arguments: arguments["force"] is True)
def wipe(force: bool = False) -> bool:
    """Remove what is old, or with `force` everything."""
    made.append(("wipe", force))
    return force


@tools.tool(policy=CallPolicy(in_doubt="ask"), timeout=0.01)
async def transfer(to: str) -> dict[str, Any]:
    """Transfer money, by a bank that does not answer in time."""
    made.append(("transfer", to))
    await asyncio.Event().wait()
    return {"id": to}


@tools.tool()
def odd() -> Any:
    """Return what is no JSON."""
    made.append(("odd", None))
    return {1, 2}


class Calling(Engine):
    """Call each tool of the payload's `calls` ([name, arguments]) in one step; be done with what came of them."""

    retry = RetryPolicy.fixed(0, 3)

    def init_snapshot(self, item: Item) -> Any:
        return None

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        results = [await tools.acall(ctx, name, arguments) for name, arguments in item.payload["calls"]]
        if item.payload.get("fails") and ctx.attempt == 1:
            raise RetryableError("after the calls")
        return Complete([result.as_json() for result in results])


class Together(Calling):
    """Make them all at once."""

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        calls = [tools.acall(ctx, name, arguments) for name, arguments in item.payload["calls"]]
        return Complete([result.as_json() for result in await asyncio.gather(*calls)])


class Atomic(Calling):
    """The same from an atomic step."""

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:  # type: ignore[override]
        results = [tools.call(ctx, name, arguments) for name, arguments in item.payload["calls"]]
        return Complete([result.as_json() for result in results])
