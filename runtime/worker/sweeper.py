"""Recover what others left behind, and take up what older or newer code has left.

A thread and a connection of its own: a sweep that finds hundreds of items takes longer than a lease may wait for its
renewal.
"""

from __future__ import annotations

import logging
import random
import threading
import uuid
from typing import TYPE_CHECKING

from runtime import instrument, wake
from runtime.conf import settings as roost
from runtime.store.values import SweepReport
from runtime.worker import duties, takeover
from runtime.worker.duties import Duties
from runtime.worker.taking_up import TakingUp

if TYPE_CHECKING:
    from runtime.worker.drain import Drain

logger = logging.getLogger("roost.worker")

STALL_BEATS = 2
THOROUGH_SECONDS = 30.0
"""Between two sweeps that look for what has no sign of its own: parents that were not told of an end."""


class Sweeper(Duties):
    """Sweeps for one worker process."""

    def __init__(self, drain: Drain, worker: uuid.UUID) -> None:
        super().__init__("roost-sweeper", drain.store.using)
        self._store = drain.store
        self._worker = worker
        self._sweeping = threading.Lock()
        self._settled = False
        self._times_unsettled = 0
        self._guard = threading.Lock()
        self._trust_at = 0.0
        self._sweep_at = self._turned_at = duties.now()
        self._thorough_at = duties.now() + THOROUGH_SECONDS
        taking_up = TakingUp(drain.store.using, drain.engines)
        self._duties = (self._let_others_beat_after_a_stall, self._sweep, taking_up.take_if_due)

    def unsettle(self, *, lost: bool) -> None:
        """Know that the database may have been away; from any thread. The living may not have renewed their leases.

        Where the session was `lost`, that may have been a network or a failover: the server has been up all the time,
        and who else was cut off has to come back first.
        """
        with self._guard:
            if lost:
                self._trust_at = duties.now() + takeover.SETTLING_BEATS * roost.HEARTBEAT_SECONDS
            self._times_unsettled += 1
            self._settled = False

    def is_settled(self) -> bool:
        """Say whether a lease that has expired says something. Raises Django's database errors."""
        return duties.now() >= self._trust_at and takeover.is_settled(self._using)

    def _settle(self) -> bool:
        times = self._times_unsettled
        settled = self._settled or self.is_settled()
        with self._guard:
            self._settled = settled and times == self._times_unsettled
            return self._settled

    def _refused(self, *, lost: bool) -> None:
        self.unsettle(lost=lost)

    def _let_others_beat_after_a_stall(self) -> None:
        """Put the sweep off when this thread was held up: who was stopped with it has to renew its leases first."""
        now = duties.now()
        if now - self._turned_at > STALL_BEATS * roost.HEARTBEAT_SECONDS:
            self._sweep_at = now + STALL_BEATS * roost.HEARTBEAT_SECONDS
        self._turned_at = now

    def _sweep(self) -> None:
        now = duties.now()
        if now < self._sweep_at:
            return
        self._sweep_at = now + roost.SWEEP_SECONDS * (0.8 + 0.4 * random.random())  # noqa: S311 - spreads load
        # After a restart of the database, leases that expired meanwhile belong to the living until these had a chance.
        settled = self._settle()
        if settled and now < self._thorough_at and takeover.is_quiet(self._using, self._worker):
            return
        if settled and now >= self._thorough_at:
            self._thorough_at = now + THOROUGH_SECONDS
        report = self.take_back(only_dead=not settled)
        if report.recovered or report.quarantined:
            logger.info("recovered %d items, quarantined %d", report.recovered, report.quarantined)
        if report.changed:
            wake.hint(self._using)
            instrument.committed(self._using)
        if report.more:
            self._sweep_at = now

    def take_back(self, *, only_dead: bool = False) -> SweepReport:
        """Sweep, on the connection of the thread that calls, once a sweep that is under way here has ended."""
        with self._sweeping:
            dead = takeover.find_dead(self._using, self._worker)
            takeover.end_sessions(self._using, dead, only_dead=only_dead)
            living = takeover.find_living(self._using)
            batch = roost.SWEEP_BATCH
            return self._store.sweep(dead_workers=dead, living_workers=living, only_dead=only_dead, batch=batch)
