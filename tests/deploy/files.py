"""Read the files of deploy/, each as its program does."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from runtime import conf
from runtime.conf import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PORT = 8000
POOL = "8"
"""Connections of a web process, for which the page on deployment gives numbers."""
WORKER_CONNECTIONS = 5 + Settings.ATOMIC_CONCURRENCY
"""Connections of a worker process: claims, heartbeat, sweeps, LISTEN, recorded calls, and its atomic steps."""
WEB_CONNECTIONS = int(POOL) + 1
"""Connections of a web process: its pool, and one that listens for changes while a live page is open."""
MAX_CONNECTIONS = 100 - 3
"""What PostgreSQL has for all, unless told otherwise: `max_connections` without those that it keeps for superusers."""
SIZES = {"k": 1024, "m": 1024**2, "g": 1024**3}
# What a worker may take from the order to stop: its steps' grace period, and a lease until others take over by time.
WORKER_STOP_SECONDS = Settings.GRACE_SECONDS + Settings.LEASE_SECONDS


@cache
def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions in order, each with its words on one line."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def told(name: str) -> list[str]:
    """Return what the Dockerfile says after each instruction of this name."""
    return [rest for found, rest in instructions() if found == name]


@cache
def compose() -> dict[str, Any]:
    """Return the compose file."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


@cache
def unit(name: str) -> dict[str, list[str]]:
    """Return a unit's settings, each with its values in order; sections share no name here."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "systemd" / name).read_text())
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "#;[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def assigned(lines: list[str]) -> dict[str, str]:
    """Return the variables of lines like `A=1 B=2`."""
    return dict(word.split("=", 1) for line in lines for word in shlex.split(line))


@cache
def example() -> dict[str, str]:
    """Return the variables of roost.env.example, those that are commented out too."""
    lines = (DEPLOY / "roost.env.example").read_text().splitlines()
    return dict(line.removeprefix("# ").split("=", 1) for line in lines if re.match(r"(# )?ROOST_\w+=", line))


@cache
def environment_names() -> frozenset[str]:
    """Return every variable that the demo product reads: its own, as documented, Roost's settings, and files."""
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    return (
        frozenset(re.findall(r"`(ROOST_\w+)`", page.partition("## The demo product's environment")[2])) | conf.names()
    )


def seconds(text: str) -> float:
    """Return the seconds of `45`, `45s` or `2m`."""
    number, unit_ = re.fullmatch(r"(\d+)(s|m|)", str(text)).groups()  # type: ignore[union-attr]
    return int(number) * (60 if unit_ == "m" else 1)


def option(command: list[str], name: str) -> str:
    """Return the value of a command's option."""
    return command[command.index(name) + 1]
