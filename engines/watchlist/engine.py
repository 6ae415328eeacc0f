"""Look at a page several times and tell whether it is reachable, with the evidence.

    {"url": "https://example.com", "claim": "Example Domain is reachable", "checks_required": 3, "delay_seconds": 5}

One step is one look; its observation is in the snapshot, so that after a crash the next worker goes on with the next
look. A page that cannot be fetched is an observation, not a failed step. The last step stores all observations as the
artifact `evidence.json`; the result is {"verdict": "reachable", "unstable" or "unreachable", "checks": n, "artifact":
its sha256}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engines.payload import check_fields, check_integer, check_number, check_text, check_url
from engines.watchlist.fetch import observe
from runtime.engine import Complete, Continue, Decision, Engine, Item, Snapshot
from runtime.step import current_context
from runtime.weblinks import MAX_URL

CHECKS = 3
MOST_CHECKS = 1000
DELAY_SECONDS = 5.0
LONGEST_DELAY = 86_400.0
LONGEST_CLAIM = 2000
EVIDENCE = "evidence.json"


class Watchlist(Engine):
    """Watches one page; its state is {"observations": […]}."""

    engine_id = "watchlist"
    version = "1"
    payload_schema = {
        "type": "object",
        "required": ["url"],
        "additionalProperties": False,
        "properties": {
            "url": {
                "type": "string",
                "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://",
                "maxLength": MAX_URL,
                "description": "The page, by http or https; without a user name.",
            },
            "claim": {
                "type": "string",
                "maxLength": LONGEST_CLAIM,
                "description": "What is looked into, for who reads the evidence. Empty: nothing.",
            },
            "checks_required": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_CHECKS,
                "description": f"How many times it looks. Empty: {CHECKS}.",
            },
            "delay_seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": LONGEST_DELAY,
                "description": f"Seconds between two looks. Empty: {DELAY_SECONDS:g}.",
            },
        },
    }

    def check_payload(self, payload: Any) -> None:
        """Refuse a payload that is not as the head of this module says."""
        fields = check_fields(payload, required=["url"], optional=["claim", "checks_required", "delay_seconds"])
        check_url(fields, "url")
        check_text(fields, "claim", longest=LONGEST_CLAIM)
        check_integer(fields, "checks_required", low=1, high=MOST_CHECKS)
        check_number(fields, "delay_seconds", low=0, high=LONGEST_DELAY)

    def init_snapshot(self, item: Item) -> dict[str, Any]:
        """Start with no observation."""
        return {"observations": []}

    async def step(self, snapshot: Snapshot, item: Item) -> Decision:
        """Look once. May look again after a crash; what was seen then counts."""
        wanted = item.payload.get("checks_required", CHECKS)
        before = snapshot.data["observations"]
        seen = await observe(item.payload["url"], len(before) + 1)
        observations = [*before, seen.to_json()]
        state = {"observations": observations}
        label = f"check {seen.n} of {wanted}: {'reached' if seen.ok else 'not reached'}"
        if seen.n < wanted:
            return Continue(state, item.payload.get("delay_seconds", DELAY_SECONDS), label)
        return Complete(await _conclude(item, observations), state, label)


async def _conclude(item: Item, observations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    verdict = judge([observation["ok"] for observation in observations])
    evidence = {
        "work_item": str(item.id),
        "url": item.payload["url"],
        "claim": item.payload.get("claim", ""),
        "verdict": verdict,
        "observations": list(observations),
    }
    sha256 = await current_context().aartifact(EVIDENCE, evidence, kind="json")
    return {"verdict": verdict, "checks": len(observations), "artifact": sha256}


def judge(reached: Sequence[bool]) -> str:
    """Return "reachable" if every look reached the page, "unreachable" if none did, else "unstable"."""
    if all(reached):
        return "reachable"
    return "unstable" if any(reached) else "unreachable"
