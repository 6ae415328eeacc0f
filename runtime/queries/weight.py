"""Weigh rows before they are read, so that what is read at once stays within memory: one value may have megabytes."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Coalesce, Length

ROOM = 16 * 1024 * 1024
"""Characters of JSON that are read at once, but for a single row that has more."""


def fitting(rows: QuerySet[Any], *columns: str, most: int) -> int:
    """Return how many of the first `most` rows there is room for by these JSON columns: one at least."""
    first, *others = (Coalesce(Length(Cast(name, TextField())), 0) for name in columns)
    weighed = rows.annotate(characters=sum(others, start=first)).values_list("characters", flat=True)
    room = ROOM
    for place, characters in enumerate(weighed[:most]):
        room -= characters
        if room < 0:
            return max(place, 1)
    return most
