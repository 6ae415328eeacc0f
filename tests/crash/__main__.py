"""Play the whole matrix on both databases, print it, and write build/crash.json.

    python -m tests.crash [--only sqlite|postgresql] [--render | --render-last] [pytest arguments]

`--render` writes docs/explanation/crash-matrix.md from the run, `--render-last` from build/crash.json, without a run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from tests.crash.report import cells_of, page, table, told, totals
from tests.suite import BUILD, DATABASES, ROOT, report

PAGE = ROOT / "docs" / "explanation" / "crash-matrix.md"
FILE = BUILD / "crash.json"
LABEL = "crash"


def main() -> int:
    """Run, tell, and return 1 if a cell did not pass."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", choices=DATABASES, action="append")
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--render-last", action="store_true")
    known, arguments = parser.parse_known_args()
    document, code = (json.loads(FILE.read_text()), 0) if known.render_last else _play(known.only, arguments)
    cells = told(document)
    sys.stdout.write(f"\n{table(cells)}\n\n{totals(document)}\n{FILE.relative_to(ROOT)}\n")
    if known.render or known.render_last:
        PAGE.write_text(page(document))
        sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")
    return int(bool(code) or not cells or any(cell["trouble"] for cell in cells))


def _play(only: list[str] | None, arguments: list[str]) -> tuple[dict[str, Any], int]:
    """Play it; return what came of it, as it is in build/crash.json, and pytest's exit code."""
    databases = only or list(DATABASES)
    began = time.monotonic()
    code = _run(databases, arguments)
    cells = [cell for database in databases for cell in cells_of(report(f"{LABEL}-{database}"), database)]
    document = {"seconds": round(time.monotonic() - began), "databases": databases, "cells": cells}
    FILE.write_text(json.dumps(document, indent=1))
    return document, code


def _run(databases: list[str], arguments: list[str]) -> int:
    chosen = [part for database in databases for part in ("--only", database)]
    command = [sys.executable, "-m", "tests.suite", *chosen, "--label", LABEL, "-m", "crash", "tests/crash", "-q"]
    return subprocess.run([*command, *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
