"""Refund an order: rate it, ask a person, pay, send a letter, and file what the bank says.

    {"service": "https://shop.example/api", "order": "A-7", "amount": 120}

Whatever leaves the process goes through `ctx.run`: made once, or shown as in doubt. Nothing is held while it waits.
"""

from __future__ import annotations

import json
from typing import Any

from engines.payload import check_fields, check_integer, check_text, check_url
from runtime.asks import Approval, AwaitChildren, AwaitSignal
from runtime.engine import Complete, Continue, Decision, Engine, Item, Snapshot, WaitFor
from runtime.journal import CallPolicy
from runtime.outgoing import afetch
from runtime.step import StepContext


async def post(url: str, body: dict[str, Any], *, idempotency_key: str) -> Any:
    """Send JSON and return the JSON that comes back."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
    answer = await afetch("POST", url, headers=headers, content=json.dumps(body).encode())
    return json.loads(answer.check().content)


class Refund(Engine):
    """Three steps: assess, pay, file."""

    engine_id = "refund"

    def check_payload(self, payload: Any) -> None:
        """Refuse a payload that is not as the head of this module says."""
        fields = check_fields(payload, required=["service", "order", "amount"])
        check_url(fields, "service")
        check_text(fields, "order", longest=100)
        check_integer(fields, "amount", low=1, high=1_000_000)

    def init_snapshot(self, item: Item) -> dict[str, Any]:
        """Start with the assessment."""
        return {"next": "assess"}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        """Do what the state says comes next."""
        return await getattr(self, snapshot.data["next"])(snapshot.data, item.payload, ctx)

    async def assess(self, state: dict[str, Any], order: dict[str, Any], ctx: StepContext) -> Decision:
        """Rate the order, and ask a person; the rating is paid for once, however long the answer takes."""
        rating = await ctx.run("rating", post, f"{order['service']}/ratings", {"order": order["order"]})
        answer = ctx.ask(Approval("refund", prompt=f"Refund {order['amount']} for {order['order']}?", data=rating))
        if not answer.approved:
            return Complete({"refunded": 0, "because": answer.reason})
        return Continue({"next": "pay", "approved_by": answer.by}, label="approved")

    async def pay(self, state: dict[str, Any], order: dict[str, Any], ctx: StepContext) -> Decision:
        """Pay, and ask a person if it is not known whether that happened; then wait for the letter and the bank."""
        url, body = f"{order['service']}/payments", {"order": order["order"], "amount": order["amount"]}
        paid = await ctx.run("pay", post, url, body, policy=CallPolicy(in_doubt="ask"))
        letter = ctx.spawn("letter", order)
        asks = [AwaitChildren("letter", children=[letter]), AwaitSignal("settled", name=f"settled:{order['order']}")]
        return WaitFor(asks, state={**state, "next": "file", "payment": paid["id"]}, label="paid")

    async def file(self, state: dict[str, Any], order: dict[str, Any], ctx: StepContext) -> Decision:
        """Keep the record as an artifact."""
        record = {**state, "order": order["order"], "bank": ctx.answers["settled"].value}
        sha256 = await ctx.aartifact("refund.json", record, kind="json")
        return Complete({"refunded": order["amount"], "record": sha256})


class Letter(Refund):
    """One step: send the letter."""

    engine_id = "letter"

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Decision:
        """Send it."""
        url, to = f"{item.payload['service']}/letters", {"to": item.payload["order"]}
        return Complete(await ctx.run("send", post, url, to))
