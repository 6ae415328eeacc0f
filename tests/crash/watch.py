"""Find writes to Roost's tables at which no test can let a process fail.

Every cursor is watched, the ORM's and those of the hand-written SQL. A write is at a point when it happens inside
`faults.around(…)`, or under a method of a store that is named after a place: in production the store has no points,
and gets them when a fault is asked for. What tests write with models of their own is nobody's business.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest
from django.db.backends.sqlite3.base import SQLiteCursorWrapper

from runtime import faults
from runtime.store.faulty import SAME

ROOT = Path(__file__).resolve().parents[2]
WRITES = re.compile(r"""\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(?:ONLY\s+)?"?(roost_\w+)""", re.IGNORECASE)
STORES = tuple(str(ROOT / "runtime/store" / name / "__init__.py") for name in ("postgres", "portable"))
OURS = tuple(str(ROOT / name) + "/" for name in ("runtime", "console", "engines"))
KITS = tuple(str(ROOT / "runtime" / name) for name in ("testing.py", "pytest_plugin.py", "models/", "migrations/"))
"""What tests use to make rows: who calls it decides."""
POINTS = faults.PLACES.keys() | SAME.keys()
WRAPPERS = ("begin_at_first_write",)


@dataclass(frozen=True, kw_only=True)
class Unpointed:
    """A write to a table, and the line of Roost's code that made it."""

    table: str
    where: str


class Watch:
    """What was written at no point while the watch was on."""

    def __init__(self) -> None:
        self.found: set[Unpointed] = set()
        self._inside = threading.local()

    @contextmanager
    def around(self, place: str) -> Iterator[None]:
        """Stand in for `faults.around`, and know what is inside."""
        self._inside.depth = getattr(self._inside, "depth", 0) + 1
        try:
            faults.reach(f"{place}.before")
            yield
            faults.reach(f"{place}.after")
        finally:
            self._inside.depth -= 1

    def note(self, statement: Any) -> None:
        """Look at a statement that is about to be sent by this thread."""
        text = statement if isinstance(statement, str) else statement.decode() if isinstance(statement, bytes) else ""
        written = WRITES.search(text)
        if written is None or getattr(self._inside, "depth", 0):
            return
        where = _unpointed(sys._getframe(1))
        if where:
            self.found.add(Unpointed(table=written[1], where=where))


def _unpointed(frame: FrameType | None) -> str:
    """Return the line of Roost's code that writes; nothing when it is at a point, or a test's own write."""
    where = ""
    while frame is not None:
        code = frame.f_code
        if code.co_filename in STORES and code.co_name in POINTS:
            return ""
        if not where and not _passes_on(code.co_filename, code.co_name):
            if not code.co_filename.startswith(OURS):
                return ""
            where = f"{Path(code.co_filename).relative_to(ROOT)}:{frame.f_lineno} {code.co_name}"
        frame = frame.f_back
    return where


def _passes_on(file: str, function: str) -> bool:
    """Say whether the code only carries a write for somebody else: Django, a model, an execute wrapper, this watch."""
    outside = not file.startswith(str(ROOT)) or "site-packages" in file
    return outside or file == __file__ or file.startswith(KITS) or function in WRAPPERS


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch every cursor of this process while the block runs."""
    watch = Watch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "around", watch.around)
        for cursor in (psycopg.Cursor, SQLiteCursorWrapper):
            for name in ("execute", "executemany"):
                patch.setattr(cursor, name, _noting(watch, getattr(cursor, name)))
        yield watch


def _noting(watch: Watch, send: Callable[..., Any]) -> Callable[..., Any]:
    def noted(cursor: Any, statement: Any, *args: Any, **options: Any) -> Any:
        watch.note(statement)
        return send(cursor, statement, *args, **options)

    return noted
