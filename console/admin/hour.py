"""The last hour in pictures, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from console.admin import display
from console.admin.pictures import Picture, picture
from runtime.choices import EventKind
from runtime.queries import pulse
from runtime.queries.pulse import Minute


@dataclass(frozen=True, kw_only=True, slots=True)
class MinuteRow:
    """A minute of the table. The addresses lead to its events, or to those of one kind among them."""

    minute: Minute
    at: str
    mean: str
    longest: str
    events_url: str
    steps_url: str
    done_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """Three pictures and the table of the minutes in which something happened, the latest first."""

    pictures: tuple[Picture, ...]
    rows: tuple[MinuteRow, ...]
    estimated: bool
    first: str
    last: str


def last_hour() -> Hour:
    """Return the last hour. Reads events by ranges of ids."""
    minutes = pulse.last_hour()
    happened = [minute for minute in minutes if minute.steps or minute.done or minute.failures]
    return Hour(
        pictures=(_steps(minutes), _times(minutes), _failures(minutes)),
        rows=tuple(map(_row, reversed(happened))),
        estimated=any(minute.estimated for minute in happened),
        first=_clock(minutes[0]),
        last=_clock(minutes[-1]),
    )


def _steps(minutes: Sequence[Minute]) -> Picture:
    values = [minute.steps for minute in minutes]
    return picture(
        values,
        [f"{_clock(minute)} · {minute.steps:,}" for minute in minutes],
        title=_("Steps a minute"),
        summary=_("%(sum)s in the last hour, at most %(most)s in a minute")
        % {"sum": f"{sum(values):,}", "most": f"{max(values):,}"},
        tone="roost-fill-live",
        url=display.list_url("event", kind__exact=EventKind.STEP, **_ids(minutes)),
    )


def _times(minutes: Sequence[Minute]) -> Picture:
    timed = sum(minute.steps for minute in minutes if minute.mean is not None)
    spent = sum(minute.mean * minute.steps for minute in minutes if minute.mean is not None)
    longest = max((minute.longest for minute in minutes if minute.longest is not None), default=None)
    said = _("%(mean)s on average, at most %(most)s") % {
        "mean": display.seconds(spent / timed if timed else None),
        "most": display.seconds(longest),
    }
    return picture(
        [minute.mean or 0.0 for minute in minutes],
        [f"{_clock(minute)} · {display.seconds(minute.mean)}" for minute in minutes],
        title=_("Time a step takes"),
        summary=said if timed else _("no step in the last hour"),
        tone="roost-fill-hold",
        url=display.list_url("event", kind__exact=EventKind.STEP, **_ids(minutes)),
    )


def _failures(minutes: Sequence[Minute]) -> Picture:
    values = [minute.failures for minute in minutes]
    return picture(
        values,
        [f"{_clock(minute)} · {minute.failures:,}" for minute in minutes],
        title=_("Failed attempts a minute"),
        summary=_("%(sum)s in the last hour") % {"sum": f"{sum(values):,}"},
        tone="roost-fill-bad",
        url=display.list_url("event", kind__in=",".join(pulse.FAILURES), **_ids(minutes)),
    )


def _ids(minutes: Sequence[Minute]) -> dict[str, int]:
    """Return between which ids the events of these minutes are; a minute without events has none."""
    busy = [minute for minute in minutes if minute.end]
    return {"id__gte": busy[0].first, "id__lt": busy[-1].end} if busy else {}


def _row(minute: Minute) -> MinuteRow:
    ids = _ids([minute])
    return MinuteRow(
        minute=minute,
        at=_clock(minute),
        mean=display.seconds(minute.mean),
        longest=display.seconds(minute.longest),
        events_url=display.list_url("event", kind__in=",".join(pulse.FAILURES), **ids),
        steps_url=display.list_url("event", kind__exact=EventKind.STEP, **ids),
        done_url=display.list_url("event", kind__exact=EventKind.DONE, **ids),
    )


def _clock(minute: Minute) -> str:
    return timezone.localtime(minute.at).strftime("%H:%M")
