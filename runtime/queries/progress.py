"""Say how far the step is that an item makes now: what `ctx.progress` told, as the last heartbeat wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.choices import State
from runtime.models import Lease, WorkItem
from runtime.store import work_database


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a step is, from 0 to 1 where it knows, and what it says of it."""

    fraction: float | None
    note: str

    @property
    def text(self) -> str:
        """Both in a line: "42 %", "42 % · reading", or "reading"."""
        told = [] if self.fraction is None else [f"{self.fraction:.0%}".replace("%", " %")]
        return " · ".join([*told, self.note] if self.note else told)


def progress_of(item: WorkItem, *, using: str | None = None) -> Progress | None:
    """Return how far the item's step is, None unless one runs and has said so."""
    if item.state != State.RUNNING:
        return None
    leases = Lease.objects.using(using or work_database()).filter(pk=item.pk)
    return told_by(leases.only("epoch", "revoked_at", "progress").first(), item)


def told_by(lease: Lease | None, item: WorkItem) -> Progress | None:
    """Return what the item's lease tells, None for what an owner or a step before this one had said."""
    if lease is None or item.state != State.RUNNING or lease.epoch != item.epoch or lease.revoked_at is not None:
        return None
    told: Any = lease.progress
    if not isinstance(told, dict) or told.get("step") != item.version + 1:
        return None
    fraction = told.get("fraction")
    found = Progress(fraction=None if fraction is None else float(fraction), note=str(told.get("note") or ""))
    return found if found.text else None
