"""Measure other systems beside Roost: each in an environment of its own, on the same server, with the same work.

The work is 20 trivial steps an item with about 300 bytes of state. Job queues record no steps: they run one job an
item, stand beside `single_step_items_2p`, and do not count for `peer_best_ratio`. Each system runs in
two processes, with settings that were fast in earlier measurements. Absurd's package comes without its schema, so it
is not measured.

Each `with_<system>.py` beside this file runs in `build/peers/<system>`, where nothing of Roost is installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import Bench, Figure
from tests.benchmarks.server import fresh
from tests.processes.fleet import database_url
from tests.processes.tree import ROOT

ENVIRONMENTS = ROOT / "build" / "peers"
SCRIPTS = Path(__file__).parent
PATIENCE = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """One system: what to install, how much work it gets, and whether it records every step."""

    name: str
    packages: tuple[str, ...]
    items: int
    durable_steps: bool = False

    @property
    def figure(self) -> str:
        """The name of its figure."""
        return f"peer_{self.name}_{'steps' if self.durable_steps else 'jobs'}"


PEERS = (
    Peer(name="dbos", packages=("dbos", "psycopg[binary]"), items=150, durable_steps=True),
    Peer(
        name="langgraph",
        packages=("langgraph", "langgraph-checkpoint-postgres", "psycopg[binary,pool]"),
        items=200,
        durable_steps=True,
    ),
    Peer(name="procrastinate", packages=("procrastinate", "psycopg[binary,pool]"), items=5000),
    Peer(name="django_q2", packages=("django-q2", "psycopg[binary]", "setuptools"), items=5000),
)


def take_peers(bench: Bench) -> dict[str, tuple[Figure, list[float]]]:
    """Measure each peer that installs, tell a table on stderr, and return the figures.

    `peer_best_ratio` is there when `async_steps_2p` was measured in the same call.
    """
    found: dict[str, tuple[Figure, list[float]]] = {}
    best = 0.0
    for peer in PEERS:
        python = _install(bench, peer)
        if python is None:
            continue
        runs = [run for _ in range(bench.runs) if (run := _run(bench, peer, python)) is not None]
        if runs:
            found[peer.figure] = (Figure(unit="steps/s" if peer.durable_steps else "jobs/s"), runs)
            best = max(best, sorted(runs)[len(runs) // 2] if peer.durable_steps else 0.0)
    ours = bench.values.get("async_steps_2p")
    if ours and best:
        found["peer_best_ratio"] = (Figure(unit="ratio"), [ours / best])
    _table(bench, found)
    return found


def _install(bench: Bench, peer: Peer) -> Path | None:
    home = ENVIRONMENTS / peer.name
    python = home / "bin" / "python"
    if (home / "installed").exists():
        return python
    bench.say(f"installing {peer.name} …")
    home.parent.mkdir(parents=True, exist_ok=True)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages],
    ):
        done = subprocess.run(command, check=False, stdout=sys.stderr)
        if done.returncode:
            bench.say(f"{peer.name} does not install here and is left out")
            return None
    (home / "installed").touch()
    return python


def _run(bench: Bench, peer: Peer, python: Path) -> float | None:
    """Return steps (or jobs) a second, or None, told on stderr, when the peer did not finish its work."""
    items = bench.scale(peer.items)
    url = fresh(database_url(), f"peer_{peer.name}")
    command = [str(python), str(SCRIPTS / f"with_{peer.name}.py"), url, str(items)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "ROOST_"))}
    log = bench.folder / f"peer_{peer.name}.log"
    with log.open("ab") as errors:
        done = subprocess.run(
            command,
            env=environment,
            cwd=bench.folder,
            check=False,
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=PATIENCE,
        )
    if done.returncode:
        bench.say(f"{peer.name} failed and is left out:\n{log.read_text()[-2000:]}")
        return None
    value = float(json.loads(done.stdout.splitlines()[-1])["per_second"])
    bench.say(f"{peer.figure}: {value:,.0f}")
    return value


def _table(bench: Bench, found: dict[str, tuple[Figure, list[float]]]) -> None:
    rows = [
        (name, sorted(runs)[len(runs) // 2], figure.unit)
        for name, (figure, runs) in found.items()
        if name != "peer_best_ratio"
    ]
    for name, unit in (("async_steps_2p", "steps/s"), ("single_step_items_2p", "items/s")):
        if name in bench.values:
            rows.append((f"roost {name}", bench.values[name], unit))
    bench.say(f"{'system':<32} {'a second':>10}")
    for name, value, unit in sorted(rows, key=lambda row: (row[2], -row[1])):
        bench.say(f"{name:<32} {value:>10,.0f} {unit}")
