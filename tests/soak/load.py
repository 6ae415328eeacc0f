"""The load: pieces of work of every kind, each with a key under which it is accepted once."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from runtime.choices import TERMINAL
from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.schedules import set_schedule
from runtime.operations.signal import send_signal

KINDS = {"counter": 4, "write": 4, "resource": 3, "gather": 2, "refund": 3}
"""What is enqueued, and how often beside the others."""
THINGS = 6
"""So many exclusive resources."""
MOST_LIVE = 400
"""Above so many items that have not ended, the load waits: what is tested is not how long a queue can be."""
SCHEDULE = "soak"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One piece of work: what is enqueued under `key`, and the signal that it will want."""

    key: str
    kind: str
    engine: str
    payload: dict[str, Any]
    signal: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int | None:
        """How many steps its item must have made in the end, None where that depends."""
        return self.payload.get("steps", self.payload.get("count_to"))


class Load:
    """Makes pieces from a seed and enqueues them; `accepted` are those whose enqueue has returned.

    A piece whose enqueue failed may have been stored or not. It is sent again, under its key, until it is accepted.
    """

    def __init__(self, seed: int, service: str) -> None:
        self.accepted: dict[str, Piece] = {}
        self._service = service
        self._rng = random.Random(f"load {seed}")
        self._sending: deque[Piece] = deque()
        self._made = 0

    def begin(self) -> None:
        """Set the schedule, which fires every second from now on and leaves no time out."""
        set_schedule(SCHEDULE, engine="hop", payload={"steps": 2}, every=1, catch_up="all", time_field="at")

    def end(self) -> None:
        """Let the schedule fire no more, and get the rest accepted."""
        set_schedule(SCHEDULE, enabled=False)
        self.send()

    def wave(self, pieces: int) -> None:
        """Make some pieces and send them, unless there is much to do already."""
        if not self._sending and WorkItem.objects.exclude(state__in=TERMINAL).count() < MOST_LIVE:
            self._sending.extend(self._piece() for _ in range(pieces))
        self.send()

    def send(self) -> None:
        """Enqueue what is not accepted yet. Raises what the database raises; what was not sent is kept."""
        while self._sending:
            piece = self._sending[0]
            item = enqueue(piece.engine, piece.payload, idempotency_key=piece.key, **piece.options)
            if piece.signal:
                target = {"item": item.pk} if piece.signal == "word" else {}
                send_signal(piece.signal, piece.key, delivery_id=f"signal {piece.key}", **target)
            self.accepted[piece.key] = piece
            self._sending.popleft()

    def _piece(self) -> Piece:
        self._made += 1
        kind = self._rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
        return getattr(self, f"_{kind}")(f"{kind}-{self._made}")

    def _counter(self, key: str) -> Piece:
        payload = {"count_to": self._rng.randint(2, 8), "sleep": self._rng.choice((0.02, 0.1, 0.4))}
        return Piece(key=key, kind="counter", engine="counter", payload=payload)

    def _write(self, key: str) -> Piece:
        payload = {"steps": self._rng.randint(2, 6), "sleep": self._rng.choice((0, 0.02, 0.1))}
        return Piece(key=key, kind="write", engine="write", payload=payload)

    def _resource(self, key: str) -> Piece:
        things = sorted(self._rng.sample(range(THINGS), self._rng.choice((1, 1, 2))))
        options = {"resources": [f"thing-{number}" for number in things]}
        return Piece(key=key, kind="resource", engine="hop", payload={"steps": 2, "sleep": 0.03}, options=options)

    def _gather(self, key: str) -> Piece:
        payload = {"kids": self._rng.randint(1, 3), "engine": self._rng.choice(("write", "hop"))}
        return Piece(key=key, kind="gather", engine="gather", payload=payload, signal="word")

    def _refund(self, key: str) -> Piece:
        payload = {"service": f"{self._service}/{key}", "order": key, "amount": self._rng.randint(1, 999)}
        return Piece(key=key, kind="refund", engine="refund", payload=payload, signal=f"settled:{key}")
