"""Run items in one worker process: claim a batch, run steps, commit what they came to, go on.

One thread, the pump, does all claiming and committing on one connection and never runs a step; the lanes run steps and
put what they finished into the pump's inbox; housekeeping renews leases beside it. Whatever is in the inbox is
committed together, so that a busy process commits in large groups and an idle one without waiting for company.

An item keeps its lease from step to step. It goes back to the queue between two steps when others have waited while
it ran for `ROOST_STICKY_SECONDS`, when the worker stops, or when the item is suspected of killing its workers.
"""

from __future__ import annotations

import logging
import os
import queue
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import DatabaseError, connections

from runtime import instrument, wake
from runtime.choices import TERMINAL, Reason, State
from runtime.conf import settings as roost
from runtime.store import get_store
from runtime.store.front import Front
from runtime.store.values import Claimed, ClaimRequest, Held, Outcome
from runtime.worker import outcomes
from runtime.worker.committer import Committer, DatabaseAway, read_back
from runtime.worker.crew import Crew, load_engines
from runtime.worker.lanes import Finished, Settled, advance
from runtime.worker.options import WorkerOptions
from runtime.worker.pace import Pace
from runtime.worker.run import Run
from runtime.worker.stop import StopToken

logger = logging.getLogger("roost.worker")

WAKE = "wake"
EXIT_RETIRED = 75
LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Lost:
    """Items that were taken away while they were held here."""

    held: frozenset[Held]


class Drain:
    """The work of one process until it is told to stop. `run()` returns when nothing is held any more."""

    def __init__(self, options: WorkerOptions, stop: StopToken) -> None:
        connections.close_all()
        self.options = options
        self.stop = stop
        self.store = get_store(options.using or None)
        self.engines = load_engines(options.engines)
        self.inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.runs: dict[uuid.UUID, Run] = {}
        self.front = Front()
        self.crew = Crew(self)
        self.worker = self.crew.registration.id
        self.pace = Pace(self.store, self.request(1), options)
        self.committer = Committer(self.store, lambda: self.stop.requested)
        self.claiming = False
        self.claimed_once = False
        self.retired = False
        self.stopped_at: float | None = None

    def run(self) -> None:
        """Work until told to stop, then finish, release what cannot be finished, and say goodbye."""
        stop_listening = wake.listen_locally(lambda payload: self.post(WAKE))
        self.stop.add_callback(lambda: self.post(WAKE))
        if not self.crew.open():
            return
        try:
            self._pump()
        finally:
            stop_listening()
            self._let_go()
            self.crew.close()
        if self.retired:
            logging.shutdown()
            os._exit(EXIT_RETIRED)

    def post(self, message: object) -> None:
        """Put a message into the inbox; from any thread."""
        self.inbox.put(message)

    def request(self, limit: int, *, alone: bool = False) -> ClaimRequest:
        """Return what this worker asks the store for."""
        return ClaimRequest(
            worker=self.crew.registration.id,
            engines=tuple(self.engines),
            pools=self.options.pools,
            limit=limit,
            alone=alone,
            front=self.front,
        )

    def retire(self) -> None:
        """Stop for good because a step cannot be ended: the process must go. From any thread."""
        self.retired = True
        self.post(WAKE)

    @property
    def stopping(self) -> bool:
        """Whether no new work is taken."""
        return self.stop.requested or self.retired

    def shape(self, run: Run, outcome: Outcome) -> Outcome:
        """Return the outcome to write: who would go on ends when overdue, and leaves when others need the room."""
        if run.is_overdue:
            return outcomes.overdue(outcome)
        if outcome.state != State.RUNNING:
            return outcome
        # A rate counts steps where they are claimed.
        leaves = self.stopping or self.options.once or run.claimed.rated or self.pace.should_yield(run)
        return outcomes.leave(outcome) if leaves else outcome

    def _pump(self) -> None:
        while not self._over():
            try:
                self._take_work()
            except DatabaseError:
                logger.warning("claiming failed; trying again", exc_info=True)
                connections[self.store.using].close()
                self.pace.retry_later()
            try:
                self._handle(self._receive())
            except DatabaseAway:
                return

    def _over(self) -> bool:
        if self.stopping:
            if self.stopped_at is None:
                self.stopped_at = time.monotonic()
                self.crew.say_draining()
            grace = LAST_WORDS_SECONDS if self.retired else self.options.grace_seconds
            return not self.runs or time.monotonic() - self.stopped_at >= grace
        if self.runs:
            return False
        if self.options.once and self.claimed_once:
            return True
        return self.options.until_idle and self.pace.idle

    def _receive(self) -> list[object]:
        """Return everything in the inbox, after waiting for the first message as long as there is nothing to do."""
        messages: list[object] = []
        wait = self._wait()
        try:
            messages.append(self.inbox.get(timeout=wait) if wait > 0 else self.inbox.get_nowait())
            while len(messages) < roost.COMMIT_BATCH:
                messages.append(self.inbox.get_nowait())
        except queue.Empty:
            pass
        return messages

    def _wait(self) -> float:
        if self._over():
            return 0.0
        if self.stopped_at is not None:
            return 0.1
        room = self.options.concurrency - len(self.runs)
        return self.pace.wait(room > 0 and not self.crew.draining)

    def _take_work(self) -> None:
        if self.stopping or self.crew.draining or (self.options.once and self.claimed_once):
            return
        room = self.options.concurrency - len(self.runs)
        alone = self.pace.plan(room, self.runs, self.inbox.empty(), waiting=self.crew.waiting)
        if alone is None:
            return
        self.claiming = True
        try:
            limit = 1 if alone else room
            claimed = self.store.claim(self.request(limit, alone=alone))
            self._start(claimed)
        finally:
            self.claiming = False
        self.claimed_once = True
        if claimed:
            instrument.committed(self.store.using)
        self.pace.claimed(len(claimed), limit, alone=alone)

    def _start(self, claimed: Sequence[Claimed]) -> None:
        runs = [Run(one, self.engines[one.engine], self.crew.journal) for one in claimed]
        for run in runs:
            self.runs[run.id] = run
        self.crew.submit(runs)

    def _handle(self, messages: list[object]) -> None:
        ready: list[tuple[Run, Outcome]] = []
        goes_on: list[Run] = []
        for message in messages:
            if isinstance(message, Finished):
                if message.outcome is None:
                    self._abandoned(message.run)
                else:
                    ready.append((message.run, self.shape(message.run, message.outcome)))
            elif isinstance(message, Settled):
                if self._settled(message):
                    goes_on.append(message.run)
            elif isinstance(message, Lost):
                self._lost(message.held)
            else:
                self.pace.woken()
        if ready:
            states = self.committer.commit([outcome for _run, outcome in ready])
            goes_on += [run for run, outcome in ready if self._written(run, outcome, states.get(run.id))]
        if goes_on:
            self.crew.submit(goes_on)
        if any(message is not WAKE for message in messages):
            instrument.committed(self.store.using)

    def _settled(self, message: Settled) -> bool:
        run, outcome, state = message.run, message.outcome, message.state
        if outcome is None:
            self._drop(run)
            return False
        if message.doubt is not None:
            written, missing = read_back(self.store, [outcome], lambda: self.stop.requested)
            state = written.get(run.id)
            if state is None and missing and outcome.waits and not outcome.advance:
                # What the step wrote is rolled back anyway: parking it again costs no attempt.
                state = self.committer.commit(missing).get(run.id)
            elif state is None and not run.lost:
                outcome = outcomes.fail(self.worker, run, message.doubt)
                state = self.committer.commit([outcome]).get(run.id)
        return self._written(run, outcome, state)

    def _written(self, run: Run, outcome: Outcome, state: str | None) -> bool:
        """Follow a committed outcome; return whether the item's next step starts now."""
        if state is None:
            logger.warning("a write for item %s was fenced off", run.id, extra={"work_item": str(run.id)})
            run.lost = True
            self._drop(run)
            return False
        if outcome.children:
            instrument.enqueued(self.store.using, [child.id for child in outcome.children])
            self.pace.woken()
        if state == State.RUNNING:
            advance(run, outcome)
            return True
        if outcome.has_parent and outcome.state in TERMINAL:
            # Its parent may be due now, here or elsewhere.
            self.pace.woken()
            wake.hint(self.store.using)
        self._drop(run)
        self.pace.left(outcome.delay if state == State.QUEUED else None)
        return False

    def _abandoned(self, run: Run) -> None:
        """Let go of an item whose step was cancelled."""
        if not run.lost:
            self._release([run.held])
        self._drop(run)

    def _release(self, held: list[Held]) -> int:
        """Give items back; what the database does not take now is given back when it is found to be unknown here."""
        try:
            return self.store.release(self.worker, held, Reason.RELEASED)
        except DatabaseError:
            logger.warning("%d items could not be released; their leases will end", len(held), exc_info=True)
            connections[self.store.using].close()
            return 0

    def _drop(self, run: Run) -> None:
        self.runs.pop(run.id, None)
        self.pace.freed()
        if run.lost:
            try:
                self.store.acknowledge(self.worker, [run.held])
            except DatabaseError:
                logger.info("the claims of item %s are freed when its lease expires", run.id, exc_info=True)
        if run.claimed.limited:
            # Who waited for its resources is due now, here or elsewhere.
            self.pace.woken()
            wake.hint(self.store.using)

    def _lost(self, held: frozenset[Held]) -> None:
        for one in held:
            run = self.runs.get(one.item)
            if run is not None and run.held == one and not run.lost:
                run.lost = True
                logger.warning("item %s was taken away while it ran", run.id, extra={"work_item": str(run.id)})
                self.crew.cancel(run)

    def _let_go(self) -> None:
        """Release whatever is still held, at no cost to it: the grace period is over."""
        for run in list(self.runs.values()):
            run.lost = True
            self.crew.cancel(run)
        held = [run.held for run in self.runs.values()]
        self.runs.clear()
        if held and (released := self._release(held)):
            logger.info("released %d items", released)
            wake.hint(self.store.using)
            instrument.committed(self.store.using)
