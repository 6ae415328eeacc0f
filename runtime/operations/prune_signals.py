"""Remove signals for names that nobody came for."""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from dataclasses import dataclass, replace
from typing import Any

from runtime import clock
from runtime.conf import settings as roost
from runtime.operations.base import check_permission
from runtime.operations.prune_round import stands_alone
from runtime.store import old_signals, work_database

logger = logging.getLogger("roost.retention")

LOOK = 500
"""Mailboxes looked at in one query."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalsPruned:
    """How many signals were removed, and how many names are unknown again.

    `more` says that the time was up before all names were looked at, and `after` where to go on then.
    """

    signals: int = 0
    names: int = 0
    more: bool = False
    after: int = 0


def prune_signals(
    *, after: int = 0, seconds: float | None = None, by: Any = None, using: str | None = None
) -> SignalsPruned:
    """Remove signals for names that nobody has taken for `ROOST_RETENTION_HISTORY_DAYS`; None keeps them.

    Begins behind the mailbox `after`, and no other transaction after `seconds`. Short transactions, each of one name;
    a name that somebody is at just now is passed over. Raises `Forbidden`.
    """
    check_permission(by, "prune_workitem", "prune signals", everywhere=True)
    using = using or work_database()
    days = roost.RETENTION_HISTORY_DAYS
    cutoff = None if days is None else clock.now(using) - dt.timedelta(days=days)
    until = math.inf if seconds is None else time.monotonic() + seconds
    done = SignalsPruned(more=True, after=after)
    while done.more and time.monotonic() < until:
        found, last = old_signals.look(using, cutoff, after=done.after, limit=LOOK)
        for mailbox in found:
            done = _emptied(using, mailbox, cutoff, until, done)
            if time.monotonic() >= until:
                return done
        done = replace(done, after=last or 0, more=last is not None)
    return done


def _emptied(using: str, mailbox: int, cutoff: dt.datetime | None, until: float, done: SignalsPruned) -> SignalsPruned:
    """Empty one mailbox until the time is up; one that is not finished then is the next to go on with."""
    more = True
    while more and time.monotonic() < until:
        try:
            part = old_signals.empty(using, mailbox, cutoff)
        except Exception as error:
            if not stands_alone(error):
                raise
            logger.warning("signals of mailbox %s could not be removed, and are passed over: %s", mailbox, error)
            return replace(done, after=mailbox)
        more = part.more
        done = replace(done, signals=done.signals + part.signals, names=done.names + part.mailboxes)
    return done if more else replace(done, after=mailbox)
