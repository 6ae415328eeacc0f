"""What is wrong with stored rows."""

from __future__ import annotations

import uuid
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """An invariant that does not hold. `code` is stable; `item` is None when it concerns a resource."""

    item: uuid.UUID | None
    code: str
    text: str
