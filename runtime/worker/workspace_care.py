"""Remove workspaces that have outstayed their items, on this host, beside the heartbeat."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from django.db import DatabaseError, connections

from runtime.conf import settings as roost
from runtime.exceptions import WorkspaceUnavailable
from runtime.queries import workspaces
from runtime.queries.workspaces import Kept
from runtime.workspaces import places
from runtime.workspaces.clearing import clear, remove_leftovers
from runtime.workspaces.places import HOUSE, Lock, Place

logger = logging.getLogger("roost.workspaces")

EVERY_SECONDS = 600.0
BATCH = 200
LEFTOVER_SECONDS = 24 * 3600.0


class WorkspaceCare:
    """Starts a look through some of the workspaces in a thread of its own every ten minutes, where there are any."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._due_at = time.monotonic() + EVERY_SECONDS * random.random()  # noqa: S311 - spreads load
        self._after = ""
        self._thread: threading.Thread | None = None

    def start_if_due(self) -> None:
        """Start if it is time. Returns at once."""
        if time.monotonic() < self._due_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._due_at = time.monotonic() + EVERY_SECONDS
        if roost.WORKSPACES_ROOT:
            self._thread = threading.Thread(target=self._look, name="roost-workspaces", daemon=True)
            self._thread.start()

    def _look(self) -> None:
        try:
            page = workspaces.kept(after=self._after, limit=BATCH, using=self._using)
            self._after = page.rows[-1].name if page.more else ""
            clean([one for one in page.rows if one.over], self._using)
            clean_leftovers()
        except (DatabaseError, WorkspaceUnavailable, OSError) as error:
            logger.warning("the workspaces could not be cleaned: %s", error)
        finally:
            connections.close_all()


def clean(found: Sequence[Kept], using: str) -> list[Kept]:
    """Remove those workspaces of these that still may go and nobody works in; return them.

    Each is looked at again under its lock. One whose item is brought back in that moment is made anew by its next step.
    """
    gone = []
    for one in found:
        try:
            if clear(one.place, lambda record: workspaces.still_over(record, using)):
                gone.append(one)
        except OSError as error:
            logger.warning("the workspace %s could not be removed: %s", one.place.path, error)
    if gone:
        logger.info("removed %d workspaces", len(gone))
    return gone


def clean_leftovers(*, older: float = LEFTOVER_SECONDS) -> int:
    """Remove what processes that died have left half made or half removed for so many seconds; return how many."""
    folder = places.root() / HOUSE / "making"
    removed = 0
    for left in sorted(folder.iterdir()) if folder.is_dir() else []:
        if _age(left) >= older and _remove(left):
            removed += 1
    return removed


def _age(left: Path) -> float:
    try:
        return time.time() - left.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(left: Path) -> bool:
    try:
        item = uuid.UUID(left.name[:36])
    except ValueError:
        return False
    place = Place(root=left.parents[2], namespace="", item=item)
    place.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = Lock.take(place.lock)
    if lock is None:
        return False
    try:
        remove_leftovers(place)
        if not place.record.exists():
            place.lock.unlink(missing_ok=True)
    finally:
        lock.close()
    return not os.path.lexists(left)
