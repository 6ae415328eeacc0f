"""Engines of the demo product, so that every page of its console has something to show. They call nobody outside.

{"number": "A-17", "amount": 120, "trouble": "timeout"}    an invoice; without trouble it is numbered and filed
{"title": "The quarter's figures", "ask": "approval"}      a review; `ask` is "approval" (default) or "input"
"""

from __future__ import annotations

import asyncio
from typing import Any

from engines.payload import check_fields, check_integer, check_text
from runtime.asks import Approval, Input
from runtime.engine import Complete, Continue, Decision, Engine, Item, Snapshot
from runtime.exceptions import InvalidInput, PermanentError, RetryableError
from runtime.step import StepContext

STEP_SECONDS = 0.05
ASKS = ("approval", "input")
TROUBLES = ("timeout", "currency")
FIGURE = {
    "type": "object",
    "properties": {"figure": {"type": "number", "title": "The figure"}, "source": {"type": "string"}},
    "required": ["figure"],
}


class Invoice(Engine):
    """Price, number, file; the payload may ask for trouble of two kinds."""

    engine_id = "invoice"

    def check_payload(self, payload: Any) -> None:
        """Refuse a payload that is not as the head of this module says."""
        fields = check_fields(payload, required=["number", "amount"], optional=["trouble"])
        check_text(fields, "number", longest=100)
        check_integer(fields, "amount", low=1, high=1_000_000)
        if fields.get("trouble", TROUBLES[0]) not in TROUBLES:
            raise InvalidInput(f"trouble must be one of {', '.join(TROUBLES)}.", field="payload.trouble")

    def init_snapshot(self, item: Item) -> dict[str, Any]:
        """Start with the price."""
        return {"next": "price"}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Decision:
        """Do what comes next."""
        await asyncio.sleep(STEP_SECONDS)
        if snapshot.data["next"] == "price":
            return await self.price(item.payload, ctx)
        record = {**snapshot.data, "number": item.payload["number"]}
        sha256 = await ctx.aartifact("invoice.json", record, kind="json")
        return Complete({"total": record["total"], "file": sha256}, label="filed")

    async def price(self, order: dict[str, Any], ctx: StepContext) -> Decision:
        """Ask for the tax, once, and add it."""
        tax = await ctx.run("tax", tax_of, order["amount"], order.get("trouble", ""))
        return Continue({"next": "file", "total": order["amount"] + tax}, label="priced")


async def tax_of(amount: int, trouble: str) -> int:
    """Return the tax as a service of the state would, and fail as such services do."""
    await asyncio.sleep(STEP_SECONDS)
    if trouble == "timeout":
        raise RetryableError("The tax service did not answer within 5 s.", code="tax_timeout")
    if trouble == "currency":
        raise PermanentError("The tax service knows no currency XAU.", code="unknown_currency")
    return amount // 5


class Review(Engine):
    """One step that asks a person and waits, without a worker, until somebody says."""

    engine_id = "review"

    def check_payload(self, payload: Any) -> None:
        """Refuse a payload that is not as the head of this module says."""
        fields = check_fields(payload, required=["title"], optional=["ask", "hours"])
        check_text(fields, "title", longest=500)
        check_integer(fields, "hours", low=1, high=1000)
        if fields.get("ask", ASKS[0]) not in ASKS:
            raise InvalidInput(f"ask must be one of {', '.join(ASKS)}.", field="payload.ask")

    def init_snapshot(self, item: Item) -> dict[str, Any]:
        """Start with nothing: the answer is all there is to know."""
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Decision:
        """Ask, and end with the answer."""
        title, seconds = item.payload["title"], item.payload.get("hours", 24) * 3600.0
        if item.payload.get("ask") == "input":
            told = ctx.ask(Input("figure", prompt=f"{title}: which figure?", schema=FIGURE, expires_in=seconds))
            return Complete({"title": title, "said": told.value, "by": told.by})
        answer = ctx.ask(Approval("publish", prompt=f"Publish “{title}”?", data={"title": title}, expires_in=seconds))
        return Complete({"title": title, "published": answer.approved, "by": answer.by})
