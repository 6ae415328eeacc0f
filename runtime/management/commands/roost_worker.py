"""Run Roost's worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.checks import Tags
from django.core.checks.registry import registry
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import router

from runtime import tasks
from runtime.conf import settings as roost
from runtime.exceptions import RoostError
from runtime.models import WorkItem
from runtime.worker import cluster
from runtime.worker.options import WorkerOptions


class Command(BaseCommand):
    """Start a pool of worker processes, or work in this one.

    Exit codes: 0 stopped gracefully or nothing left to do; 1 a value that cannot be meant, or workers that had to be
    killed; 2 a wrong command line; 128 + n ended at once by the second signal n.
    """

    help = "Run the steps of work items, in a pool of worker processes, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options; those left out come from the `ROOST_*` settings."""
        parser.add_argument("--engines", metavar="NAME,…", help="Engines to run, or 'all' (the default).")
        parser.add_argument("--processes", type=int, metavar="N", help="Worker processes (ROOST_WORKER_PROCESSES).")
        parser.add_argument(
            "--concurrency", type=int, metavar="N", help="Items in flight in each process (ROOST_WORKER_CONCURRENCY)."
        )
        parser.add_argument("--pools", metavar="NAME,…", help="Pools to serve; all if left out.")
        parser.add_argument(
            "--grace",
            type=float,
            metavar="SECONDS",
            dest="grace_seconds",
            help="How long running steps may go on after the first signal (ROOST_GRACE_SECONDS).",
        )
        parser.add_argument("--database", metavar="ALIAS", help="Database of the work items.")
        until = parser.add_mutually_exclusive_group()
        until.add_argument("--once", action="store_true", help="Run what is due now, in this process, and end.")
        until.add_argument("--until-idle", action="store_true", help="Go on until nothing is due or running, then end.")

    def check(self, *args: Any, **options: Any) -> None:
        """Run the system checks, but for those of URLs: a worker serves none, and they load every page and the API."""
        with _without_checks_of(Tags.urls):
            super().check(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the worker; ends the command with the worker's exit code."""
        try:
            code = self.work(self.chosen(options))
        except RoostError as error:
            raise CommandError(str(error)) from error
        if code:
            sys.exit(code)

    def chosen(self, options: dict[str, Any]) -> WorkerOptions:
        """Turn the command line into options; raises InvalidInput for what cannot be meant."""
        using = options["database"] or roost.DATABASE or router.db_for_write(WorkItem)
        chosen = WorkerOptions.defaults(
            using,
            engines=_engines(options["engines"]),
            pools=_listed(options["pools"]),
            processes=options["processes"],
            concurrency=options["concurrency"],
            once=options["once"],
            until_idle=options["until_idle"],
            grace_seconds=options["grace_seconds"],
        )
        chosen.require_known()
        return chosen

    def work(self, options: WorkerOptions) -> int:
        """Work as the options say and return the exit code."""
        if options.in_this_process:
            tasks.drain_here(options)
            return 0
        return cluster.run(options)


@contextmanager
def _without_checks_of(tag: str) -> Iterator[None]:
    """Leave the checks of one tag out. Naming all the other tags would leave out the checks that have none."""
    left_out = {check for check in registry.registered_checks if tag in check.tags}
    registry.registered_checks -= left_out
    try:
        yield
    finally:
        registry.registered_checks |= left_out


def _listed(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def _engines(text: str | None) -> tuple[str, ...] | None:
    names = _listed(text)
    return None if names is None or names == ("all",) else names
