"""Decide when a worker looks for work, when an item makes room, and when a suspect gets a process to itself.

Pure bookkeeping in monotonic seconds beside two cheap questions to the store; the pump asks, nothing here acts.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Collection
from dataclasses import replace

from django.db import connections

from runtime.conf import settings as roost
from runtime.store.base import Store
from runtime.store.values import ClaimRequest
from runtime.worker.options import WorkerOptions
from runtime.worker.run import Run

PEEK_SECONDS = 0.25
YIELDS_PER_PEEK = 10
BLOCKED_SECONDS = 0.01
BLOCKED_MOST_SECONDS = 0.4
SUSPECT_SECONDS = 2.0
WOKEN_SECONDS = 0.5
"""Between two looks for suspects while wake-ups come."""
UNWOKEN_SECONDS = 10.0
SQLITE_UNWOKEN_SECONDS = 4.0
QUIET_SECONDS = 10.0
STREAK_SECONDS = 5.0
TOLD_SECONDS = 0.05
"""After a claim that followed a wake-up and left room: until then, or until something of it ends, nobody asks what
comes due next."""
BACKLOG_SECONDS = 0.1
"""Between two claims for little room while items claimed before still wait for a thread."""


class Pace:
    """When to do what, for one pump."""

    def __init__(self, store: Store, request: ClaimRequest, options: WorkerOptions) -> None:
        self._store = store
        self._request = request
        self._options = options
        self._sqlite = connections[store.using].vendor == "sqlite"
        self._look_at = 0.0
        self._expect = True
        self._peeked_at = 0.0
        self._pressure: int | None = None
        self._yields = 0
        # Nobody is as empty as who has just begun; who claims but once takes what everybody takes.
        self._suspects_at = time.monotonic() + (SUSPECT_SECONDS if options.once else 0.0)
        self._suspects_woken_at = self._suspects_at
        self._quiet_until = 0.0
        self._quiet_seconds = QUIET_SECONDS
        self._streak_until = 0.0
        self._alone = False
        self._blocked = 0.0
        self._claimed_at = 0.0
        self._told = False
        self._planned_at = 0.0
        self._paused_since = math.inf
        self.idle = False

    def wait(self, room: bool) -> float:
        """Return how long the pump may sleep, 0 when there is something to do at once."""
        if not room or self._alone or self._quiet_until:
            return PEEK_SECONDS
        return min(max(self._look_at - time.monotonic(), 0.0), self._poll)

    def woken(self) -> None:
        """Look at once: somebody said that there is work."""
        self.idle = False
        self._told = True
        self._expect = True
        self._look_at = 0.0
        # A suspect comes with a wake-up, from whoever took it back: without one, looking seldom will do.
        self._suspects_at = min(self._suspects_at, self._suspects_woken_at)

    def freed(self, since: float = 0.0) -> None:
        """Look again soon when there was more to claim than room, or limits, for it; after a suspect, for the next.

        `since` is when what made room was claimed: limits may have kept others back from the same claim.
        """
        if self._alone:
            self._alone = False
            now = time.monotonic()
            if now < self._streak_until:
                self._quiet_until = now + QUIET_SECONDS
            else:
                self._streak_until = 0.0
                self._suspects_at = self._suspects_woken_at = now + _about(SUSPECT_SECONDS)
        self._expect = self._expect or self._blocked > 0
        if self._expect or since >= self._paused_since:
            self._look_at = 0.0

    def left(self, delay: float | None) -> None:
        """An item went back to the queue and is due after `delay` seconds (None: it did not go back)."""
        if delay is not None:
            self.idle = False
            self._look_at = min(self._look_at, time.monotonic() + delay)

    def retry_later(self) -> None:
        """Wait a little after the database refused to answer."""
        self._look_at = time.monotonic() + _about(0.5)

    def plan(self, room: int, runs: Collection[object], quiet_inbox: bool, *, waiting: int = 0) -> bool | None:
        """Say whether to claim now: None no, False yes, True yes but one suspect alone.

        `waiting` is how many items wait for a thread: atomic steps end one by one, and claiming one item for each that
        ended would cost a quarter of what their steps do.
        """
        now = self._planned_at = time.monotonic()
        if runs and self._quiet_until and now >= self._quiet_until:
            # In vain: some step lasts longer. Growing with each time, it outlasts the longest one in the end.
            self._quiet_until = 0.0
            self._quiet_seconds *= 2
        if room <= 0:
            self._peek(now)
            self._watch_suspects(now)
            return None
        if self._alone:
            return None
        if now >= self._look_at:
            # However much else is due: a suspect that waited for a moment without other work would wait for ever.
            self._watch_suspects(now)
        if self._quiet_until:
            return None if runs else True
        if now < self._look_at:
            return None
        plenty = room * 4 >= self._options.concurrency
        if waiting and not plenty and now < self._claimed_at + BACKLOG_SECONDS:
            self._look_at = self._claimed_at + BACKLOG_SECONDS
            return None
        if self._expect:
            return False if quiet_inbox or plenty else None
        return self._look(now, runs)

    def _look(self, now: float, runs: Collection[object]) -> bool | None:
        self._paused_since = math.inf
        wait = self._store.next_due_in(self._request)
        if wait is not None and wait <= 0:
            self.idle = False
            return False
        self._look_at = now + (self._poll if wait is None else min(wait, self._poll))
        if self._options.until_idle:
            self._suspects_at = 0.0
            self._watch_suspects(now)
        if self._quiet_until:
            return None if runs else True
        self.idle = True
        return None

    def anything_due(self) -> bool:
        """Say whether an item is due now, for everybody or for who runs nothing else. Asks anew, and plans nothing."""
        wait = self._store.next_due_in(self._request)
        return (wait is not None and wait <= 0) or self._store.due(replace(self._request, alone=True)) is not None

    def claimed(self, count: int, limit: int, *, alone: bool) -> None:
        """Take note of what a claim brought."""
        now = time.monotonic()
        if alone:
            self._alone = count > 0
            if not (count and self._streak_until):
                self._streak_until = now + STREAK_SECONDS if count else 0.0
            self._quiet_until = 0.0
            self._quiet_seconds = QUIET_SECONDS
            self._suspects_at = self._suspects_woken_at = now + _about(SUSPECT_SECONDS)
            return
        self._streak_until = 0.0
        self.idle = False
        self._claimed_at = now
        self._expect = count >= limit
        # Due work that could not be had is locked by others or kept back by a limit: ask less and less often for it.
        self._blocked = 0.0 if count else min(max(BLOCKED_SECONDS, 2 * self._blocked), BLOCKED_MOST_SECONDS)
        # Who is told of work all the time would ask each time, in vain, what comes due after what it was told of.
        told, self._told = self._told and 0 < count < limit, False
        self._paused_since = self._planned_at if told else math.inf
        self._look_at = now + (TOLD_SECONDS if told else self._blocked)
        self._pressure = None

    def should_yield(self, run: Run) -> bool:
        """Say whether an item that could go on has to make room for others."""
        if self._alone or self._quiet_until:
            return True
        pressure = self._pressure
        if pressure is None or self._yields <= 0 or pressure < run.claimed.priority:
            return False
        if time.monotonic() - run.since < roost.STICKY_SECONDS:
            return False
        self._yields -= 1
        self._expect = True
        self._look_at = 0.0
        return True

    @property
    def _poll(self) -> float:
        seconds: float = roost.SQLITE_POLL_SECONDS if self._sqlite else roost.POLL_SECONDS
        return _about(seconds) if not self._sqlite else seconds

    def _peek(self, now: float) -> None:
        if now - self._peeked_at >= PEEK_SECONDS:
            self._peeked_at = now
            self._pressure = self._store.due(self._request)
            self._yields = YIELDS_PER_PEEK if self._pressure is not None else 0

    def _watch_suspects(self, now: float) -> None:
        if now < self._suspects_at or self._quiet_until:
            return
        self._suspects_woken_at = now + _about(WOKEN_SECONDS)
        self._suspects_at = now + _about(SQLITE_UNWOKEN_SECONDS if self._sqlite else UNWOKEN_SECONDS)
        if self._store.due(replace(self._request, alone=True)) is None:
            self._quiet_seconds = QUIET_SECONDS
            return
        self._quiet_until = now + self._quiet_seconds
        self._suspects_at = now + self._quiet_seconds * (1.5 + random.random())  # noqa: S311 - spreads load
        self._suspects_woken_at = self._suspects_at


def _about(seconds: float) -> float:
    return seconds * (0.9 + 0.1 * random.random())  # noqa: S311 - spreads load, guards nothing
