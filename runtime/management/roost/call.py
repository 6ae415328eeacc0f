"""What every command gets, and how its errors become exit codes."""

from __future__ import annotations

import argparse
import getpass
import os
from argparse import _SubParsersAction
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, connections

from runtime import jsondata
from runtime.exceptions import InvalidInput, NotFound, RoostError
from runtime.management.roost.printer import Printer
from runtime.models import WorkItem
from runtime.queries import items
from runtime.store import work_database
from runtime.store.transactions import not_migrated

CONFLICT, INVALID, MISSING = 1, 2, 3
FILES = frozenset({"file", "output", "to"})
"""Options that name files."""

EXIT_CODES = (
    "Exit codes: 0 done; 1 a conflict, a problem found, or a failure; "
    "2 a wrong command line or invalid input, nothing was stored; 3 no such item, artifact or version to look at."
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One run of a command: its options, where it writes, the work database, and who acts."""

    options: Mapping[str, Any]
    printer: Printer
    using: str

    @property
    def actor(self) -> str:
        """The name that events carry for whoever types here."""
        try:
            return f"cli:{getpass.getuser()}"
        except (KeyError, OSError):
            return f"cli:{os.getuid()}"

    def item(self) -> WorkItem:
        """Return the item that the argument ID names."""
        return items.get(self.options["item"], using=self.using)


Run = Callable[[Call], None]


class Commands:
    """Where a group declares its commands."""

    def __init__(self, subparsers: _SubParsersAction[CommandParser]) -> None:
        self._subparsers = subparsers

    def add(self, name: str, run: Run, *, about: str) -> CommandParser:
        """Declare a command with the options that all of them have, and return its parser."""
        parser = self._parser(name, about)
        parser.set_defaults(run=run)
        parser.add_argument(
            "--format", choices=["table", "json"], default="table", help="Tables, or one JSON document."
        )
        parser.add_argument("--database", metavar="ALIAS", help="Database of the work items.")
        return parser

    def group(self, name: str, *, about: str) -> Commands:
        """Declare a group whose commands follow its name."""
        parser = self._parser(name, about)
        return Commands(parser.add_subparsers(metavar="COMMAND", required=True, dest=f"{name} command"))

    def _parser(self, name: str, about: str) -> CommandParser:
        parser = self._subparsers.add_parser(name, help=about, description=about, epilog=EXIT_CODES)
        for flag in ("--traceback", "--no-color", "--force-color"):
            parser.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        for option in ("--settings", "--pythonpath"):
            parser.add_argument(option, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        parser.add_argument("-v", "--verbosity", type=int, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        return parser


def item_argument(parser: CommandParser) -> None:
    """Declare the argument ID."""
    parser.add_argument("item", metavar="ID", help="The work item's id, or its first digits.")


def chosen_database(alias: str | None) -> str:
    """Return the alias to work on. Raises `InvalidInput` for one that the settings do not have."""
    using = alias or work_database()
    if using not in connections:
        raise InvalidInput(
            f"There is no database alias {using!r}. Available: {', '.join(sorted(connections))}.", field="database"
        )
    return using


def check_texts(options: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` for bytes on the command line that are no text; names of files may be anything."""
    for name, value in options.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and name not in FILES and not text.startswith("@"):
                jsondata.check(text, name)


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Turn Roost's errors, the database's and those of the settings into `CommandError`s, one line each."""
    try:
        yield
    except RoostError as error:
        raise CommandError(str(error), returncode=exit_code(error)) from error
    except (DatabaseError, ImproperlyConfigured) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        hint = "Run `manage.py migrate`." if not_migrated(error) else "`roost doctor` tells more."
        raise CommandError(f"The database failed: {first}. {hint}", returncode=CONFLICT) from error


def exit_code(error: RoostError) -> int:
    """Return the exit code that stands for an error."""
    if isinstance(error, InvalidInput):
        return INVALID
    return MISSING if isinstance(error, NotFound) else CONFLICT
