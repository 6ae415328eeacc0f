"""Roost's tables in Django's admin: read-only, one module for each model. Every change is a verb (console.actions)."""

from __future__ import annotations

from console.admin import artifacts, events, leases, resources, snapshots, work_items, workers

__all__ = ["artifacts", "events", "leases", "resources", "snapshots", "work_items", "workers"]
