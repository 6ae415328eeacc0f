"""Count to a number, one step each.

    {"count_to": 10, "delay_seconds": 1, "sleep": 0.2, "fail_at": 4, "fail_with": "retryable", "fail_times": 2}

`delay_seconds` lie between two steps, `sleep` is how long each step takes. Step `fail_at` raises in its first
`fail_times` attempts (1) an error that is "retryable" (default) or "permanent". The result is {"count": count_to}.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from engines.payload import check_fields, check_integer, check_number
from runtime.engine import Complete, Continue, Decision, Engine, Item, Snapshot
from runtime.exceptions import InvalidInput, PermanentError, RetryableError
from runtime.step import current_context

MOST = 1_000_000_000
LONGEST = 86_400.0
ERRORS = {"retryable": RetryableError, "permanent": PermanentError}
WHOLE = {"type": "integer", "minimum": 1, "maximum": MOST}
SECONDS = {"type": "number", "minimum": 0, "maximum": LONGEST}


class Counter(Engine):
    """Counts from 0 to `count_to`; its state is {"count": n}."""

    engine_id = "counter"
    version = "1"
    payload_schema = {
        "type": "object",
        "required": ["count_to"],
        "additionalProperties": False,
        "properties": {
            "count_to": {**WHOLE, "description": "How many steps it makes."},
            "delay_seconds": {**SECONDS, "description": "Seconds between two steps."},
            "sleep": {**SECONDS, "description": "Seconds that each step takes."},
            "fail_at": {**WHOLE, "description": "The step that fails. Empty: none does."},
            "fail_with": {"enum": sorted(ERRORS), "description": "Whether another attempt may help. Empty: it may."},
            "fail_times": {**WHOLE, "description": "In how many of its first attempts. Empty: 1."},
        },
    }

    def check_payload(self, payload: Any) -> None:
        """Refuse a payload that is not as the head of this module says."""
        fields = check_fields(
            payload, required=["count_to"], optional=["delay_seconds", "sleep", "fail_at", "fail_with", "fail_times"]
        )
        for name in ("count_to", "fail_at", "fail_times"):
            check_integer(fields, name, low=1, high=MOST)
        for name in ("delay_seconds", "sleep"):
            check_number(fields, name, low=0, high=LONGEST)
        if fields.get("fail_with", "retryable") not in ERRORS:
            raise InvalidInput(
                f"fail_with is {fields['fail_with']!r}; it must be one of {', '.join(ERRORS)}.",
                field="payload.fail_with",
            )

    def init_snapshot(self, item: Item) -> dict[str, int]:
        """Start at 0."""
        return {"count": 0}

    async def step(self, snapshot: Snapshot, item: Item) -> Decision:
        """Count one further."""
        payload = item.payload
        count = snapshot.data["count"] + 1
        if payload.get("sleep"):
            await asyncio.sleep(payload["sleep"])
        if payload.get("fail_at") == count:
            _fail(payload, count)
        goal, label = payload["count_to"], f"{count} of {payload['count_to']}"
        if count >= goal:
            return Complete({"count": count}, {"count": count}, label)
        return Continue({"count": count}, payload.get("delay_seconds", 0.0), label)


def _fail(payload: Mapping[str, Any], count: int) -> None:
    attempt = current_context().attempt
    if attempt <= payload.get("fail_times", 1):
        error = ERRORS[payload.get("fail_with", "retryable")]
        raise error(f"Step {count} fails in attempt {attempt}, as its payload asks.", code="asked_to_fail")
