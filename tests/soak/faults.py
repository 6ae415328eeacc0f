"""Say what goes wrong when: a plan that the seed alone decides, so that it can be played again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle

KILL, RESTART, STOP, CUT, STORAGE = "kill", "restart", "stop", "cut", "storage"
WAYS = ("immediate", "fast")
"""How the database is stopped, in turn: as by a crash, and cutting its sessions off."""
STOPS = (1.0, 4.0, 18.0)
"""Seconds for which a worker stands still: less than a beat or two, and longer than its lease lives."""
FAILURES = ("away", "full")
"""How the artifact storage fails, in turn."""
JITTER = 0.4
"""Share of an interval by which a fault may come early or late."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds between two faults of a kind; 0 is never."""

    kill: float = 2.0
    restart: float = 60.0
    stop: float = 25.0
    cut: float = 20.0
    storage: float = 0.0


NIGHTLY = Pace(cut=10.0, storage=15.0)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens `at` so many seconds after the start; `choice`, 0 to 1, says which of the living it meets."""

    at: float
    kind: str
    choice: float
    how: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        more = f"{self.how} {f'for {self.seconds:g} s' if self.seconds else ''}".strip()
        return f"{self.at:7.1f} s {self.kind:8} {self.choice:.4f} {more}".rstrip()


def plan(seed: int, seconds: float, pace: Pace) -> list[Fault]:
    """Return the faults of a run, in order. The same arguments give the same plan."""
    return sorted(_all(random.Random(seed), seconds, pace), key=lambda one: one.at)


def _all(rng: random.Random, seconds: float, pace: Pace) -> Iterator[Fault]:
    ways = cycle(WAYS)
    for at in _times(rng, seconds, pace.kill):
        yield Fault(at=at, kind=KILL, choice=rng.random())
    for at in _times(rng, seconds, pace.restart, jitter=0):
        yield Fault(at=at, kind=RESTART, choice=rng.random(), how=next(ways), seconds=rng.choice((0.0, 0.5, 2.0)))
    for at in _times(rng, seconds, pace.stop):
        yield Fault(at=at, kind=STOP, choice=rng.random(), seconds=rng.choice(STOPS))
    for at in _times(rng, seconds, pace.cut):
        yield Fault(at=at, kind=CUT, choice=rng.random())
    failures = cycle(FAILURES)
    for at in _times(rng, seconds, pace.storage):
        yield Fault(at=at, kind=STORAGE, choice=0.0, how=next(failures), seconds=rng.choice((0.5, 3.0)))


def _times(rng: random.Random, seconds: float, every: float, jitter: float = JITTER) -> Iterator[float]:
    for number in count() if every else ():
        at = (number + 0.5) * every
        if at >= seconds:
            return
        yield at + rng.uniform(-jitter, jitter) * every / 2
