"""Let schemathesis read the description of a running server, and send what it makes of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.world import Words

PHASES = ("examples", "coverage", "fuzzing", "stateful")

BRIEF: dict[str, float] = {
    "API_STREAM_SECONDS": 0,
    "API_WAIT_SECONDS": 0.05,
    "API_REQUESTS_PER_MINUTE": 10_000_000,
    "API_MAX_UPLOAD_BYTES": 100_000,
}
"""Settings of a server that nobody waits for."""

CHAIN = 10
"""Requests of one chain, at most."""
CHAINS = 5
"""Chains for each example of an operation, since all operations share them."""

OFTEN = 0.9
"""How often a parameter has a value that there is something to find by."""

ACCEPTED = ["2xx", "3xx", "400", "401", "403", "404", "409", "412", "413", "416", "422", "429"]
"""What a request that fits its schema may be answered with: engines, cron and ids have rules that no schema tells."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of a run: how many requests were made, what was found, and what schemathesis said.

    `whole` says that every operation was tried in every phase.
    """

    cases: int
    operations: int
    whole: bool
    found: list[str]
    text: str

    @property
    def links(self) -> str:
        """How many links of the description its chains went along."""
        told = re.search(r"API Links: +(.*)", self.text)
        return told[1] if told is not None else "no links"


def run(
    url: str, token: str, words: Words, folder: Path, *, examples: int, seed: int, phases: Sequence[str] = PHASES
) -> Report:
    """Run all checks of these phases, up to so many examples for each operation."""
    settings, told = folder / "schemathesis.toml", folder / "report.json"
    settings.write_text(_settings(words, examples))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run", f"{url}/openapi.json"]
    command += ["--checks", "all", "--phases", ",".join(phases), "--seed", str(seed)]
    command += ["--header", f"Authorization: Bearer {token}", "--report", "json", "--report-json-path", str(told)]
    command += ["--generation-database", "none", "--no-color", "--suppress-health-check", "all"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if not told.exists():
        raise AssertionError(f"schemathesis did not come to an end:\n{text}")
    return _read(json.loads(told.read_text()), text)


def _settings(words: Words, examples: int) -> str:
    """Return schemathesis' configuration. JSON's texts and lists are TOML's too."""
    accepted = f"expected-statuses = {json.dumps(ACCEPTED)}"
    lines = ["request-timeout = 30.0", "[checks.positive_data_acceptance]", accepted]
    lines += ["[generation]", f"max-examples = {examples}"]
    lines += ["[phases.stateful]", f"max-steps = {CHAIN}"]
    lines += ["[phases.stateful.generation]", f"max-examples = {examples * CHAINS}"]
    for name, values in words.items():
        dictionary = name.replace(".", "_")
        lines += [f"[dictionaries.{dictionary}]", f"values = {json.dumps(values)}"]
        lines += [f"[parameters.{json.dumps(name)}]", f'dictionary = "{dictionary}"', f"probability = {OFTEN}"]
    return "\n".join(lines) + "\n"


def _read(told: dict[str, Any], text: str) -> Report:
    operations = told["operations"] or {"selected": 0, "tested": -1}
    errors = [f"{one['title']} ({one['count']})" for one in told["errors"]]
    failures = [f"{one['title']} ({one['count']}): {', '.join(one['operations'])}" for one in told["failures"]]
    return Report(
        cases=told["test_cases"]["generated"],
        operations=operations["tested"],
        whole=told["complete"] and operations["tested"] == operations["selected"],
        found=errors + failures,
        text=text,
    )
