"""Write the constraints files: every version and every hash, and nothing else.

Run by `make lock`, with uv on the path. One resolution serves every supported Python and platform, constraints.txt;
constraints-django6.txt holds only what differs when Django 6 takes the place of Django 5.2, constraints-production.txt
those entries of the first that a server needs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Written by `make lock`. Names, versions and hashes; install with pip's --require-hashes.\n"
HEAD_DJANGO6 = "# Written by `make lock`. What Django 6 changes; install after constraints.txt, with --no-deps.\n"
HEAD_PRODUCTION = (
    "# Written by `make lock`. What a server needs of constraints.txt: no tools, no tests, no documentation.\n"
)
EVERYTHING = ("--all-extras",)
PRODUCTION = ("--extra=otel", "--extra=redis", "--extra=s3", "--extra=web")
# The range is every line's first condition (pyproject.toml, tool.uv): it says nothing on a line.
COMMON_MARKER = re.compile(r" ; python_full_version < '3\.15'(?: and )?(?P<rest>[^\\\n]*?)(?= \\$)", re.MULTILINE)
ENTRY = re.compile(r"^(?=\S)", re.MULTILINE)


def resolve(limits: str, python: str, extras: tuple[str, ...] = EVERYTHING) -> str:
    """Return the full resolution of the extras within these constraints, valid from this Python on."""
    with tempfile.TemporaryDirectory() as folder:
        choice = Path(folder) / "choice.txt"
        choice.write_text(limits)
        command = ["uv", "pip", "compile", "pyproject.toml", *extras, "--universal", "--quiet"]
        command += ["--python-version", python, "--constraint", str(choice), "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        found = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return COMMON_MARKER.sub(lambda match: f" ; {match['rest']}" if match["rest"] else "", found)


def entries(resolution: str) -> dict[str, str]:
    """Split a resolution into its entries, by `name==version`."""
    parts = [part for part in ENTRY.split(resolution) if part.strip()]
    return {part.split(maxsplit=1)[0]: part for part in parts}


def main() -> int:
    """Resolve and write the files."""
    django52 = resolve("django<6\n", "3.11")
    django6 = resolve("django>=6,<7\n", "3.12")
    production = entries(resolve(django52, "3.11", PRODUCTION))
    known = entries(django52)
    changed = [part for name, part in entries(django6).items() if name not in known]
    needed = [part for name, part in known.items() if name in production]
    (ROOT / "constraints.txt").write_text(HEAD + django52)
    (ROOT / "constraints-django6.txt").write_text(HEAD_DJANGO6 + "".join(changed))
    (ROOT / "constraints-production.txt").write_text(HEAD_PRODUCTION + "".join(needed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
