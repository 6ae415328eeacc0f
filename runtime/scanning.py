"""Let the product look at a file that comes from outside, before anything of it is stored.

`ROOST_SCAN_UPLOADS` names a callable, `def scan(name, content): …`, that returns in words why the file is not taken, or
nothing. Files that steps make are the product's own, and are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.module_loading import import_string

from runtime.artifacts import Prepared
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput

MAX_WORDS = 300


def hook() -> Callable[[str, bytes], Any] | None:
    """Return the product's callable, or None. Raises `ImportError`, and `TypeError` for what cannot be called."""
    if not roost.SCAN_UPLOADS:
        return None
    found = import_string(str(roost.SCAN_UPLOADS))
    if not callable(found):
        raise TypeError(f"{roost.SCAN_UPLOADS} is a {type(found).__name__}, which cannot be called.")
    called: Callable[[str, bytes], Any] = found
    return called


def scan(file: Prepared) -> None:
    """Raise `InvalidInput` for a file that the product refuses, and whatever its callable raises."""
    called = hook()
    words = called(file.name, file.content) if called is not None else None
    if words:
        raise InvalidInput(f"The file {file.name!r} is not taken: {str(words)[:MAX_WORDS]}", field="file")
