"""Make a recorded run's steps again and find where they first part from the record."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync

from runtime import registry
from runtime.choices import State
from runtime.engine import Engine
from runtime.exceptions import InvalidInput
from runtime.models import Snapshot, WorkItem
from runtime.store import work_database
from runtime.store.values import Claimed, Outcome
from runtime.worker import execute, outcomes
from runtime.worker.atomic import step_transaction
from runtime.worker.replay import compare, record
from runtime.worker.replay.compare import Divergence
from runtime.worker.replay.record import History
from runtime.worker.replay.surroundings import RecordedJournal, ReplayContext
from runtime.worker.replay.watch import Unreplayable, Watch, watching
from runtime.worker.run import Run

NOBODY = uuid.UUID(int=0)
MOST_NOTES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A version that was not compared, and why."""

    version: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """What a dry replay found: how many steps were made again, the first divergence, and what was left out.

    `stopped` is the error at which the run had failed and the replay too.
    """

    item: WorkItem
    code_version: str
    steps: int
    divergence: Divergence | None
    stopped: dict[str, Any] | None
    notes: tuple[Note, ...]

    @property
    def same(self) -> bool:
        """Whether every step that was made again came to what is recorded."""
        return self.divergence is None


def replay(
    item: WorkItem,
    *,
    first: int = 0,
    last: int | None = None,
    engine_version: str | None = None,
    using: str | None = None,
) -> Replay:
    """Make the steps from Snapshot `first` up to version `last` again, each from its recorded snapshot.

    Ends at the first divergence. Without `last`, a run that its step failed is replayed up to its error. The code is
    the one that is loaded here; `engine_version` is what the item says of itself. Stores nothing and calls nothing; see
    the head of `runtime.worker.replay`. What a step reads from a clock, by chance or from the database is read anew.
    Raises `InvalidInput` when there is nothing to replay, `UnknownEngine` or `EngineLoadError`.
    """
    using = using or work_database()
    end = item.version if last is None else last
    if not 0 <= first <= end <= item.version:
        raise InvalidInput(
            f"Steps from {first} to {end} of work item {item.pk} cannot be replayed: it is at version {item.version}.",
            field="from",
        )
    engine = registry.get(item.engine)
    replaying = _Replaying(item, engine, engine_version or item.engine_version, using)
    replaying.go(first, end, to_the_error=last is None)
    return replaying.found()


@dataclass
class _Replaying:
    item: WorkItem
    engine: Engine
    engine_version: str
    using: str
    steps: int = 0
    divergence: Divergence | None = None
    stopped: dict[str, Any] | None = None
    notes: list[Note] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.history: History = record.history(self.item, self.using)

    def go(self, first: int, end: int, *, to_the_error: bool) -> None:
        """Go through the versions; a step needs the snapshot before it and the one that it made."""
        before: Snapshot | None = None
        for version, kept in record.snapshots(self.item, first, end, self.using):
            if version > first:
                self._version(version, before, kept)
            if self.divergence is not None:
                return
            before = kept
        if to_the_error:
            self._error(before)

    def found(self) -> Replay:
        """Return what was found. Raises `InvalidInput` when no step could be made again."""
        if self.divergence is None and not self.steps:
            why = self.notes[0].text if self.notes else "It has made no step yet."
            raise InvalidInput(f"No step of work item {self.item.pk} can be replayed. {why}", field="item")
        if self.history.redacted:
            self.notes.insert(0, Note(version=0, text="The run was redacted before it came here."))
        return Replay(
            item=self.item,
            code_version=self.engine.version,
            steps=self.steps,
            divergence=self.divergence,
            stopped=self.stopped,
            notes=tuple(self.notes[:MOST_NOTES]),
        )

    def _note(self, version: int, text: str) -> None:
        self.notes.append(Note(version=version, text=text))

    def _version(self, version: int, before: Snapshot | None, kept: Snapshot | None) -> None:
        """Make the step again that made a version, if what that takes is there."""
        if kept is None or before is None:
            missing = version if kept is None else version - 1
            self._note(version, f"Snapshot {missing} is not kept.")
        elif version <= self.history.pruned_through:
            self._note(version, "What is recorded of its step has been pruned.")
        elif kept.restored_from is not None:
            self._note(version, f"No step made it: it was restored from version {kept.restored_from}.")
        else:
            self._compare(before, kept)

    def _compare(self, before: Snapshot, kept: Snapshot) -> None:
        outcome = self._step(before)
        if outcome is None:
            return
        if not outcome.advance and outcome.state == State.QUEUED and self._waited(outcome, before.version):
            self.steps -= 1
            self._note(kept.version, "The step waits for a time, or for what is outside; that is not recorded.")
            return
        self.divergence = compare.made(outcome, kept, self.engine, done=kept.version in self.history.done_at)
        ended = self.item.state == State.DONE and kept.version == self.item.version
        if self.divergence is None and ended:
            self.divergence = compare.result(outcome, self.item)

    def _waited(self, outcome: Outcome, base: int) -> bool:
        return outcome.error is None and base in self.history.waited

    def _error(self, before: Snapshot | None) -> None:
        """Make the step again that failed the run."""
        item = self.item
        if item.state != State.FAILED:
            return
        if item.reason not in compare.FROM_STEPS:
            self._note(item.version + 1, f"The run was ended by something else than its step: {item.reason}.")
        elif isinstance(item.last_error, dict) and item.last_error.get("type") == "StepTimeout":
            self._note(item.version + 1, "The step ran out of its time limit, which is not replayed.")
        elif item.version + 1 <= self.history.pruned_through:
            self._note(item.version + 1, "What is recorded of the step that failed has been pruned.")
        elif before is None and item.version:
            self._note(item.version + 1, f"Snapshot {item.version} is not kept.")
        else:
            outcome = self._step(before)
            if outcome is not None:
                self.divergence = compare.failed(outcome, item)
                self.stopped = compare.told(item.last_error) if self.divergence is None else None

    def _step(self, before: Snapshot | None) -> Outcome | None:
        """Make one step again; return its outcome, None when it has diverged on the way."""
        base = 0 if before is None else before.version
        watch = Watch()
        run = self._run(before, base, watch)
        context = ReplayContext(run, self.using, watch, self.history.children.get(base, ()))
        work = self._async if run.is_async else self._atomic
        self.steps += 1
        with watching(self.using, watch, writes=not run.is_async):
            outcome = work(run, context)
        self.divergence = compare.divergence(base + 1, watch)
        if self.divergence is None and before is not None and run.initial is not None:
            self.divergence = compare.first_state(run.initial, before, self.engine)
        return None if self.divergence is not None or outcome is None else context.as_recorded(outcome)

    def _async(self, run: Run, context: ReplayContext) -> Outcome | None:
        try:
            return async_to_sync(execute.run_async)(NOBODY, run, self.using, context)
        except Unreplayable:
            return None

    def _atomic(self, run: Run, context: ReplayContext) -> Outcome | None:
        """Make the step in a transaction, and roll it back whatever it comes to."""
        try:
            with step_transaction(self.using):
                raise _Undone(_outcome(partial(execute.run_sync, NOBODY, run, self.using, context), run))
        except _Undone as undone:
            return undone.outcome
        except Unreplayable:
            return None

    def _run(self, before: Snapshot | None, base: int, watch: Watch) -> Run:
        own_id, namespace = self.history.name(base, self.item)
        anew = before is None or (base == 0 and not self.history.forked)
        claimed = _claimed(self.item, None if anew else before, base, self._failures(base))
        claimed = claimed._replace(id=own_id, namespace=namespace, engine_version=self.engine_version)
        made = record.calls_before(self.item, base, self.using)
        run = Run(claimed, self.engine, RecordedJournal(record.calls(self.item, base, self.using), watch, made))
        run.deadline = None  # the time of the replay is not the time of the run
        run.told = record.told(self.item, base, self.history.children.get(base, ()), self.using)
        run.asked = bool(run.told.answers)
        return run

    def _failures(self, base: int) -> int:
        """Return how often the step from a version had failed before its last run."""
        error = self.item.last_error if base == self.item.version else None
        attempt = error.get("attempt") if isinstance(error, dict) else None
        return attempt - 1 if isinstance(attempt, int) and attempt > 0 else self.history.failures.get(base, 0)


class _Undone(Exception):
    """Leaves a transaction so that it is rolled back; carries what the step came to."""

    def __init__(self, outcome: Outcome | None) -> None:
        super().__init__("rolled back")
        self.outcome = outcome


def _outcome(step: Callable[[], Outcome], run: Run) -> Outcome:
    try:
        return step()
    except execute.Suspended as parked:
        return parked.outcome
    except Exception as error:  # noqa: BLE001 - whatever a step raises is its failure
        return outcomes.fail(NOBODY, run, error)


def _claimed(item: WorkItem, before: Snapshot | None, base: int, failures: int) -> Claimed:
    """Return the item as a worker would have got it for the step from a snapshot; None stands for none yet."""
    return Claimed(
        id=item.pk,
        namespace=item.namespace,
        engine=item.engine,
        engine_version=item.engine_version,
        payload=_text(item.payload),
        config=_text(item.config),
        priority=item.priority,
        fair_key=item.fair_key,
        pool=item.pool,
        state_schema=None if before is None else before.state_schema,
        resources=json.dumps(item.resources, ensure_ascii=False),
        limited=item.limited,
        epoch=item.epoch,
        version=base,
        attempt=failures,
        max_attempts=item.max_attempts,
        deaths=0,
        step_label="" if before is None else before.label,
        steps_total=base,
        max_steps=None,
        step_timeout=item.step_timeout,
        timeout_left=None,
        parent_id=item.parent_id,
        created_at=item.created_at,
        deadline_at=item.deadline_at,
        claimed_at=item.created_at,
        data=None if before is None else _text(before.data),
    )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
