"""Put times, spans and reasons into words for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from runtime.choices import Reason
from runtime.models import WorkItem
from runtime.sentences import say


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


def spent(tokens: int, cost: int) -> str:
    """Return tokens and a cost in millionths of a dollar as people read them: "12,345 tokens, $0.0312"; "" for none."""
    told = [f"{tokens:,} tokens"] if tokens else []
    return ", ".join([*told, dollars(cost)] if cost else told)


def dollars(cost: int) -> str:
    """Return millionths of a dollar in dollars: to the cent, and further where there is more."""
    whole, rest = divmod(cost, 1_000_000)
    digits = f"{rest:06}".rstrip("0")
    return f"${whole:,}.{digits:0<2}"


def totals(item: WorkItem) -> str:
    """Return what an item has come to so far, in a line."""
    told = f"{item.steps_total} steps, {span(item.duration_total)} in steps, {span(item.away_total)} away"
    used = spent(item.tokens_total, item.cost_total)
    return f"{told}, {used}" if used else told


def for_people(reason: str) -> str:
    """Return a reason in words, as a sentence, or as it is when it is none of Roost's."""
    return say("%(reason)s", reason=Reason(reason).label) if reason in Reason.values else reason


def versions(known: Mapping[str, str]) -> str:
    """Return which code a worker runs: release 42, Roost 0.1.0, Django 5.2.19, Python 3.11.7; a dash if it is old."""
    names = {"release": "release", "roost": "Roost", "django": "Django", "python": "Python"}
    return ", ".join(f"{said} {known[name]}" for name, said in names.items() if name in known) or "-"


def release(known: Mapping[str, str]) -> str:
    """Return the release that a worker runs, or Roost's version where the deployment names none."""
    return known.get("release") or versions({name: known[name] for name in known if name == "roost"})
