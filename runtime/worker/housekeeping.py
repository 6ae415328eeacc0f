"""Keep a worker's leases alive, fire its schedules, and end steps that do not end themselves.

One thread on a connection of its own, so that neither a slow commit, nor a sweep, nor a busy event loop delays a
heartbeat.
"""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime.choices import Reason, WorkerState
from runtime.conf import settings as roost
from runtime.store.values import Held
from runtime.worker import duties, execute, lines, outcomes
from runtime.worker.duties import Duties
from runtime.worker.punctual import Punctual
from runtime.worker.retention_care import RetentionCare
from runtime.worker.run import Run
from runtime.worker.storage_care import StorageCare
from runtime.worker.workspace_care import WorkspaceCare

if TYPE_CHECKING:
    from runtime.worker.drain import Drain

logger = logging.getLogger("roost.worker")

OVERTIME_SECONDS = 2.0


class Housekeeping(Duties):
    """Heartbeat and watchdog of one worker process."""

    def __init__(self, drain: Drain, worker: uuid.UUID) -> None:
        super().__init__("roost-housekeeping", drain.store.using)
        self._drain = drain
        self._store = drain.store
        self._worker = worker
        self._strangers: frozenset[Held] = frozenset()
        self._told: dict[uuid.UUID, str] = {}
        self._beat_at = duties.now() + roost.HEARTBEAT_SECONDS
        cares = [care(drain.store.using) for care in (StorageCare, WorkspaceCare, RetentionCare)]
        self.schedules = Punctual(drain)
        starts = [care.start_if_due for care in cares]
        self._duties = (self._beat, self._watch, self.schedules.fire_if_due, *starts)
        self.desired_state: str = WorkerState.ONLINE

    def look_now(self, item: str) -> None:
        """Beat at once if this worker holds the item: somebody may have taken it away."""
        try:
            held = self._drain.runs.has_item(uuid.UUID(item))
        except ValueError:
            return
        if held:
            self._beat_at = 0.0
            self._wake.set()

    def _refused(self, *, lost: bool) -> None:
        self._drain.crew.sweeper.unsettle(lost=lost)

    def _beat(self) -> None:
        if duties.now() < self._beat_at:
            return
        self._beat_at = duties.now() + roost.HEARTBEAT_SECONDS
        everything = list(self._drain.runs)
        runs = [run for run in everything if not run.lost]
        # What was taken away uses its resources until its step has ended, or `_watch` has ended the process.
        still = [run.held for run in everything if run.lost and run.started and run.claimed.limited]
        held = [run.held for run in runs]
        beat = self._store.renew(self._worker, held, self._progress(runs), still=still)
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
        known = {run.held for run in self._drain.runs}
        strangers = strangers - known
        forgotten = strangers & self._strangers
        self._strangers = strangers - forgotten
        if forgotten:
            logger.warning("releasing %d leases that this worker does not know of", len(forgotten))
            self._store.release(self._worker, sorted(forgotten), Reason.RELEASED)

    def _watch(self) -> None:
        """Fence steps that overran their time limit and did not end: their process has to go.

        Also those of items that were taken away: what does not end would keep its thread from others for ever.
        """
        for run in self._drain.runs:
            limit, started = execute.time_limit(run), run.started
            if limit is None or not started:
                continue
            if time.monotonic() - started <= limit + OVERTIME_SECONDS:
                continue
            logger.error("the step of item %s does not end; this process is retired", run.id)
            try:
                if not run.lost:
                    run.lost = True
                    failed = outcomes.fail(self._worker, run, execute.timed_out(limit))
                    if run.claimed.limited:
                        self._drain.lingering = True
                    written = self._store.commit([replace(failed, lingers=True)])
                    if state := written.get(run.id):
                        lines.say(run, failed, state)
            finally:
                self._drain.retire()
