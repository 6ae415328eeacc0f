"""What the documentation has a reader write, to be written word for word."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def block(page: str, before: str, language: str = "python") -> str:
    """Return the block of code that follows these words on a page."""
    text = (ROOT / page).read_text()
    found = re.findall(rf"{re.escape(before)}\n\n```{language}\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1, f"{page} has {len(found)} blocks after {before!r}"
    return str(found[0])


def under(page: str, heading: str, language: str) -> list[str]:
    """Return the blocks of code under a heading of a page."""
    text = (ROOT / page).read_text()
    part = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [str(code) for code in re.findall(rf"```{language}\n(.*?)```", part, re.DOTALL)]


def commands(blocks: list[str]) -> list[str]:
    """Return the commands of console blocks, in turn."""
    return [
        command.strip() for code in blocks for command in re.split(r"^\$ ", code, flags=re.MULTILINE) if command.strip()
    ]
