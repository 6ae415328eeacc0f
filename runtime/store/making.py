"""Make the rows that everybody locks: of resources and of mailboxes, named by a unique key. Shared by both stores.

Whoever makes a row whose name another transaction has taken, and has not committed, waits for the end of that one: only
then is it known whether the row is there. A product may take minutes to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import OperationalError, connections

from runtime.store.transactions import briefly, lock_not_available

PATIENCE_MS = 10
"""How long whoever passes over locked rows waits for names that somebody else is taking."""
MOST_WAITS = 3
"""So many names that are not to be had end the attempt to make the rest."""


def make(using: str, rows: Sequence[Any], *, patient: bool) -> None:
    """Insert these rows, all of one model, but for those that are there; call it with the names in order.

    Unless `patient`, rows that somebody else is making are left out, and with MOST_WAITS of these those behind them.
    """
    if patient or connections[using].vendor != "postgresql":
        _insert(using, rows)
    elif not _inserted(using, rows) and len(rows) > 1:
        waits = 0
        for row in rows:
            waits += not _inserted(using, [row])
            if waits >= MOST_WAITS:
                break


def _inserted(using: str, rows: Sequence[Any]) -> bool:
    try:
        with briefly(using, PATIENCE_MS):
            _insert(using, rows)
    except OperationalError as error:
        if not lock_not_available(error):
            raise
        return False
    return True


def _insert(using: str, rows: Sequence[Any]) -> None:
    type(rows[0])._default_manager.using(using).bulk_create(rows, ignore_conflicts=True)
