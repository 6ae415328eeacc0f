"""Run items in one worker process: claim a batch, run steps, commit what they came to, go on.

One thread, the pump, does all claiming and committing on one connection and never runs a step; the lanes run steps and
put what they finished into the pump's inbox; housekeeping renews leases beside it. Whatever is in the inbox is
committed together, so that a busy process commits in large groups and an idle one without waiting for company.

An item keeps its lease from step to step. It goes back to the queue between two steps when others have waited while
it ran for `ROOST_STICKY_SECONDS`, when the worker stops or drains, or when the item is suspected of killing workers.
"""

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import DatabaseError, connections

from runtime import instrument, wake
from runtime.choices import TERMINAL, State
from runtime.conf import settings as roost
from runtime.operations import firing
from runtime.store import get_store
from runtime.store.front import Front
from runtime.store.values import Claimed, ClaimRequest, Held, Outcome
from runtime.worker import lines, outcomes
from runtime.worker.committer import BLOCKED, Committer, DatabaseAway, read_back
from runtime.worker.crew import Crew, load_engines
from runtime.worker.held_up import HeldUp, Written
from runtime.worker.lanes import Finished, Settled, advance
from runtime.worker.last_look import LOOK_SECONDS, LastLook
from runtime.worker.leaving import give_back, let_go_of_claims, still_busy, take_away
from runtime.worker.options import WorkerOptions
from runtime.worker.pace import Pace
from runtime.worker.run import Run
from runtime.worker.runs import Runs
from runtime.worker.stop import StopToken

logger = logging.getLogger("roost.worker")

WAKE = "wake"
EXIT_RETIRED = 75
LAST_WORDS_SECONDS = 1.0
MOST_LOSSES = 5
"""Lost database sessions in a row that cost a step no attempt: it may be the step that ends them."""


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
        self.runs = Runs()
        self.front = Front()
        self.crew = Crew(self)
        self.worker = self.crew.registration.id
        self.pace = Pace(self.store, self.request(1), options)
        self.committer = Committer(self.store, lambda: self.stop.requested)
        self.held_up = HeldUp(self.committer, self.shape)
        tasks = (self._sweep, self._fire)
        self.last_look = LastLook(
            self.store.using, self.worker, tasks, due=self.pace.anything_due, settled=self.crew.sweeper.is_settled
        )
        self.claiming = False
        self.claimed_once = False
        self.retired = False
        self.lingering = False
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
            self.crew.close(lingering=self.lingering)
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
        ends = self.stopping or self.crew.draining or self.options.once
        leaves = ends or run.claimed.rated or self.pace.should_yield(run)
        return outcomes.leave(outcome) if leaves else outcome

    def _pump(self) -> None:
        while not self._over():
            try:
                self._take_work()
                self._look_last()
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
        return self.options.until_idle and self.pace.idle and self.last_look.over

    def _look_last(self) -> None:
        """Before it ends as idle, have the worker see to it that nothing comes due by itself."""
        if not self.options.until_idle or self.stopping:
            return
        if self.runs or not self.pace.idle:
            self.last_look.forget()
        elif self.last_look.look():
            self.pace.woken()

    def _sweep(self) -> bool:
        report = self.crew.sweeper.take_back()
        return report.changed > 0 or report.more

    def _fire(self) -> bool:
        fired = firing.fire_due(self.store, self.engines)
        return fired > 0 or self.crew.housekeeping.schedules.firing

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
        if self.options.until_idle and self.pace.idle:
            return LOOK_SECONDS / 2
        room = self.options.concurrency - len(self.runs)
        return self.held_up.wait(self.pace.wait(room > 0 and not self.crew.draining))

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
            if (earlier := self.runs.add(run)) is not None:
                # It was taken away, and nobody has told this worker yet.
                self._take_away(earlier)
        self.crew.submit(runs)

    def _handle(self, messages: list[object]) -> None:
        ready: list[tuple[Run, Outcome]] = []
        goes_on: list[Run] = []
        for message in messages:
            if isinstance(message, Finished):
                if (outcome := self._finished(message)) is not None:
                    ready.append((message.run, outcome))
            elif isinstance(message, Settled):
                if self._settled(message):
                    goes_on.append(message.run)
            elif isinstance(message, Lost):
                self._lost(message.held)
            else:
                self.pace.woken()
        written = self._write(ready) + self.held_up.write()
        goes_on += [run for run, outcome, state in written if self._written(run, outcome, state)]
        if goes_on:
            self.crew.submit(goes_on)
        if written or any(message is not WAKE for message in messages):
            instrument.committed(self.store.using)

    def _write(self, ready: list[tuple[Run, Outcome]]) -> list[Written]:
        states = self.committer.commit([outcome for _run, outcome in ready])
        return [(run, outcome, states.get(run.id)) for run, outcome in ready]

    def _finished(self, message: Finished) -> Outcome | None:
        """Return the outcome to write, None where there is none, or it would be refused."""
        run, outcome = message.run, message.outcome
        if outcome is None:
            self._abandoned(run)
        elif self.runs.is_outrun(run):
            self._drop(run)
        else:
            return self.shape(run, outcome)
        return None

    def _settled(self, message: Settled) -> bool:
        run, outcome, state = message.run, message.outcome, message.state
        if outcome is None:
            self._drop(run)
            return False
        if message.doubt is not None:
            written, missing = read_back(self.store, [outcome], lambda: self.stop.requested)
            state = written.get(run.id)
            if missing and outcome.waits and not outcome.advance:
                # What the step wrote is rolled back anyway: parking it again costs no attempt.
                state = self.committer.commit(missing).get(run.id)
            elif missing and not run.lost:
                run.losses += 1
                if run.losses <= MOST_LOSSES:
                    logger.warning("the step of item %s is made again: %s", run.id, message.doubt)
                    return True
                outcome = outcomes.fail(self.worker, run, message.doubt)
                state = self.committer.commit([outcome]).get(run.id)
        return self._written(run, outcome, state)

    def _written(self, run: Run, outcome: Outcome, state: str | None) -> bool:
        """Follow a committed outcome; return whether the item's next step starts now."""
        if state == BLOCKED:
            self.held_up.add(run, outcome)
            return False
        if state is None:
            logger.warning("a write for item %s was fenced off", run.id, extra={"work_item": str(run.id)})
            run.lost = True
            self._drop(run)
            return False
        lines.say(run, outcome, state)
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
            give_back(self.store, self.worker, [run.held])
        self._drop(run)

    def _drop(self, run: Run) -> None:
        self.runs.drop(run)
        self.pace.freed(run.since)
        if run.lost:
            let_go_of_claims(self.store, self.worker, run)
        if run.claimed.limited:
            # Who waited for its resources is due now, here or elsewhere.
            self.pace.woken()
            wake.hint(self.store.using)

    def _lost(self, held: frozenset[Held]) -> None:
        for one in held:
            run = self.runs.get(one)
            if run is not None:
                self._take_away(run)

    def _take_away(self, run: Run) -> None:
        if not run.lost:
            run.lost = True
            logger.warning("item %s was taken away while it ran", run.id, extra={"work_item": str(run.id)})
            self.crew.cancel(run)

    def _let_go(self) -> None:
        """Release whatever is still held, at no cost to it: the grace period is over."""
        runs = list(self.runs)
        for run in runs:
            run.lost = True
            self.crew.cancel(run)
        busy = still_busy(runs)
        self.lingering = self.lingering or bool(busy)
        self.runs.clear()
        held = [run.held for run in runs if run not in busy]
        released = give_back(self.store, self.worker, held) + sum(take_away(self.store, run) for run in busy)
        if released:
            logger.info("released %d items", released)
            wake.hint(self.store.using)
            instrument.committed(self.store.using)
