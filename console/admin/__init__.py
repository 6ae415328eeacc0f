"""Roost's tables in Django's admin, one module for each model.

Work is read-only, every change of it a verb (console.actions). Limits, schedules, triggers and how much room a
resource has are configuration, and edited here; webhooks are turned on and off.
"""

from __future__ import annotations

from console.admin import (
    artifacts,
    events,
    journal,
    kept,
    leases,
    limits,
    mailboxes,
    resources,
    schedules,
    snapshots,
    tokens,
    triggers,
    waits,
    webhook_targets,
    webhooks,
    work_items,
    workers,
)

__all__ = [
    "artifacts",
    "events",
    "journal",
    "kept",
    "leases",
    "limits",
    "mailboxes",
    "resources",
    "schedules",
    "snapshots",
    "tokens",
    "triggers",
    "waits",
    "webhook_targets",
    "webhooks",
    "work_items",
    "workers",
]
