"""Plan shape: what a statement reads depends on what it takes, not on how much there is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from django.db import connections

from runtime.choices import State
from runtime.conformance.report import Untold, require
from runtime.conformance.stage import Stage
from runtime.store.values import Claimed

LATER, DUE, TAKEN = 4_000, 200, 10
READ_FOR_EACH = 40
"""So many rows may be looked at for each that is taken."""
FLUSH_SECONDS = 5.0
READ = """
SELECT coalesce(sum(seq_tup_read), 0), coalesce(sum(idx_tup_fetch), 0) FROM pg_stat_all_tables
WHERE relname IN ('roost_workitem', 'roost_event', 'roost_snapshot', 'roost_lease')
"""
_WHOLE = re.compile(r"SCAN (?:TABLE )?\"?(roost_(?:workitem|event|snapshot))\b(?!.* USING )")


def a_claim_and_a_commit_read_what_they_take(stage: Stage) -> None:
    """A claim, or a commit, among thousands of items looks at a few rows for each that it takes."""
    _fill(stage)
    hand = stage.hand()
    claimed: list[Claimed] = []

    def claim() -> int:
        claimed.extend(hand.claim(limit=TAKEN))
        return len(claimed)

    _bounded(stage, "the claim", claim)
    outcomes = [hand.outcome(one, State.DONE) for one in claimed]
    _bounded(stage, "the commit", lambda: len(stage.store.commit(outcomes)))


def _fill(stage: Stage) -> None:
    for delay, count in ((86_400.0, LATER), (0.0, DUE)):
        stage.store.insert([stage.new(delay=delay) for _ in range(count)])
    if connections[stage.using].vendor == "postgresql":
        with connections[stage.using].cursor() as cursor:
            cursor.execute("ANALYZE roost_workitem, roost_event, roost_snapshot, roost_lease")


def _bounded(stage: Stage, what: str, work: Callable[[], int]) -> None:
    """Require that the work does what it has to, and looks at few rows for it."""
    look = {"postgresql": _on_postgres, "sqlite": _on_sqlite}.get(connections[stage.using].vendor)
    if look is None:
        raise Untold(f"nobody knows how to look at plans of {connections[stage.using].vendor}")
    look(stage, what, work)


def _on_postgres(stage: Stage, what: str, work: Callable[[], int]) -> None:
    if connections[stage.using].in_atomic_block:
        raise Untold("the server counts rows only outside of a transaction")
    before = _rows_read(stage)
    require(work() == TAKEN, f"{what} did not do the {TAKEN} that it was asked for.")
    read = _rows_read(stage) - before
    require(read <= TAKEN * READ_FOR_EACH, f"{what} looked at {read} rows for {TAKEN} items, of {LATER + DUE}.")


def _rows_read(stage: Stage) -> int:
    """Return how many rows have been read of Roost's tables; the server is told to count what it has not yet."""
    found, give_up_at = -1, time.monotonic() + FLUSH_SECONDS
    with connections[stage.using].cursor() as cursor:
        while time.monotonic() < give_up_at:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(READ)
            now = sum(cursor.fetchone())
            if now == found:
                break
            found = now
    return found


def _on_sqlite(stage: Stage, what: str, work: Callable[[], int]) -> None:
    statements: dict[str, Any] = {}

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.setdefault(sql, params[0] if many else params)
        return execute(sql, params, many, context)

    connection = connections[stage.using]
    with connection.execute_wrapper(note):
        require(work() == TAKEN, f"{what} did not do the {TAKEN} that it was asked for.")
    with connection.cursor() as cursor:
        for sql, params in statements.items():
            if sql.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                whole = [row[3] for row in cursor.fetchall() if _WHOLE.match(str(row[3]))]
                require(not whole, f"{what} reads a table from end to end ({whole}): {sql:.300}")


CHECKS = (a_claim_and_a_commit_read_what_they_take,)
