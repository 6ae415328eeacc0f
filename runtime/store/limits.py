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
SOON_SECONDS = 2.0
"""How far ahead a worker looks that would have to be empty first: a rate that allows a step by then holds back no
suspect."""


TURN_AFTER, TURN_UNTIL, TURN_EVERY = 10, 40, 60
"""A suspect that has waited for so many seconds has its turn: a place is kept for it until so many are over, since
workers look for suspects every ten seconds and have to be empty first, and anew in each round of so many. Between its
turns what nobody can start costs others nothing."""


def has_turn(waited: float) -> bool:
    """Say whether places are kept for a suspect that has waited so many seconds. Pure."""
    return TURN_AFTER <= waited % TURN_EVERY < TURN_UNTIL


@dataclass(slots=True)
class Bound:
    """An enabled limit, as one claim sees it.

    `ours` is False while another claimer has its row: nothing it covers is started then. `tokens` are the steps that
    its rate allows as of `at`, None without a rate. `running` counts leases, `started` what this claim adds, `kept`
    the place that is left to a suspect.
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
    kept: int = 0

    def covers(self, lane: Lane) -> bool:
        """Say whether the limit is for items of this lane."""
        return (
            self.namespace in ("", lane.namespace)
            and self.engine in ("", lane.engine)
            and self.fair_key in ("", lane.fair_key)
            and self.pool in ("", lane.pool)
        )

    @property
    def never(self) -> bool:
        """Whether nothing may run under it, whatever ends."""
        return self.concurrency == 0

    @property
    def full(self) -> bool:
        """Whether as many run as may."""
        return self.concurrency is not None and self.running + self.started + self.kept >= self.concurrency

    @property
    def spent(self) -> bool:
        """Whether the rate allows no further step now."""
        return self.tokens is not None and self.tokens - self.started - self.kept < 1

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

    def keep(self, suspects: Iterable[Lane]) -> None:
        """Leave one place to suspects that have their turn, under each limit that covers one which might start.

        Where one of these is stopped or spent it could not start anyway.
        """
        could = [bounds for bounds in map(self.over, suspects) if not any(one.never or one.spent for one in bounds)]
        for bound in (one for bounds in could for one in bounds):
            bound.kept = 1

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
