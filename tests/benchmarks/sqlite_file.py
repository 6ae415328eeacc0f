"""Prepare the SQLite file that ROOST_PROCESS_DATABASE_URL names.

python -m tests.benchmarks.sqlite_file <items> <steps>
"""

from __future__ import annotations

import sys

import django

FULL = 2


def main() -> int:
    """Make the tables and enqueue; return 1 if connections do not sync in full."""
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from tests.benchmarks.steps import fill

    call_command("migrate", run_syncdb=True, verbosity=0)
    with connection.cursor() as cursor:
        synchronous = cursor.execute("PRAGMA synchronous").fetchone()[0]
    if synchronous != FULL:
        sys.stderr.write(f"SQLite's connections have synchronous = {synchronous}, not {FULL}: nothing is measured.\n")
        return 1
    fill("hop", int(sys.argv[1]), int(sys.argv[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
