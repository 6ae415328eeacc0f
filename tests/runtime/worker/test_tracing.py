"""Each item is one trace, with a span for each step and each recorded call; where it is off, nothing is imported."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import tracing
from runtime.choices import State
from runtime.exceptions import Declined
from runtime.journal import CallPolicy
from runtime.models import WorkItem
from runtime.worker import execute, traced
from tests.runtime.worker.calling import note, put, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("calling")]
LANES = ("async", "atomic")


class Spans:
    """What was told, by trace."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter

    def of(self, item: WorkItem | uuid.UUID) -> list[Any]:
        """Return the ended spans of an item's trace, in the order of their beginning."""
        trace_id = getattr(item, "pk", item).int
        found = [span for span in self._exporter.get_finished_spans() if span.context.trace_id == trace_id]
        return sorted(found, key=lambda span: span.start_time)

    def names(self, item: WorkItem) -> list[str]:
        """Name them."""
        return [span.name for span in self.of(item)]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Have all items traced, into memory."""
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter = memory.InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "active", tracing.Tracing(1.0, provider))
    yield Spans(exporter)
    provider.shutdown()


def calls(lane: str, *made: tuple[Any, ...], **options: Any) -> Any:
    """Return a step that makes these recorded calls."""

    async def step(ctx: Any) -> Any:
        return [await ctx.run(*call, **options) for call in made]

    return step if lane == "async" else lambda ctx: [ctx.run(*call, **options) for call in made]


@pytest.mark.parametrize("lane", LANES)
def test_steps_and_their_calls_are_spans_of_the_items_own_trace(spans: Spans, lane: str) -> None:
    item, other = put(lane, calls(lane, ("one", note, 1)), steps=2), put(lane, calls(lane, ("one", note, 1)))
    work()
    assert spans.names(item) == ["enqueued", f"step {lane}", "call one", f"step {lane}", "call one"]
    assert spans.names(other) == ["enqueued", f"step {lane}", "call one"]
    _, first, call, second, _ = spans.of(item)
    assert (first.attributes["roost.step"], second.attributes["roost.step"]) == (1, 2)
    assert (first.attributes["roost.state"], second.attributes["roost.state"]) == (State.RUNNING, State.DONE)
    assert call.parent.span_id == first.context.span_id
    assert first.parent.span_id == second.parent.span_id == item.pk.int % 2**64
    assert call.attributes["roost.call.name"] == "note"


@pytest.mark.parametrize("lane", LANES)
def test_an_attempt_that_fails_is_a_span_with_an_error_and_a_replayed_call_says_so(spans: Spans, lane: str) -> None:
    item = put(lane, calls(lane, ("one", note, 1)), fails=1)
    work()
    _, failed, _, again, replayed = spans.of(item)
    assert (failed.status.status_code.name, failed.status.description) == ("ERROR", "ValueError: after the call")
    assert (again.status.status_code.name, again.attributes["roost.attempt"]) == ("UNSET", 2)
    assert [event.name for event in replayed.events] == ["replayed"]


@pytest.mark.parametrize("lane", LANES)
def test_a_call_that_fails_is_told_where_it_failed(spans: Spans, lane: str) -> None:
    def refuse() -> None:
        raise Declined("no", code="closed")

    item = put(lane, calls(lane, ("pay", refuse), policy=CallPolicy(max_attempts=1)))
    work()
    call = spans.of(item)[2]
    assert (call.name, call.status.status_code.name) == ("call pay", "ERROR")


@pytest.mark.parametrize("lane", LANES)
def test_what_a_step_does_joins_its_trace_and_a_child_links_to_its_parent(spans: Spans, lane: str) -> None:
    from opentelemetry import trace

    seen: list[int] = []

    def step(ctx: Any) -> Any:
        seen.append(trace.get_current_span().get_span_context().trace_id)
        return str(ctx.spawn(lane, {"does": "it"})) if len(seen) == 1 else None

    item = put(lane, step)
    work()
    [child] = WorkItem.objects.filter(parent=item)
    assert seen == [item.pk.int, child.pk.int]
    [step_of_child] = [span for span in spans.of(child) if span.name.startswith("step")]
    assert [link.context.trace_id for link in step_of_child.links] == [item.pk.int]


def test_the_trace_of_whoever_enqueues_and_that_of_the_item_link_to_each_other(spans: Spans) -> None:
    assert tracing.active is not None
    with tracing.active._tracer.start_as_current_span("request") as request:
        item = put("async", lambda ctx: 1)
    own = request.get_span_context().trace_id
    [enqueued] = spans.of(item)
    assert [link.context.trace_id for link in enqueued.links] == [own]
    sent = [span for span in spans.of(uuid.UUID(int=own)) if span.name == "enqueue"]
    assert [link.context.trace_id for span in sent for link in span.links] == [item.pk.int]


def test_a_share_of_the_items_is_drawn_by_their_ids(spans: Spans) -> None:
    telling = tracing.active
    assert telling is not None
    telling._share = 0.5
    low, high = uuid.UUID(int=(7 << 64) + 1), uuid.UUID(int=(7 << 64) + 2**56 - 1)
    assert (telling._root(low).trace_flags.sampled, telling._root(high).trace_flags.sampled) == (True, False)
    telling.enqueued([low, high])
    assert (len(spans.of(low)), spans.of(high)) == (1, [])


def test_where_nothing_is_traced_steps_run_as_they_are_and_nothing_is_imported(settings: Any) -> None:
    assert tracing.active is None
    assert (traced.async_step(), traced.step()) == (execute.run_async, execute.run_sync)
    script = (
        "import django, sys\ndjango.setup()\nimport runtime.worker.lanes\nfrom runtime import tracing\n"
        "assert tracing.active is None\nassert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("there", [True, False])
def test_tracing_begins_only_where_it_is_wished_and_possible(
    settings: Any, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    made: list[float] = []
    monkeypatch.setattr(tracing, "active", None)
    monkeypatch.setattr(tracing, "is_there", lambda: there)
    monkeypatch.setattr(tracing, "Tracing", lambda share: made.append(share) or "telling")
    tracing.start()
    assert (tracing.active, made) == (None, [])
    settings.ROOST_TRACE_SHARE = 0.25
    tracing.start()
    assert (tracing.active, made) == (("telling", [0.25]) if there else (None, []))
