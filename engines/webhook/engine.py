"""Tell a webhook target what has happened to an item.

    {"target": 7, "event": "item.done", "body": "…", "seal": "…"}

A target is a row's number, or a name in `ROOST_WEBHOOK_TARGETS`. Roost enqueues these items by itself, see
`runtime.operations.notifying`; one that anybody else wrote is refused. One step is one recorded call: tried again with
back-off while that may help, made once when its success is recorded, and repeated under the same id when a crash leaves
it in doubt.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections
from django.views.decorators.debug import sensitive_variables

from engines.payload import check_fields, check_text
from runtime.deliveries import ENGINE, signed_headers
from runtime.engine import Complete, Decision, Engine, Item, Snapshot
from runtime.exceptions import AccessDenied, Declined, InvalidInput
from runtime.journal import CallPolicy
from runtime.operations import delivering
from runtime.operations.notices import MAX_BODY, is_sealed
from runtime.outgoing import Reply, opened
from runtime.retry import RetryPolicy
from runtime.step import StepContext

Result = TypeVar("Result")

TIMEOUT_SECONDS = 10.0
ONCE = CallPolicy(max_attempts=1, in_doubt="retry")
GONE = 410


class WebhookDelivery(Engine):
    """Delivers one notice to one target."""

    engine_id = ENGINE
    version = "1"
    # Twelve attempts in about two and a half hours: a receiver's bad deploy, or its bad night, costs no delivery.
    retry = RetryPolicy(max_attempts=12, base=5.0, cap=3600.0, jitter=0.25)
    step_timeout = 60.0

    def check_payload(self, payload: Any) -> None:
        """Refuse a payload that Roost did not write."""
        fields = check_fields(payload, required=["target", "event", "body", "seal"])
        for name, longest in (("event", 50), ("body", MAX_BODY), ("seal", 200)):
            check_text(fields, name, longest=longest)
        if type(fields["target"]) not in (int, str) or not is_sealed(fields):
            raise InvalidInput("Deliveries are enqueued by webhook targets, and by nobody else.", field="payload.seal")

    def init_snapshot(self, item: Item) -> dict[str, Any]:
        """Start with nothing delivered."""
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Decision:
        """Deliver. The receiver may be told twice, after a crash or a lost answer, under the same delivery id."""
        payload = item.payload
        if not is_sealed(payload):
            raise AccessDenied("This delivery was changed since it was enqueued: it is not signed.", code="not_sealed")
        given = {"target": payload["target"], "event": payload["event"]}
        sent = await ctx.run("deliver", deliver, item.id, payload, input=given, policy=ONCE)
        await _in_database(partial(delivering.delivered, payload["target"], item.id))
        return Complete(sent, {"delivered": True}, label=f"delivered {payload['event']}")


async def deliver(delivery: uuid.UUID, payload: dict[str, Any]) -> dict[str, Any]:
    """Make one attempt, counted if it fails; return the status and the milliseconds it took.

    Raises `Declined` for a target that wants nothing more or redirects, `BadStatus`, and what `outgoing.opened` raises.
    """
    try:
        return await _attempt(delivery, payload)
    except Exception as error:
        await _in_database(partial(delivering.not_delivered, payload["target"], error))
        raise


@sensitive_variables()
async def _attempt(delivery: uuid.UUID, payload: dict[str, Any]) -> dict[str, Any]:
    to = await _in_database(partial(delivering.destination, payload["target"]))
    content = payload["body"].encode()
    headers = signed_headers(to.secret, event=payload["event"], delivery=str(delivery), content=content, now=to.now)
    started = time.monotonic()
    async with opened("POST", to.url, headers=headers, content=content, timeout=TIMEOUT_SECONDS, redirects=0) as answer:
        # What the answer says beside its status is nobody's business: it is not read, however long it is.
        reply = Reply(status=answer.status_code, headers=dict(answer.headers), content=b"", url=to.url)
    if reply.status == GONE:
        await _in_database(partial(delivering.gone, payload["target"], to.url))
        raise Declined("The receiver is gone for good (410). Nothing is to be sent there.", code="gone")
    if 300 <= reply.status < 400:
        raise Declined(f"The receiver redirects ({reply.status}). Give its target the new address.", code="redirected")
    reply.check()
    return {"status": reply.status, "ms": round((time.monotonic() - started) * 1000)}


async def _in_database(work: Callable[[], Result]) -> Result:
    """Do a little work in the database, beside the event loop."""

    def closing() -> Result:
        try:
            return work()
        finally:
            # Nobody else tidies up in this thread. What a transaction holds, a test's, is not ours to close.
            for connection in connections.all(initialized_only=True):
                if not connection.in_atomic_block:
                    connection.close()

    return await sync_to_async(closing)()
