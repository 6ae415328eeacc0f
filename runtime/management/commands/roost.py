"""Operate Roost from the command line."""

from __future__ import annotations

import os
import signal
import sys
from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from runtime.management.roost import (
    answers,
    carry,
    conformance,
    demo,
    deploys,
    engines,
    enqueue,
    files,
    going_back,
    journal,
    letters,
    limits,
    lists,
    looks,
    moves,
    replays,
    resources,
    retention,
    schedules,
    signals,
    stories,
    tokens,
    triggers,
    upkeep,
    values,
    webhook_targets,
    webhooks,
    workers,
    workspaces,
)
from runtime.management.roost.call import (
    EXIT_CODES,
    Call,
    Commands,
    check_texts,
    chosen_database,
    errors_as_exit_codes,
)
from runtime.management.roost.printer import Printer

GROUPS: tuple[ModuleType, ...] = (
    *(engines, enqueue, looks, lists, stories, files, values, journal, workers),
    *(moves, going_back, replays, carry, answers, signals, letters),
    *(limits, resources, schedules, triggers, webhooks, webhook_targets, tokens),
    *(upkeep, retention, workspaces, deploys, conformance, demo),
)


class Command(BaseCommand):
    """`manage.py roost COMMAND`; each command is a function in a module of `runtime.management.roost`."""

    help = "Enqueue, look at, and operate work items."
    # `roost doctor` runs the checks; everything else must work while something is wrong.
    requires_system_checks = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Make the parser, with the exit codes at the end of the help."""
        return super().create_parser(prog_name, subcommand, epilog=EXIT_CODES, **kwargs)

    def run_from_argv(self, argv: list[str]) -> None:
        """Run, and end quietly when the reader of the output goes away (`| head`) or at Ctrl-C."""
        try:
            super().run_from_argv(argv)
        except BrokenPipeError:
            # What is still buffered has nowhere to go; Python would complain about that at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare every command."""
        commands = Commands(parser.add_subparsers(metavar="COMMAND", required=True, dest="command"))
        for group in GROUPS:
            group.register(commands)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command that was named."""
        printer = Printer(self.stdout, as_json=options["format"] == "json")
        with errors_as_exit_codes():
            check_texts(options)
            call = Call(options=options, printer=printer, using=chosen_database(options["database"]))
            options["run"](call)
