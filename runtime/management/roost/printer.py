"""Write tables for people and one JSON document for programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.management.base import OutputWrapper

WIDEST_CELL = 100


class Printer:
    """Writes what a command found. In JSON mode only `document` writes, and in table mode everything else does."""

    def __init__(self, out: OutputWrapper, *, as_json: bool) -> None:
        self._out = out
        self.as_json = as_json

    def document(self, data: Any) -> None:
        """Write the one JSON document."""
        if self.as_json:
            self._out.write(json.dumps(data, ensure_ascii=False, indent=2))

    def file(self, text: str) -> None:
        """Write what is to be kept as a file, as it is; `text` holds ASCII alone."""
        self._out.write(text)

    def line(self, text: str = "") -> None:
        """Write a line for people, at once: some commands tell how they are getting on."""
        if not self.as_json:
            self._out.write("\n".join(printable(part) for part in text.split("\n")))
            self._out.flush()

    def more(self, option: str, last: object) -> None:
        """Say by which option the page after this one is shown, if there is one: `last` is None otherwise."""
        if last is not None:
            self.line(f"more: {option} {last}")

    def facts(self, facts: Iterable[tuple[str, Any]]) -> None:
        """Write names and values below each other, leaving out what is empty."""
        kept = [(name, str(value)) for name, value in facts if value not in (None, "", [])]
        width = max((len(name) for name, _ in kept), default=0)
        for name, value in kept:
            self.line(f"{name:<{width}}  {value}")

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
        """Write aligned columns, numbers to the right; `empty` when there is no row."""
        cells = [[_cell(value) for value in row] for row in rows]
        if not cells:
            self.line(empty)
            return
        numeric = [all(_is_number(row[place]) for row in cells) for place in range(len(headers))]
        widths = [max(len(row[place]) for row in [list(headers), *cells]) for place in range(len(headers))]
        for row in [list(headers), *cells]:
            parts = [
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, numeric, strict=True)
            ]
            self.line("  ".join(parts).rstrip())


def printable(text: str) -> str:
    """Return text without what a terminal would obey: what agents write is not to be trusted."""
    if text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char)[0] == "C" else char for char in text)


def _escaped(char: str) -> str:
    return "    " if char == "\t" else char.encode("unicode_escape", "backslashreplace").decode()


def pretty(data: Any, *, limit: int = 4000) -> str:
    """Return data as indented JSON, cut after `limit` characters."""
    text = json.dumps(data, ensure_ascii=False, indent=2)
    return text if len(text) <= limit else f"{text[:limit]}\n… {len(text) - limit} more characters: use --format json"


def _cell(value: Any) -> str:
    text = printable("-" if value is None or value == "" else str(value).replace("\n", " "))
    return text if len(text) <= WIDEST_CELL else f"{text[: WIDEST_CELL - 1]}…"


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).isdigit()
