"""Show a trace as one HTML file that needs nothing else: no script, no network, no server.

What agents wrote is hostile text: everything is escaped by the template, and the page's own policy forbids all but
its style sheet. What looks like a secret is masked as in the admin, since such a file is made to be handed on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.template import Context, Engine
from django.template.base import Template

from runtime.models import Event
from runtime.queries import redaction
from runtime.queries.jsondiff import Change
from runtime.queries.trace import Span, Step, Trace
from runtime.queries.words import for_people, moment, span, totals

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
WIDTH, LANE = 1000, 22
MOST_CHARACTERS = 4000
STATES = ("queued", "running", "waiting", "paused")


@dataclass(frozen=True, slots=True)
class Bar:
    """A span as it is drawn."""

    x: str
    y: int
    width: str
    state: str
    title: str


def page(trace: Trace) -> str:
    """Return the HTML of a trace."""
    item = trace.item
    return _template().render(
        Context(
            {
                "trace": trace,
                "item": item,
                "facts": [(name, value) for name, value in _facts(trace) if value not in (None, "")],
                "bars": list(_bars(trace)),
                "lanes": [(state, place * LANE + LANE // 2 + 4) for place, state in enumerate(STATES)],
                "size": (WIDTH, LANE * len(STATES)),
                "events": [_event(event, trace) for event in trace.events.rows],
                "steps": [_step(step) for step in trace.steps.rows],
                "calls": [(call, shown(call.result), shown(call.error)) for call in trace.calls.rows],
                "waits": [(wait, redaction.shown(wait.prompt), shown(wait.resolution)) for wait in trace.waits.rows],
                "texts": [(name, shown(getattr(item, name))) for name in ("payload", "config", "result", "last_error")],
            }
        )
    )


@cache
def _template() -> Template:
    return Engine(dirs=[str(TEMPLATES)], autoescape=True).get_template("roost/trace.html")


def _facts(trace: Trace) -> Iterator[tuple[str, Any]]:
    item = trace.item
    yield "state", f"{item.state} ({for_people(item.reason)})" if item.reason else item.state
    yield "why", redaction.shown(trace.why)
    yield "engine", f"{item.engine} {item.engine_version}"
    yield "namespace", item.namespace
    yield "version", item.version
    yield "attempts", f"{item.attempt} of {item.max_attempts} failed" if item.attempt else ""
    yield "created", moment(item.created_at)
    yield "finished", moment(item.finished_at) if item.finished_at else ""
    yield "totals", totals(item)
    yield "parent", item.parent_id
    yield "forked from", f"{item.forked_from_id} at version {item.forked_version}" if item.forked_from_id else ""
    yield "traced", moment(trace.at)


def _bars(trace: Trace) -> Iterator[Bar]:
    """Yield what is drawn, along a time line from the first span to the last."""
    if not trace.spans:
        return
    start = trace.spans[0].start
    whole = max((trace.spans[-1].end - start).total_seconds(), 0.001)
    for one in trace.spans:
        x = (one.start - start).total_seconds() / whole * WIDTH
        width = max(one.seconds / whole * WIDTH, 0.5)
        yield Bar(f"{x:.2f}", STATES.index(one.state) * LANE, f"{width:.2f}", one.state, _title(one))


def _title(one: Span) -> str:
    on = f" on {one.worker}" if one.worker else ""
    return f"{one.state}{on}, {span(one.seconds)} from {moment(one.start)}"


def _event(event: Event, trace: Trace) -> dict[str, Any]:
    return {
        "row": event,
        "at": f"+{max(0.0, (event.created_at - trace.item.created_at).total_seconds()):.3f} s",
        "by": event.actor or (str(event.worker)[-12:] if event.worker else ""),
        "took": "" if event.duration is None else span(event.duration),
        "reason": redaction.shown(event.reason_text),
        "data": shown(event.data),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "row": step.snapshot,
        "label": redaction.shown(step.snapshot.label),
        "took": "" if step.duration is None else span(step.duration),
        "retries": step.retries,
        "changes": [_change(change) for change in step.change.changes] if step.change else [],
        "more": step.change is not None and step.change.more,
        "same": step.change is not None and step.change.same,
        "state": shown(step.snapshot.data),
    }


def _change(change: Change) -> dict[str, str]:
    return {
        "kind": change.kind,
        "path": change.path or "(all)",
        "before": "" if change.kind == "added" else _text(change.before, 400),
        "after": "" if change.kind == "removed" else _text(change.after, 400),
    }


def shown(value: Any, most: int = MOST_CHARACTERS) -> str:
    """Return a value without its secrets as JSON text of at most about so many characters, empty for None."""
    return "" if value is None else _text(redaction.shown(value), most)


def _text(value: Any, most: int) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    except (TypeError, ValueError):  # ROOST_REDACT made something of it that is no JSON
        text = redaction.HOOK_FAILED
    return text if len(text) <= most else f"{text[:most]}\n… {len(text) - most} more characters"
