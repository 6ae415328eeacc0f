"""Tell OpenTelemetry what runs: one trace for each item, in it a span for each step and each recorded call.

An item's trace has the item's id, so every worker that ever runs it adds to the same trace, and nothing is kept or
handed on for that. Inside a step its span is the current one: spans of the product and of other libraries join it.
Enqueueing leaves a span in the caller's trace and one in the item's, and they link to each other; the first step of a
child links to its parent's trace.

`opentelemetry` is imported when `ROOST_TRACE_SHARE` is more than 0 as Django starts, and else not at all: `active` is
then None, and a step costs a look at that name.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime.conf import settings as roost

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

MOST_ENQUEUED = 100
"""Items of one enqueue that get spans of their own."""
_RANDOM = 2**56

active: Tracing | None = None
"""What tells of this process's work, if anything does."""


class Tracing:
    """Makes spans with the tracer that the product has set up, for a share of all items that is drawn by their ids."""

    def __init__(self, share: float, provider: Any = None) -> None:
        from opentelemetry import trace

        self._trace = trace
        self._share = share
        self._tracer = trace.get_tracer("roost", tracer_provider=provider)

    @contextmanager
    def step(
        self, item: uuid.UUID, engine: str, *, number: int, attempt: int, parent: uuid.UUID | None
    ) -> Iterator[Span]:
        """Give the span of a step, the current one while the block runs."""
        told: dict[str, Any] = {
            "roost.work_item": str(item),
            "roost.engine": engine,
            "roost.step": number,
            "roost.attempt": attempt,
        }
        links = [self._trace.Link(self._root(parent))] if parent is not None and number == 1 else []
        with self._tracer.start_as_current_span(
            f"step {engine}",
            context=self._within(item),
            kind=self._trace.SpanKind.CONSUMER,
            attributes=told,
            links=links,
        ) as span:
            yield span

    @contextmanager
    def call(self, key: str, name: str) -> Iterator[Span]:
        """Give the span of a recorded call, inside that of its step."""
        told = {"roost.call.key": key, "roost.call.name": name}
        kind = self._trace.SpanKind.INTERNAL
        with self._tracer.start_as_current_span(f"call {key}", kind=kind, attributes=told) as span:
            yield span

    def note(self, kind: str, data: Mapping[str, Any]) -> None:
        """Add to the current span what happened to a recorded call: replayed, tried again, in doubt."""
        plain = {name: value for name, value in data.items() if isinstance(value, str | int | float)}
        self._trace.get_current_span().add_event(kind, plain)

    def came_to(self, span: Span, *, state: str, error: str | None) -> None:
        """Say what a step came to; one that failed is a span with an error."""
        span.set_attribute("roost.state", state)
        if error is not None:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, error))

    def enqueued(self, items: Sequence[uuid.UUID]) -> None:
        """Tell of items that were enqueued, in the caller's trace and in their own."""
        caller = self._trace.get_current_span().get_span_context()
        for item in items[:MOST_ENQUEUED]:
            told = {"roost.work_item": str(item)}
            kind = self._trace.SpanKind.PRODUCER
            back = [self._trace.Link(caller)] if caller.is_valid else []
            own = self._tracer.start_span(
                "enqueued", context=self._within(item), attributes=told, kind=kind, links=back
            )
            own.end()
            if caller.is_valid:
                to = [self._trace.Link(own.get_span_context())]
                self._tracer.start_span("enqueue", attributes=told, kind=kind, links=to).end()

    def _within(self, item: uuid.UUID) -> Any:
        """Return the context of an item's trace."""
        return self._trace.set_span_in_context(self._trace.NonRecordingSpan(self._root(item)))

    def _root(self, item: uuid.UUID) -> SpanContext:
        # The last digits of a UUIDv7 are random, so a share of the items is one of their numbers.
        drawn = item.int % _RANDOM < self._share * _RANDOM
        flags = self._trace.TraceFlags.SAMPLED if drawn else self._trace.TraceFlags.DEFAULT
        return self._trace.SpanContext(
            trace_id=item.int,
            span_id=item.int % 2**64 or 1,
            is_remote=True,
            trace_flags=self._trace.TraceFlags(flags),
        )


def start() -> None:
    """Begin to tell if the setting says so and `opentelemetry` is there; a check says when it is not."""
    global active
    active = None
    if roost.TRACE_SHARE > 0 and is_there():
        active = Tracing(roost.TRACE_SHARE)


def is_there() -> bool:
    """Say whether OpenTelemetry's API can be imported."""
    try:
        import opentelemetry.trace  # noqa: F401 - to see whether it is there
    except ImportError:
        return False
    return True
