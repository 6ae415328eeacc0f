"""What a shell sees of the commands: exit codes, one line of error, and quiet where the reader goes away."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.once]

ROOT = Path(__file__).resolve().parents[3]


def test_exit_codes_reach_the_shell() -> None:
    def end(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "manage.py", "roost", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    assert end("dance")[0] == 2
    code, out, error = end("enqueue", "--engine", "nobody")
    assert (code, out) == (2, "")
    assert error.startswith("CommandError: There is no engine 'nobody'")
    assert error.count("\n") == 1
    assert end("demo", "--crash", "0")[0] == 2
    assert end("engines", "--no-color", "--settings", "roost_project.settings")[0] == 0


def test_a_reader_that_goes_away_ends_a_command_quietly() -> None:
    command = subprocess.Popen(
        [sys.executable, "manage.py", "roost", "engines"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None
    command.stdout.close()
    _, error = command.communicate(timeout=30)
    assert (command.returncode, error) == (128 + signal.SIGPIPE, b"")
