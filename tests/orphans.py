"""Sweep the artifact storage as a worker does, at once and to the end."""

from __future__ import annotations

from runtime.store import blobs


def sweep_orphans(using: str = "default", *, limit: int) -> int:
    """Try up to `limit` contents that no row refers to, those that were stored first in front; return how many went."""
    removed, place, begun = 0, None, False
    while limit and not (begun and place is None):
        done = blobs.sweep(using, limit=limit, after=place)
        removed, limit, place, begun = removed + done.removed, limit - done.tried, done.place, True
    return removed
