"""Give the demo product's console something to look at: items in every situation that people come to look for."""

from __future__ import annotations

from typing import Any

from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from runtime.operations.pause import pause
from runtime.operations.schedules import set_schedule
from runtime.operations.triggers import set_trigger

ACTOR = "demo"
SHARED = "domain:example.org"


def fill(address: str) -> int:
    """Enqueue the demo's items if the database has none; return how many. `address` is a page that can be watched."""
    if WorkItem.objects.exists():
        return 0
    _configure()
    specs = [*_quick(), *_invoices(), *_failing(), *_contended(), *_slow(), *_watched(address), *_asking()]
    enqueue_many(specs, actor=ACTOR)
    held = _count(3, delay=60.0)
    paused = enqueue(held.pop("engine"), held.pop("payload"), actor=ACTOR, **held)
    pause(paused.pk, actor=ACTOR, reason="Waits until the demo's reader resumes it.")
    parent = enqueue("counter", {"count_to": 20, "delay_seconds": 2}, actor=ACTOR)
    enqueue_many([_count(4, parent=parent.pk, relation="part") for _ in range(3)], actor=ACTOR)
    return len(specs) + 5


def _count(count_to: int, *, payload: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return {"engine": "counter", "payload": {"count_to": count_to, **(payload or {})}, **options}


def _configure() -> None:
    figures = {"title": "The figures of the day"}
    set_schedule("pulse", engine="counter", payload={"count_to": 3}, every=120, note="So that something happens.")
    set_schedule("figures", engine="review", payload=figures, cron="30 7 * * 1-5", timezone="Europe/Berlin")
    set_trigger(
        "look at failed invoices",
        engine="invoice",
        on="failed",
        condition='error.code == "unknown_currency"',
        target="review",
        payload={"title": "$payload.number"},
        note="A person looks at what no retry mends.",
    )


def _invoices() -> list[dict[str, Any]]:
    good = [{"number": f"A-{number}", "amount": 20 * number} for number in range(1, 9)]
    slow = [{"number": f"T-{number}", "amount": 70, "trouble": "timeout"} for number in range(1, 6)]
    odd = [{"number": f"X-{number}", "amount": 90, "trouble": "currency"} for number in range(1, 4)]
    return [
        *[{"engine": "invoice", "payload": payload, "idempotency_key": payload["number"]} for payload in (*good, *odd)],
        *[{"engine": "invoice", "payload": payload, "max_attempts": 2} for payload in slow],
    ]


def _asking() -> list[dict[str, Any]]:
    asked = [
        {"title": "The quarter's figures", "hours": 24},
        {"title": "A price list", "hours": 1},
        {"title": "The month's turnover", "ask": "input", "hours": 8},
    ]
    return [{"engine": "review", "payload": payload} for payload in asked]


def _quick() -> list[dict[str, Any]]:
    return [_count(3 + number, idempotency_key=f"demo-{number}") for number in range(12)]


def _failing() -> list[dict[str, Any]]:
    hopeless = {"fail_at": 2, "fail_with": "permanent", "fail_times": 3}
    stubborn = {"fail_at": 3, "fail_times": 1000}
    mending = {"fail_at": 2, "fail_times": 2}
    return [
        *[_count(5, payload=hopeless) for _ in range(3)],
        *[_count(5, payload=stubborn, max_attempts=2) for _ in range(2)],
        _count(5, payload=stubborn, max_attempts=50),
        _count(5, payload=mending),
    ]


def _contended() -> list[dict[str, Any]]:
    # One runs, the others are parked until it lets go of the resource.
    return [_count(20, payload={"sleep": 20}, resources=[SHARED]) for _ in range(4)]


def _slow() -> list[dict[str, Any]]:
    return [
        _count(200, idempotency_key="demo-long-story"),
        _count(500, payload={"delay_seconds": 1}, priority=5),
        _count(40, payload={"sleep": 3}),
        *[_count(5, delay=3600.0 * hours) for hours in (1, 24)],
    ]


def _watched(address: str) -> list[dict[str, Any]]:
    looks = {"checks_required": 4, "delay_seconds": 5}
    pages = {address: "The console answers", "http://127.0.0.1:9/": "Nobody answers at the discard port"}
    return [{"engine": "watchlist", "payload": {"url": url, "claim": claim, **looks}} for url, claim in pages.items()]
