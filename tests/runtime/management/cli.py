"""Run `roost` commands as `call_command` does, and look at what they print and how they end."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError


def run(*arguments: object) -> str:
    """Run a command and return what it prints."""
    out = io.StringIO()
    call_command("roost", *map(str, arguments), stdout=out)
    return out.getvalue()


def document(*arguments: object) -> Any:
    """Run a command with `--format json` and return its one document."""
    return json.loads(run(*arguments, "--format", "json"))


def refused(*arguments: object) -> tuple[int, str]:
    """Run a command that must fail, and return its exit code and its message."""
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    return caught.value.returncode, str(caught.value)
