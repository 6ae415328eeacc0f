"""Ask what is known against every locked version, and say so where nobody could be asked.

Run by `make audit`, with pip-audit in an environment of its own: `python deploy/audit.py build/audit`. It takes a
network. Ends with 0 where nothing is known, with 1 where something is, with 2 where one version or all of them could
not be asked about: pip-audit itself calls that a success.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
AUDITOR = "pip-audit==2.10.1"
FILES = ("constraints.txt", "constraints-django6.txt")
"""What a server installs is a part of the first."""
NOBODY = "NOT AUDITED: nobody could be asked what is known of these versions. It takes a network."
OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json")


def install(folder: Path) -> str:
    """Install pip-audit into the folder, unless it is there; return why not, "" if it is there now."""
    python, stamp = folder / "bin" / "python", folder / "auditor"
    if stamp.exists() and stamp.read_text() == AUDITOR:
        return ""
    venv.create(folder, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", AUDITOR]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        return f"{AUDITOR} cannot be installed here:\n{done.stderr}"
    stamp.write_text(AUDITOR)
    return ""


def ask(folder: Path, name: str) -> Mapping[str, Any] | str:
    """Return pip-audit's report on a file, or why there is none."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [str(folder / "bin" / "pip-audit"), "--requirement", name, *OPTIONS, "--output", str(report)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    # Nobody answered, if there is no report; what it ends with says also that something was found.
    found: Mapping[str, Any] | str = json.loads(report.read_text()) if report.exists() else done.stderr.strip()
    return found


def judge(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Return the exit code that a report comes to, and what to tell."""
    asked = [one for one in report["dependencies"] if "skip_reason" not in one]
    unasked = [f"{one['name']}: {one['skip_reason']}" for one in report["dependencies"] if "skip_reason" in one]
    known = [_known(one, found) for one in asked for found in one["vulns"]]
    if unasked or not asked:
        return 2, [*known, *unasked, f"NOT AUDITED: {len(unasked)} of {len(report['dependencies'])} versions."]
    return int(bool(known)), [*known, f"{len(asked)} versions, {len(known)} known weaknesses."]


def _known(one: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    mended = ", ".join(found["fix_versions"]) or "no version yet"
    return f"{one['name']} {one['version']}: {found['id']}, mended in {mended}"


def audit(folder: Path, name: str) -> tuple[int, list[str]]:
    """Return the exit code that a file comes to, and what to tell."""
    found = ask(folder, name)
    return judge(found) if isinstance(found, Mapping) else (2, [found, NOBODY])


def main(folder: Path) -> int:
    """Ask about each file, and tell."""
    wrong = install(folder)
    results = [(2, [wrong, NOBODY])] if wrong else [audit(folder, name) for name in FILES]
    sys.stdout.write("".join(f"{line}\n" for _code, lines in results for line in lines))
    return max(code for code, _lines in results)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
