"""Find who keeps PostgreSQL from removing dead rows, and say how to end it.

Every claim and commit leaves dead rows behind. As long as anybody may still look at the past, vacuum has to keep them,
and everything that reads past them grows slower, in every table at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from runtime.queries.words import span

OLD_SECONDS = 60.0
MANY_TRANSACTIONS = 100_000
"""Transactions since then that make a holder old whose age nobody knows."""
MOST = 5
"""Holders named: ending the first of them lets vacuum go on to the second."""
WORDS = 60

# Who vacuums holds nothing back. A session of another database does neither; one of no database sends to a standby.
# `inactive_since` has come with PostgreSQL 17.
HOLDERS = f"""
WITH sessions AS (
    SELECT 'session' AS kind, pid::text AS name,
        greatest(coalesce(age(backend_xid), 0), coalesce(age(backend_xmin), 0)) AS transactions,
        extract(epoch FROM statement_timestamp() - xact_start)::float8 AS seconds, true AS active,
        concat_ws(', ',
            nullif(application_name, ''), 'user ' || usename, 'from ' || coalesce(host(client_addr), 'this machine'),
            coalesce(state, backend_type), nullif(left(regexp_replace(trim(query), '\\s+', ' ', 'g'), {WORDS}), '')
        ) AS details
    FROM pg_stat_activity a
    WHERE coalesce(backend_xid, backend_xmin) IS NOT NULL AND pid <> pg_backend_pid()
        AND (datname IS NULL OR datname = current_database())
        AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
), prepared AS (
    SELECT 'prepared', gid, age(transaction),
        extract(epoch FROM statement_timestamp() - prepared)::float8, true, 'user ' || owner
    FROM pg_prepared_xacts WHERE database = current_database()
), slots AS (
    SELECT 'slot', slot_name::text, greatest(coalesce(age(xmin), 0), coalesce(age(catalog_xmin), 0)),
        extract(epoch FROM statement_timestamp() - (to_jsonb(s) ->> 'inactive_since')::timestamptz)::float8, active,
        concat_ws(', ', slot_type, CASE WHEN active THEN 'active' ELSE 'inactive' END)
    FROM pg_replication_slots s
    WHERE coalesce(xmin, catalog_xmin) IS NOT NULL AND (xmin IS NOT NULL OR database = current_database())
)
SELECT * FROM (TABLE sessions UNION ALL TABLE prepared UNION ALL TABLE slots) AS holders
WHERE CASE WHEN seconds IS NULL THEN NOT active OR transactions > %s ELSE seconds > %s END
ORDER BY transactions DESC, seconds DESC NULLS LAST
LIMIT {MOST}
"""

ENDINGS = {
    "session": "`SELECT pg_terminate_backend({name});` ends it, if its client does not.",
    "prepared": "`ROLLBACK PREPARED '{name}';` or `COMMIT PREPARED '{name}';` ends it.",
    "slot": "`SELECT pg_drop_replication_slot('{name}');` drops it, if its reader does not come back.",
}
KINDS = {"session": "Session", "prepared": "Prepared transaction", "slot": "Replication slot"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """What keeps dead rows: `kind` session, prepared or slot; `transactions` began since; `seconds` None if unknown."""

    kind: str
    name: str
    transactions: int
    seconds: float | None
    details: str

    @property
    def text(self) -> str:
        """Who it is and what it holds, in a sentence."""
        since = "" if self.seconds is None else f" for {span(self.seconds)}"
        return (
            f"{KINDS[self.kind]} {self.name} ({self.details}) has held back vacuum{since}: "
            f"{self.transactions} transactions."
        )

    @property
    def ending(self) -> str:
        """How to end it."""
        return ENDINGS[self.kind].format(name=self.name.replace("'", "''"))


def holders(using: str) -> list[Holder]:
    """Return who has held back vacuum for longer than a minute, the one that holds back most first.

    Sessions of other roles are seen only by a role that may read them (`pg_read_all_stats`).
    """
    with connections[using].cursor() as cursor:
        cursor.execute(HOLDERS, [MANY_TRANSACTIONS, OLD_SECONDS])
        found = cursor.fetchall()
    return [
        Holder(kind=kind, name=name, transactions=transactions, seconds=seconds, details=details)
        for kind, name, transactions, seconds, _, details in found
    ]
