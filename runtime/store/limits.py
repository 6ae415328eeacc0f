"""Say which items the enabled limits let start. Pure; shared by both stores.

A claimer locks the Limit rows that concern what it found, passing over those that another claimer has, and counts the
leases of running items in a later statement. What it then starts is counted here, so that a batch never goes over.
There is no counter to leak: a place is free when nothing runs in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runtime.store.turns import Head, Lane

SCOPE = ("namespace", "engine", "fair_key", "pool")
"""The columns that say what a limit covers; an empty one covers any."""


@dataclass(slots=True)
class Bound:
    """An enabled limit, as one claim sees it.

    `ours` is False while another claimer has its row: nothing it covers is started then. `tokens` are the steps that
    its rate allows as of `at`, None without a rate. `running` counts leases, `started` what this claim adds.
    """

    id: int
    name: str
    namespace: str
    engine: str
    fair_key: str
    pool: str
    ours: bool
    concurrency: int | None
    tokens: float | None
    at: dt.datetime | None
    running: int = 0
    started: int = 0

    def covers(self, lane: Lane) -> bool:
        """Say whether the limit is for items of this lane."""
        return (
            self.namespace in ("", lane.namespace)
            and self.engine in ("", lane.engine)
            and self.fair_key in ("", lane.fair_key)
            and self.pool in ("", lane.pool)
        )

    @property
    def full(self) -> bool:
        """Whether as many run as may."""
        return self.concurrency is not None and self.running + self.started >= self.concurrency

    @property
    def spent(self) -> bool:
        """Whether the rate allows no further step now."""
        return self.tokens is not None and self.tokens - self.started < 1

    @property
    def closed(self) -> bool:
        """Whether nothing it covers may start now."""
        return not self.ours or self.full or self.spent


class Gate:
    """All limits that concern a claim."""

    def __init__(self, bounds: Sequence[Bound] = ()) -> None:
        self.bounds = list(bounds)
        self._of_lane: dict[Lane, list[Bound]] = {}

    def over(self, lane: Lane) -> list[Bound]:
        """Return the limits that cover a lane."""
        if lane not in self._of_lane:
            self._of_lane[lane] = [bound for bound in self.bounds if bound.covers(lane)]
        return self._of_lane[lane]

    def open(self, lane: Lane) -> bool:
        """Say whether another item of the lane may start."""
        return not any(bound.closed for bound in self.over(lane))

    def start(self, lane: Lane, count: int = 1) -> None:
        """Count an item of the lane as started; a negative count takes that back."""
        for bound in self.over(lane):
            bound.started += count

    def rated(self, lane: Lane) -> bool:
        """Say whether a rate counts the lane's steps."""
        return any(bound.tokens is not None for bound in self.over(lane))

    def closed(self) -> list[Bound]:
        """Return the limits under which nothing may start now."""
        return [bound for bound in self.bounds if bound.closed]

    def taken(self) -> Iterable[tuple[int, float, dt.datetime]]:
        """Yield what is left in each bucket that something was taken from: limit, tokens, as of when."""
        for bound in self.bounds:
            if bound.started and bound.tokens is not None and bound.at is not None:
                yield bound.id, bound.tokens - bound.started, bound.at


def admit(order: Sequence[Head], gate: Gate, room: int) -> list[Head]:
    """Return the first of these that the limits let start, at most `room`, and count them as started."""
    chosen: list[Head] = []
    for head in order:
        if len(chosen) >= room:
            break
        if gate.open(head.lane):
            gate.start(head.lane)
            chosen.append(head)
    return chosen
