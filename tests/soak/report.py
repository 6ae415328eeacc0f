"""Tell what a soak came to, in words and as data, and whether it may be so."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from tests.soak.run import Came

WRONGS = ("lost", "doubled", "stuck", "invalid")
BOUNDS = {"killed": 2.0, "restart": 5.0}
"""Seconds within which 95 of 100 items run again."""
RECOVERIES = {
    "killed": "items of killed processes ran again after",
    "restart": "around a restart of the database, after",
    "stopped": "items of processes that stood still too long, after",
}
SHOWN = 20
LARGE_MIB = 1.0


def too_slow(came: Came) -> list[str]:
    """Say which recoveries took longer than they may."""
    return [
        f"{RECOVERIES[name]} {came.recovery[name].p95:.2f} s (p95), more than {bound:g} s"
        for name, bound in BOUNDS.items()
        if came.recovery[name].p95 > bound
    ]


def text(came: Came) -> str:
    """Return the report."""
    lines = [
        f"seed {came.seed}, {came.seconds / 60:.1f} minutes, {_conditions()}",
        _work(came),
        _faults(came),
        ", ".join(f"{what}: {came.count(what)}" for what in WRONGS),
        *(f"{words} {came.recovery[name]}" for name, words in RECOVERIES.items()),
        _memory(came.memory),
        "tables, MiB, as they were and written anew: " + _bloat(came.bloat),
        *(f"{one.what.upper()}: {one.text}" for one in came.wrong[:SHOWN]),
        *(f"SLOW: {one}" for one in too_slow(came)),
    ]
    return "\n".join(lines) + "\n"


def data(came: Came) -> dict[str, Any]:
    """Return it as plain values."""
    counts = {what: came.count(what) for what in WRONGS}
    return {**asdict(came), **counts, "wrong": [one._asdict() for one in came.wrong], "slow": too_slow(came)}


def _work(came: Came) -> str:
    work = f"{came.accepted:,} pieces of work, {came.items:,} items, {came.steps:,} steps"
    return f"{work}; all had ended {came.drained:.1f} s after the last fault"


def _faults(came: Came) -> str:
    stopped = f"{came.kills} kills, {came.stops} processes stopped for a while, {came.cuts} sessions cut off"
    more = f", {came.failures} failures of the storage that {came.refused} steps met" if came.failures else ""
    through = f"; {came.pooled:,} transactions through the pooler" if came.pooled else ""
    restarts = f"{came.outages} restarts of the database"
    return f"{stopped}, {restarts}{more}{through}; {came.missed} faults met nobody"


def _conditions() -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{machine}, Django {version('Django')}, load {os.getloadavg()[0]:.1f} at the end"


def _memory(memory: dict[str, float]) -> str:
    if "growth" not in memory:
        return "memory: too short to say"
    settled, end = memory["settled"], memory["end"]
    return f"memory of the worker that was spared: {settled:.1f} MiB once settled, {end:.1f} at the end"


def _bloat(bloat: dict[str, tuple[float, float]]) -> str:
    large = [
        f"{name.removeprefix('roost_')} {before:.1f}/{after:.1f}"
        for name, (before, after) in bloat.items()
        if before > LARGE_MIB
    ]
    before, after = (sum(pair[place] for pair in bloat.values()) for place in (0, 1))
    return ", ".join([*large, f"all {before:.1f}/{after:.1f}"])
