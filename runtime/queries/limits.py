"""Read the limits with what runs under them, and say which of them keeps an item from starting."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from runtime.choices import SUSPECT_DEATHS
from runtime.models import Limit, WorkItem
from runtime.queries.page import Page, checked_limit, part_of
from runtime.sentences import Sentence, together
from runtime.sentences import say as _
from runtime.store import get_store, work_database
from runtime.store.limits import Bound
from runtime.store.turns import Lane
from runtime.store.values import ClaimRequest

WORDS = {"namespace": "namespace", "engine": "engine", "fair_key": "fairness key", "pool": "worker pool"}
"""What people call the columns that say what a limit covers."""
SEEN = 1000
"""Items that the forecast of a claim goes through to find whether one has its turn."""
NOBODY = uuid.UUID(int=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitView:
    """A limit, how many items run under it, and the steps its rate allows now; None while it is disabled."""

    limit: Limit
    running: int | None
    tokens: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """A limit that has no place for an item: `running` run under it, and `before` go before the item.

    Among these a suspect that has its turn: a place is kept for it.
    """

    limit: Limit
    running: int
    before: int
    full: bool
    tokens: float | None

    @property
    def next_step_in(self) -> float:
        """Return the seconds until the rate allows another step."""
        rate = self.limit.rate or 1
        return max(0.0, 1 - (self.tokens or 0.0)) * self.limit.per_seconds / rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What limits and turns mean for a due item: the limits in its way, and whether SEEN items go before it."""

    obstacles: tuple[Obstacle, ...] = ()
    behind: bool = False


def covered(limit: Limit) -> Sentence:
    """Say in words what a limit covers."""
    words = {
        "namespace": _("namespace %(name)s", name=limit.namespace),
        "engine": _("engine %(name)s", name=limit.engine),
        "fair_key": _("fairness key %(name)s", name=limit.fair_key),
        "pool": _("worker pool %(name)s", name=limit.pool),
    }
    return together([told for column, told in words.items() if getattr(limit, column)] or [_("everything")], glue=", ")


def views(*, using: str | None = None) -> list[LimitView]:
    """Return all limits by name, counted as a claim counts them."""
    return list(page(using=using).rows)


def page(*, after: str = "", limit: int | None = None, using: str | None = None) -> Page[LimitView]:
    """Return a page of `views`, or all; the next page is `after` the name of the last row."""
    using = using or work_database()
    bounds = {bound.id: bound for bound in get_store(using).forecast(_request(0)).limits}
    rows = Limit.objects.using(using).order_by("name")
    if after:
        rows = rows.filter(name__gt=after)
    part = part_of(rows if limit is None else rows[: checked_limit(limit) + 1], limit)
    return Page(rows=tuple(_view(one, bounds.get(one.pk)) for one in part.rows), more=part.more)


def standing(item: WorkItem, *, using: str) -> Standing:
    """Say whether a claim with room for everything would start this due item now, and if not, why."""
    suspect = item.deaths >= SUSPECT_DEATHS
    seen = get_store(using).forecast(_request(0 if suspect else SEEN, alone=suspect))
    if not seen.ruled or item.pk in seen.items:
        return Standing()
    lane = Lane(item.fair_key, item.engine, item.namespace, item.pool)
    closed = {bound.id: bound for bound in seen.limits if bound.covers(lane) and bound.closed}
    rows = Limit.objects.using(using).filter(pk__in=closed).order_by("name")
    obstacles = tuple(_obstacle(limit, closed[limit.pk]) for limit in rows)
    return Standing(obstacles=obstacles, behind=not obstacles and len(seen.items) >= SEEN)


def _view(limit: Limit, bound: Bound | None) -> LimitView:
    if bound is None:
        return LimitView(limit=limit, running=None, tokens=None)
    return LimitView(limit=limit, running=bound.running, tokens=bound.tokens)


def _obstacle(limit: Limit, bound: Bound) -> Obstacle:
    tokens = None if bound.tokens is None else bound.tokens - bound.started - bound.kept
    return Obstacle(
        limit=limit, running=bound.running, before=bound.started + bound.kept, full=bound.full, tokens=tokens
    )


def _request(limit: int, *, alone: bool = False) -> ClaimRequest:
    return ClaimRequest(worker=NOBODY, engines=None, pools=(), limit=limit, alone=alone)
