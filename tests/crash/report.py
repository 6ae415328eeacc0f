"""Tell what a run of the matrix came to: read it from junit.xml, and write it as a table and as a page."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime import faults
from tests.crash.faults import FAULTS, NOT_REACHED

HEAD = (
    "# The crash matrix\n\n"
    "`make crash` plays small scenarios once for every fault point that they pass and every fault that can happen "
    "there. It then looks, in the tables alone, whether what must hold holds (`roost verify --all`), and whether each "
    "effect is there once: rows, calls, letters, files, firings. This page is written from one such run.\n\n"
    "A fault point lies before and after each durable write and each effect outside; `roost doctor --fault-points` "
    "lists them. Which of them a scenario passes is found by an undisturbed run, so what is built later joins by "
    "itself, and a test fails when something is written at no point.\n\n"
)
FAULTS_HEAD = "## What happens at a point\n\n| fault | what it is |\n|---|---|\n"
TABLE_HEAD = (
    "\n## Points and faults\n\n"
    "Runs that passed, of those made; nothing where the fault cannot happen. SQLite has no connection that could be "
    "lost, and nobody can take an item from a step that holds the only write lock. The first two passes of a point are "
    "tried, and the first one where a process is killed.\n\n"
)


def cells_of(file: Path, database: str) -> list[dict[str, Any]]:
    """Read the cells that a run's tests told. Raises `OSError` when there is no such run."""
    found = ET.parse(file).getroot().iter("property")  # noqa: S314 - pytest wrote it a moment ago
    told = [json.loads(one.get("value", "[]")) for one in found if one.get("name") == "crash"]
    return [{"database": database, **cell} for cells in told for cell in cells]


def totals(document: dict[str, Any]) -> str:
    """Say in one line what the run came to."""
    cells = told(document)
    passed = sum(not cell["trouble"] for cell in cells)
    scenarios, points = ({cell[name] for cell in cells} for name in ("scenario", "point"))
    return (
        f"{passed:,} of {len(cells):,} runs passed: {len(scenarios)} scenarios at {len(points)} of "
        f"{len(faults.POINTS)} fault points, {len({cell['fault'] for cell in cells})} faults, on "
        f"{' and '.join(document['databases'])}, in {document['seconds'] / 60:.1f} minutes."
    )


def told(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs that came to their point, and so say something."""
    return [cell for cell in document["cells"] if cell["trouble"] != NOT_REACHED]


def table(cells: Sequence[dict[str, Any]]) -> str:
    """Return how many runs passed, of those made, by point and fault: a Markdown table, readable as it is."""
    made = Counter((cell["point"], cell["fault"]) for cell in cells)
    passed = Counter((cell["point"], cell["fault"]) for cell in cells if not cell["trouble"])
    rows = [["point", *FAULTS]]
    for point in faults.POINTS:
        counts = [(passed[point, fault], made[point, fault]) for fault in FAULTS]
        if any(of for _, of in counts):
            rows.append([point, *(f"{good}/{of}" if of else "" for good, of in counts)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def page(document: dict[str, Any]) -> str:
    """Return the page of the documentation."""
    cells = told(document)
    silent = len(document["cells"]) - len(cells)
    wrong = [cell for cell in cells if cell["trouble"]]
    kinds = "".join(f"| {name} | {what} |\n" for name, what in FAULTS.items())
    missing = [point for point in faults.POINTS if point not in {cell["point"] for cell in cells}]
    text = HEAD + f"**{totals(document)}**\n\n" + FAULTS_HEAD + kinds + TABLE_HEAD + table(cells) + "\n"
    if silent:
        text += f"\n{silent} more runs ended before they came to their point, and are not counted: beats, sweeps and "
        text += "idle claims depend on the clock.\n"
    if missing:
        text += f"\nNo scenario passes {', '.join(f'`{point}`' for point in missing)}.\n"
    if wrong:
        text += "\n## What did not pass\n\n" + "".join(
            f"- {one['scenario']}, {one['fault']} at `{one['point']}` (pass {one['nth']}, {one['database']}): "
            f"{one['trouble'].splitlines()[0]}\n"
            for one in wrong
        )
    return text
