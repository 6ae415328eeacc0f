"""What a check of this installation found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found; `hint` says what to do about it."""

    check: str
    level: Literal["ok", "warning", "problem"]
    text: str
    hint: str = ""
