"""Put times, spans and reasons into words for people."""

from __future__ import annotations

import datetime as dt

from runtime.choices import Reason


def moment(at: dt.datetime | None) -> str:
    """Return a time as people read it, to the second, in UTC; a dash for none."""
    return "-" if at is None else at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(seconds: float) -> str:
    """Return a length of time in its largest fitting unit: 0.4 s, 12 s, 3 min, 5 h, 2 d."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def for_people(reason: str) -> str:
    """Return a reason in words, or as it is when it is none of Roost's."""
    return str(Reason(reason).label) if reason in Reason.values else reason
