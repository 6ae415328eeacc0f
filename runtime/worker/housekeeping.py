"""Keep a worker's leases alive, recover what others left behind, and end steps that do not end themselves.

One thread on a connection of its own, so that neither a slow commit nor a busy event loop delays a heartbeat.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from typing import TYPE_CHECKING

from django.db import DatabaseError, connections

from runtime import instrument, wake
from runtime.choices import Reason, WorkerState
from runtime.conf import settings as roost
from runtime.store.values import Held, SweepReport
from runtime.worker import execute, outcomes, takeover
from runtime.worker.punctual import Punctual
from runtime.worker.retention_care import RetentionCare
from runtime.worker.run import Run
from runtime.worker.storage_care import StorageCare
from runtime.worker.taking_up import TakingUp
from runtime.worker.workspace_care import WorkspaceCare

if TYPE_CHECKING:
    from runtime.worker.drain import Drain

logger = logging.getLogger("roost.worker")

TICK_SECONDS = 0.25
OVERTIME_SECONDS = 2.0
STALL_BEATS = 2
THOROUGH_SECONDS = 30.0
"""Between two sweeps that look for what has no sign of its own: parents that were not told of an end."""
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def _now() -> float:
    """Return seconds that go on while the host is suspended, where the system has a clock for that."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


class Housekeeping(threading.Thread):
    """Heartbeat, sweep and watchdog of one worker process."""

    def __init__(self, drain: Drain, worker: uuid.UUID) -> None:
        super().__init__(name="roost-housekeeping", daemon=True)
        self._drain = drain
        self._store = drain.store
        self._worker = worker
        self._strangers: frozenset[Held] = frozenset()
        self._told: dict[uuid.UUID, str] = {}
        self._wake = threading.Event()
        self._ending = False
        self._settled = False
        self._beat_at = _now() + roost.HEARTBEAT_SECONDS
        self._sweep_at = self._turned_at = _now()
        self._thorough_at = _now() + THOROUGH_SECONDS
        cares = [care(drain.store.using) for care in (StorageCare, WorkspaceCare, RetentionCare)]
        self.schedules = Punctual(drain)
        taking_up = TakingUp(drain.store.using, drain.engines)
        self._duties = (
            *(self._beat, self._watch, self._sweep),
            *(self.schedules.fire_if_due, taking_up.take_if_due),
            *(care.start_if_due for care in cares),
        )
        self.desired_state: str = WorkerState.ONLINE

    def look_now(self, item: str) -> None:
        """Beat at once if this worker holds the item: somebody may have taken it away."""
        try:
            held = uuid.UUID(item) in self._drain.runs
        except ValueError:
            return
        if held:
            self._beat_at = 0.0
            self._wake.set()

    def stop(self) -> None:
        """End the thread."""
        self._ending = True
        self._wake.set()
        self.join(timeout=2.0)

    def run(self) -> None:
        """Do what is due, until stopped. A database error costs a turn, never the thread."""
        while not self._ending:
            self._let_others_beat_after_a_stall()
            for duty in self._duties:
                try:
                    duty()
                except DatabaseError as error:
                    logger.warning("housekeeping: the database refused: %s", error)
                    connections[self._store.using].close()
                    self._settled = False
                except Exception:
                    logger.exception("housekeeping failed; going on")
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
        connections.close_all()

    def _let_others_beat_after_a_stall(self) -> None:
        """Put the sweep off when this thread was held up: who was stopped with it has to renew its leases first."""
        now = _now()
        if now - self._turned_at > STALL_BEATS * roost.HEARTBEAT_SECONDS:
            self._sweep_at = now + STALL_BEATS * roost.HEARTBEAT_SECONDS
        self._turned_at = now

    def _beat(self) -> None:
        if _now() < self._beat_at:
            return
        self._beat_at = _now() + roost.HEARTBEAT_SECONDS
        runs = list(self._drain.runs.values())
        held = [run.held for run in runs if not run.lost]
        beat = self._store.renew(self._worker, held, self._progress(runs))
        self.desired_state = beat.desired_state
        if beat.desired_state == WorkerState.OFFLINE:
            self._drain.stop.request()
        if beat.lost:
            from runtime.worker.drain import Lost

            self._drain.post(Lost(beat.lost))
        self._release_strangers(beat.strangers)

    def _progress(self, runs: list[Run]) -> dict[uuid.UUID, str]:
        said = {run.id: run.progress for run in runs if run.progress is not None}
        news = {item: text for item, text in said.items() if self._told.get(item) != text}
        self._told = said
        return news

    def _release_strangers(self, strangers: frozenset[Held]) -> None:
        """Give back leases in our name that memory has lacked for two beats: a claim whose answer was lost."""
        if self._drain.claiming:
            self._strangers = frozenset()
            return
        known = {run.held for run in list(self._drain.runs.values())}
        strangers = strangers - known
        forgotten = strangers & self._strangers
        self._strangers = strangers - forgotten
        if forgotten:
            logger.warning("releasing %d leases that this worker does not know of", len(forgotten))
            self._store.release(self._worker, sorted(forgotten), Reason.RELEASED)

    def _sweep(self) -> None:
        now = _now()
        if now < self._sweep_at:
            return
        self._sweep_at = now + roost.SWEEP_SECONDS * (0.8 + 0.4 * random.random())  # noqa: S311 - spreads load
        # After a restart of the database, leases that expired meanwhile belong to the living until these had a chance.
        self._settled = self._settled or takeover.is_settled(self._store.using)
        if self._settled and now < self._thorough_at and takeover.is_quiet(self._store.using, self._worker):
            return
        if self._settled and now >= self._thorough_at:
            self._thorough_at = now + THOROUGH_SECONDS
        report = self._take_back(only_dead=not self._settled)
        if report.recovered or report.quarantined:
            logger.info("recovered %d items, quarantined %d", report.recovered, report.quarantined)
        if report.changed:
            wake.hint(self._store.using)
            instrument.committed(self._store.using)
        if report.more:
            self._sweep_at = now

    def _take_back(self, *, only_dead: bool) -> SweepReport:
        dead = takeover.find_dead(self._store.using, self._worker)
        takeover.end_sessions(self._store.using, dead, only_dead=only_dead)
        living = takeover.find_living(self._store.using)
        return self._store.sweep(dead_workers=dead, living_workers=living, only_dead=only_dead, batch=roost.SWEEP_BATCH)

    def _watch(self) -> None:
        """Fence steps that overran their time limit and did not end: their process has to go.

        Also those of items that were taken away: what does not end would keep its thread from others for ever.
        """
        for run in list(self._drain.runs.values()):
            limit, started = execute.time_limit(run), run.started
            if limit is None or not started:
                continue
            if time.monotonic() - started <= limit + OVERTIME_SECONDS:
                continue
            logger.error("the step of item %s does not end; this process is retired", run.id)
            try:
                if not run.lost:
                    run.lost = True
                    self._store.commit([outcomes.fail(self._worker, run, execute.timed_out(limit))])
            finally:
                self._drain.retire()
