"""What a scenario of the crash suite is: an operator who reads the tables and does what comes next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx

from runtime.models import Event, WorkItem
from runtime.operations.enqueue import enqueue


@dataclass(frozen=True, kw_only=True)
class World:
    """What is outside of the database: addresses on loopback, and a folder."""

    service: str
    page: str
    folder: str

    def effects(self, path: str) -> int:
        """Return how many effects the service has seen: calls under the same key are one."""
        return int(httpx.get(self.service + path).text)


class Scenario(ABC):
    """A piece of work that must come to the same end whoever dies where.

    `play` may be cut off anywhere and is begun anew by somebody who knows the tables alone, so every move it makes
    either has a key, or is made only if the tables do not show it.
    """

    name: ClassVar[str]
    own_process: ClassVar[bool] = False
    """Whether a worker has things that only the end of its process frees, so that a thread cannot stand in for it."""

    def prepare(self, world: World) -> None:
        """Make what has to be there before anything can fail."""

    @abstractmethod
    def play(self, world: World) -> bool:
        """Do what comes next, if anything; return whether it is over."""

    @abstractmethod
    def check(self, world: World) -> None:
        """Assert that each effect is there, and once."""


def item(key: str, engine: str, payload: Any, **options: Any) -> WorkItem:
    """Return the item of this key, enqueued if it was not yet."""
    found = WorkItem.objects.filter(idempotency_key=key).first()
    return found or enqueue(engine, payload, idempotency_key=key, **options)


def told(found: WorkItem, kind: str) -> int:
    """Return how often this happened to an item."""
    return Event.objects.filter(work_item=found, kind=kind).count()
