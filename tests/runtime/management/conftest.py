"""Run the demo once: it has a SQLite database of its own, whatever the suite runs on. Make the parser once, too."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandParser

from runtime.management.commands.roost import Command

collect_ignore = [] if "sqlite" in settings.DATABASES["default"]["ENGINE"] else ["test_roost_demo.py"]
MADE = Command.create_parser


@cache
def _parser(program: str, subcommand: str, from_shell: bool) -> CommandParser:
    command = Command()
    command._called_from_command_line = from_shell
    return MADE(command, program, subcommand)


@pytest.fixture(autouse=True)
def one_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse every command line of `roost` by one parser: it is always the same, and most of what a call costs."""

    def made(command: Any, program: str, subcommand: str) -> CommandParser:
        return _parser(program, subcommand, getattr(command, "_called_from_command_line", False))

    monkeypatch.setattr(Command, "create_parser", made)
