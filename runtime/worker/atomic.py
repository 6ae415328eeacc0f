"""Run steps of sync engines: the rows they write and their snapshot commit together.

On PostgreSQL the step runs inside `transaction.atomic()`. On SQLite a transaction that only reads first and writes
later would fail when somebody else wrote in between, and one that is opened at once would lock everybody out for as
long as the step takes. So there the step runs outside any transaction until its first write, which opens an
immediate one; from then to the commit it holds the only write lock.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import InterfaceError, OperationalError, connections, transaction

from runtime import faults
from runtime.exceptions import Fenced, RoostError
from runtime.store.base import Store
from runtime.store.transactions import is_lost, is_retryable, lock_not_available
from runtime.store.values import Outcome
from runtime.worker import execute, traced
from runtime.worker.run import Run

logger = logging.getLogger("roost.worker")
_READS = ("SELECT", "PRAGMA", "EXPLAIN")


CONFLICT_RETRIES = 5


class InDoubt(RoostError):
    """The connection was lost while an outcome was committed: it may have been written or not."""

    code = "in_doubt"

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"Whether the step of item {outcome.item} was committed is not known yet.")
        self.outcome = outcome


class SessionLost(RoostError):
    """The database session was lost while the step ran: nothing of it was written."""

    code = "session_lost"


class Blocked(OperationalError):
    """Somebody else holds the item's row, longer than `ROOST_LOCK_TIMEOUT_MS`: the step was undone, not refused."""


class _Commit:
    """Knows whether the outermost transaction was committed, also when a later on_commit hook raised."""

    done = False

    def mark(self) -> None:
        self.done = True


def run_step(
    worker: uuid.UUID, run: Run, store: Store, shape: Callable[[Run, Outcome], Outcome]
) -> tuple[Outcome, str | None]:
    """Make one step and commit it with the rows it wrote; return the outcome and the state it left the item in.

    The state is None when the outcome was fenced off: then nothing of the step was written. A deadlock, a serialization
    failure or an item's row that others keep locked runs the step again. `shape` may change the outcome before it is
    written (to yield).
    Raises what the step raised, its rows rolled back, or `SessionLost` or `InDoubt`.
    """
    for _again in range(CONFLICT_RETRIES):
        try:
            return _run_once(worker, run, store, shape)
        except OperationalError as error:
            if not (is_retryable(error) or isinstance(error, Blocked)):
                raise
            logger.info("step of item %s met other transactions: %s; running it again", run.id, error)
    return _run_once(worker, run, store, shape)


def _run_once(
    worker: uuid.UUID, run: Run, store: Store, shape: Callable[[Run, Outcome], Outcome]
) -> tuple[Outcome, str | None]:
    run.started = time.monotonic()
    commit = _Commit()
    outcome: Outcome | None = None
    session: object = None
    try:
        with _keeping_calls(run), step_transaction(store.using):
            session = connections[store.using].connection
            transaction.on_commit(commit.mark, using=store.using)
            outcome = shape(run, execute.move(store.using, traced.step()(worker, run, store.using)))
            state = _commit(store, outcome).get(run.id)
            if state is None:
                raise Fenced(f"Item {run.id} was taken away while its step ran.")
            faults.reach("atomic.before")
        faults.reach("atomic.after")
        return outcome, state
    except Fenced:
        if outcome is None:
            raise
        return outcome, None
    except execute.Suspended as parked:
        return _park(store, shape(run, parked.outcome))
    except Exception as error:
        if outcome is None:
            if connection_lost(store.using, session, error):
                raise SessionLost(f"The database session was lost in a step of item {run.id}: {error}") from error
            raise
        if commit.done:
            logger.exception("an on_commit hook failed after a committed step", extra={"work_item": str(run.id)})
            return outcome, state
        if connection_lost(store.using, session, error):
            raise InDoubt(outcome) from error
        raise


def _park(store: Store, outcome: Outcome) -> tuple[Outcome, str | None]:
    """Commit the outcome of a step that has asked, after its rows were rolled back: it will write them again."""
    session = connections[store.using].connection
    try:
        return outcome, _commit(store, outcome).get(outcome.item)
    except (OperationalError, InterfaceError) as error:
        if connection_lost(store.using, session, error):
            raise InDoubt(outcome) from error
        raise


@contextmanager
def _keeping_calls(run: Run) -> Iterator[None]:
    """Let the step's recorded calls outlive its transaction, where the journal is written inside it."""
    try:
        yield
    except BaseException:
        if run.journal is not None:
            run.journal.rolled_back(run.held)
        raise


def _commit(store: Store, outcome: Outcome) -> dict[uuid.UUID, str]:
    """Write the outcome in the step's transaction. Raises `Blocked` when its row is locked for too long."""
    try:
        return store.commit([outcome])
    except OperationalError as error:
        if lock_not_available(error):
            raise Blocked(*error.args) from error
        raise


def connection_lost(using: str, session: object, error: BaseException) -> bool:
    """Say whether the error means that the database session is gone, rather than that a statement was wrong."""
    return isinstance(error, OperationalError | InterfaceError) and is_lost(using, session)


@contextmanager
def step_transaction(using: str) -> Iterator[None]:
    """Open the transaction of an atomic step: at once on PostgreSQL, at the first write on SQLite."""
    connection: Any = connections[using]
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        with transaction.atomic(using=using):
            yield
        return
    connection.ensure_connection()
    begun = False

    def begin_at_first_write(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal begun
        if not begun and not sql.lstrip().upper().startswith(_READS):
            connection.connection.execute("BEGIN IMMEDIATE")
            begun = True
        return execute(sql, params, many, context)

    # Django starts the outermost transaction through this hook; the first write does it here instead.
    connection._start_transaction_under_autocommit = lambda: None
    try:
        with connection.execute_wrapper(begin_at_first_write), transaction.atomic(using=using):
            del connection._start_transaction_under_autocommit
            yield
    finally:
        connection.__dict__.pop("_start_transaction_under_autocommit", None)
