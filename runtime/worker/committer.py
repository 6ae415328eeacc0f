"""Write outcomes in groups, and let one bad row fail alone.

All outcomes that are ready go into one transaction. When the store refuses the group, it is tried by halves until the
bad row stands alone; that one item then fails for good with the database's message, and its neighbours are written.
An outcome whose row somebody keeps locked is given back to be written later, so that nobody else waits for it.
When the database is away, nothing is given up: the writer waits, then reads back what had been written after all.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import RoostError
from runtime.jsondata import clean, dumps
from runtime.models import WorkItem
from runtime.store.base import Store
from runtime.store.transactions import begin, impatiently, is_lost, lock_not_available, sqlstate
from runtime.store.values import NewEvent, Outcome
from runtime.worker.description import MAX_MESSAGE

logger = logging.getLogger("roost.worker")
LONGEST_WAIT = 2.0

PATIENCE_MS = 500
"""How long a commit waits for rows that somebody else has locked: everything else in the process waits with it."""

BLOCKED = "blocked"
"""Stands where an item's state would, when nothing was written because somebody keeps a row locked."""


class DatabaseAway(RoostError):
    """The database stayed away until the worker had to stop; leases will expire and others go on."""

    code = "database_away"


class Committer:
    """Commits outcomes through the store. Used by one thread."""

    def __init__(self, store: Store, give_up: Callable[[], bool]) -> None:
        self._store = store
        self._give_up = give_up

    def commit(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        """Write the outcomes; return the state of each item whose outcome was accepted.

        An outcome missing from the answer was fenced off; one that is `BLOCKED` is to be sent again, later. Raises
        `DatabaseAway` when the worker must stop before the database came back.
        """
        if not outcomes:
            return {}
        session: object = None
        try:
            session = self._session()
            return self._send(outcomes)
        except (OperationalError, InterfaceError) as error:
            if is_lost(self._store.using, session):
                return self._after_loss(outcomes)
            if lock_not_available(error):
                return self._around(outcomes, error)
            return self._once_more(outcomes[0], error) if len(outcomes) == 1 else self._by_halves(outcomes, error)
        except (DatabaseError, ValueError) as error:
            return self._by_halves(outcomes, error)

    def _session(self) -> object:
        """Return the database session on which the next transaction runs."""
        connection = connections[self._store.using]
        connection.ensure_connection()
        return connection.connection

    def _send(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        with impatiently(PATIENCE_MS):
            return self._store.commit(outcomes)

    def free(self, outcomes: Sequence[Outcome]) -> frozenset[uuid.UUID]:
        """Return the items whose rows nobody else has locked now; none where that cannot be found out. Never waits."""
        rows = WorkItem.objects.using(self._store.using).select_for_update(skip_locked=True, no_key=True)
        rows = rows.filter(pk__in={outcome.item for outcome in outcomes}).order_by("pk")
        try:
            with begin(self._store.using):
                return frozenset(rows.values_list("pk", flat=True))
        except (OperationalError, InterfaceError):
            logger.info("whose rows are locked cannot be seen now", exc_info=True)
            return frozenset()

    def _around(self, outcomes: Sequence[Outcome], error: Exception) -> dict[uuid.UUID, str]:
        """Write all but those whose rows are locked: looking for these by halves would cost all a wait for each half.

        Where all rows are free it is another one, or was until just now.
        """
        free = self.free(outcomes) if len(outcomes) > 1 else frozenset()
        rest = [outcome for outcome in outcomes if outcome.item in free]
        if len(rest) == len(outcomes):
            return self._by_halves(outcomes, error)
        locked = [outcome.item for outcome in outcomes if outcome.item not in free]
        logger.info("somebody keeps %d items locked, %s among them; they are written later", len(locked), locked[0])
        return dict.fromkeys(locked, BLOCKED) | self.commit(rest)

    def _by_halves(self, outcomes: Sequence[Outcome], error: Exception) -> dict[uuid.UUID, str]:
        if len(outcomes) > 1:
            middle = len(outcomes) // 2
            return self.commit(outcomes[:middle]) | self.commit(outcomes[middle:])
        bad = outcomes[0]
        if bad.state == State.FAILED and bad.reason == Reason.PERMANENT_ERROR and not bad.advance:
            logger.error("the failure of item %s cannot be written; its lease will expire", bad.item, exc_info=error)
            return {}
        logger.warning("the outcome of item %s cannot be written", bad.item, exc_info=error)
        return self.commit([refused(bad, error)])

    def _once_more(self, outcome: Outcome, error: Exception) -> dict[uuid.UUID, str]:
        """Try one outcome again that a full disk or a timeout stopped; then leave it to be recovered."""
        if _never_fits(error):
            return self._by_halves([outcome], error)
        for wait in (0.1, 0.4, 1.6):
            time.sleep(wait * (0.5 + random.random()))  # noqa: S311 - spreads load, guards nothing
            session: object = None
            try:
                session = self._session()
                return self._send([outcome])
            except (OperationalError, InterfaceError) as another:
                if is_lost(self._store.using, session):
                    return self._after_loss([outcome])
                if lock_not_available(another):
                    return {outcome.item: BLOCKED}
                logger.info("the outcome of item %s is still refused", outcome.item, exc_info=True)
            except (DatabaseError, ValueError) as another:
                return self._by_halves([outcome], another)
        logger.error("the outcome of item %s cannot be written now; it will be run again", outcome.item, exc_info=error)
        return {}

    def _after_loss(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        """Wait for the database, find out what had been written, and send the rest again."""
        written, missing = read_back(self._store, outcomes, self._give_up)
        return written | self.commit(missing)


def _never_fits(error: Exception) -> bool:
    """Say whether the database refused the row for its size or shape (SQLSTATE class 54)."""
    return sqlstate(error).startswith("54")


def refused(bad: Outcome, error: Exception) -> Outcome:
    """Return the outcome of a step whose own outcome the database refused."""
    message = f"The database refused the step's outcome: {error}"
    text = dumps({"type": type(error).__name__, "code": "unstorable_outcome", "message": clean(message)[:MAX_MESSAGE]})
    return replace(
        bad,
        state=State.FAILED,
        reason=Reason.PERMANENT_ERROR,
        advance=False,
        data=None,
        initial=None,
        label="",
        result=None,
        error=text,
        fingerprint="unstorable",
        delay=0.0,
        events=(NewEvent(kind=EventKind.FAILED, reason=Reason.PERMANENT_ERROR, data=text),),
        artifacts=(),
        children=(),
        waits=(),
        moved=(),
        drops=False,
        whole=None,
    )


def read_back(
    store: Store, outcomes: Iterable[Outcome], give_up: Callable[[], bool]
) -> tuple[dict[uuid.UUID, str], list[Outcome]]:
    """Wait until the database answers; return (item → state) of what was written, and the outcomes to send again.

    Only the holder of an epoch moves an item's version under it, so the version tells; an outcome that makes no
    version always ends the lease, so the lease does.
    """
    wanted = list(outcomes)
    wait = 0.05
    while True:
        connections[store.using].close()
        try:
            found = store.read_back([outcome.item for outcome in wanted])
            break
        except DatabaseError:
            if give_up():
                raise DatabaseAway("The database went away and the worker has to stop.") from None
            logger.warning("the database is away; trying again")
            time.sleep(wait * (0.5 + random.random()))  # noqa: S311 - spreads load, guards nothing
            wait = min(wait * 2, LONGEST_WAIT)
    written: dict[uuid.UUID, str] = {}
    missing: list[Outcome] = []
    for outcome in wanted:
        position = found.get(outcome.item)
        if position is None or position.epoch != outcome.epoch:
            continue
        if position.version == outcome.version + 1 and outcome.advance:
            written[outcome.item] = position.state
        elif position.version == outcome.version and position.leased:
            missing.append(outcome)
        elif not position.leased:
            written[outcome.item] = position.state
    return written, missing
