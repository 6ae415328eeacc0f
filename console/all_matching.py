"""Say what a verb would do to all items that match, by counts: so many would change, so many be skipped, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from console.actions import OperatorAction, Verdict
from runtime.models import WorkItem
from runtime.queries.alike import Kind, alike
from runtime.queries.items import HEAVY


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """How many items would be skipped, and why the newest of them would be."""

    count: int
    item: Any
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """How many items change only if a field is filled in, its name and its label."""

    count: int
    name: str
    label: str | Promise


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What a verb would do to the newest items that match; `cut` says that there are more, which were not looked at."""

    eligible: int
    skipped: tuple[Skipped, ...]
    needed: tuple[Needed, ...]
    cut: bool

    @property
    def skipped_count(self) -> int:
        """Items that would be skipped."""
        return sum(one.count for one in self.skipped)

    @property
    def count(self) -> int:
        """All items that were looked at."""
        return self.eligible + self.skipped_count


def tally(action: OperatorAction, rows: QuerySet[WorkItem], *, most: int, by: Any) -> Tally | None:
    """Judge one item of each kind for all of its kind, among the newest `most`; None when that takes too long.

    Reads the same number of times however many items there are, and changes nothing. What it says may be stale at
    once: the verb judges each item again when its turn comes.
    """
    found = alike(rows, most=most, besides=dict(action.told_apart))
    if found is None:
        return None
    items = WorkItem.objects.using(rows.db).defer(*HEAVY).in_bulk([kind.newest for kind in found.kinds])
    verdicts = {verdict.row.pk: verdict for verdict in action.judge(list(items.values()), by=by)}
    judged = [(kind, verdicts[kind.newest]) for kind in found.kinds if kind.newest in verdicts]
    eligible = [(kind, verdict) for kind, verdict in judged if not verdict.skipped]
    return Tally(
        eligible=sum(kind.count for kind, _verdict in eligible),
        skipped=(*_skipped(judged), *_gone(kind for kind in found.kinds if kind.newest not in verdicts)),
        needed=_needed(action, eligible),
        cut=found.cut,
    )


def _skipped(judged: Iterable[tuple[Kind, Verdict]]) -> list[Skipped]:
    """Return what would be skipped by the reason, the most frequent first."""
    found: dict[str, Skipped] = {}
    for kind, verdict in judged:
        if verdict.skipped:
            before = found.get(verdict.skipped)
            count = kind.count + (before.count if before else 0)
            item = before.item if before else verdict.row
            found[verdict.skipped] = Skipped(count=count, item=item, why=verdict.skipped)
    return sorted(found.values(), key=lambda one: -one.count)


def _gone(kinds: Iterable[Kind]) -> list[Skipped]:
    """Return what nobody can judge: the one that was to stand for its kind was removed just now."""
    return [Skipped(count=kind.count, item=None, why=_("It was removed just now. Look again.")) for kind in kinds]


def _needed(action: OperatorAction, eligible: Sequence[tuple[Kind, Verdict]]) -> tuple[Needed, ...]:
    found = []
    for field in action.fields:
        needs = field.needed_by
        count = sum(kind.count for kind, verdict in eligible if needs is not None and needs(verdict.row))
        if count:
            found.append(Needed(count=count, name=field.name, label=field.label))
    return tuple(found)
