"""Drive Roost from another program, over HTTP: `pip install "roost-django[client]"`.

    from runtime.client import Client

    with Client("https://shop.example/roost/api/v1", token) as roost:
        item = roost.enqueue("invoice", {"order": 7}, idempotency_key="invoice:7")
        result = roost.wait(item.id, timeout=300)

`AsyncClient` has the same methods, to be awaited. Neither imports Django or needs any settings.

What is asked again by itself is what is done once: GETs, and POSTs under their Idempotency-Key, which the client makes
where you give none. `Unreachable` says that no answer came in all tries, and that nobody knows.

    calls       what is asked and how its answer is read, one function a call
    exchange    a call tried again as long as that is safe; waiting for an end: generators, without any IO
    following   a stream of events that goes on where its connection broke, without any IO
    sync, later the same methods over httpx, blocking and awaited
    shapes      what comes back; errors: what is raised
"""

from __future__ import annotations

from runtime.client.errors import (
    ClientError,
    Conflict,
    FieldError,
    Forbidden,
    IdempotencyConflict,
    InvalidInput,
    NotEnded,
    NotFound,
    Refused,
    StaleVersion,
    Throttled,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WorkFailed,
)
from runtime.client.exchange import Retries
from runtime.client.later import AsyncClient
from runtime.client.shapes import (
    DeadLetter,
    Enqueued,
    Event,
    Happened,
    Item,
    ItemHead,
    LetterError,
    Outcome,
    RefusedItem,
    Reset,
    Signal,
    Treated,
    Wait,
)
from runtime.client.sync import Client

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Conflict",
    "DeadLetter",
    "Enqueued",
    "Event",
    "FieldError",
    "Forbidden",
    "Happened",
    "IdempotencyConflict",
    "InvalidInput",
    "Item",
    "ItemHead",
    "LetterError",
    "NotEnded",
    "NotFound",
    "Outcome",
    "Refused",
    "RefusedItem",
    "Reset",
    "Retries",
    "Signal",
    "StaleVersion",
    "Throttled",
    "TooLarge",
    "Treated",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "Wait",
    "WorkFailed",
]
