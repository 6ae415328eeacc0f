"""Engines that these tests enqueue for."""

from __future__ import annotations

from typing import Any

from runtime.engine import Complete, Engine, Item, Snapshot
from runtime.exceptions import InvalidInput
from runtime.retry import RetryPolicy


class Echo(Engine):
    """Takes anything."""

    engine_id = "echo"

    def init_snapshot(self, item: Item) -> Any:
        return item.payload

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        return Complete(snapshot.data)


class Picky(Echo):
    """Has terms of its own and takes payloads with a name only."""

    engine_id = "picky"
    version = "2.1"
    retry = RetryPolicy(max_attempts=9, base=1, cap=2, jitter=0)
    step_timeout = 7.5
    settings: dict[str, Any] = {"model": "small"}

    def config(self) -> Any:
        return self.settings

    def check_payload(self, payload: Any) -> None:
        if not isinstance(payload, dict) or "name" not in payload:
            raise InvalidInput("payload has no 'name'. Say whom to greet.")


broken = "this is no engine"
