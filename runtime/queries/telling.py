"""Put a run into sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from runtime.choices import TERMINAL, EventKind, WaitState
from runtime.queries.belongings import Asked, Call
from runtime.queries.chapters import Chapter, Happening
from runtime.queries.explain import Run, ToldStep
from runtime.queries.words import for_people, moment, span, spent, totals

LONGEST_VALUE = 300


def sentences(run: Run) -> Iterator[tuple[int, str]]:
    """Yield the story line by line, each with its depth: 0 for the run and its steps, 1 for what belongs to a step."""
    if run.opens:
        yield from _opening(run)
    for step in run.steps:
        yield 0, _step(step.chapter)
        yield from ((1, line) for line in _details(step))
    if run.next is None:
        yield from _ending(run)


def _opening(run: Run) -> Iterator[tuple[int, str]]:
    item = run.item
    by = f" by {run.enqueued_by}" if run.enqueued_by else ""
    yield 0, f"Enqueued {moment(item.created_at)}{by} for engine {item.engine!r} {item.engine_version}."
    if run.enqueued_because:
        yield 1, f"because: {run.enqueued_because}"
    yield 1, f"in namespace {item.namespace}, pool {item.pool}, priority {item.priority}"
    if item.parent_id is not None:
        yield 1, f"{item.relation or 'child'} of item {item.parent_id}"
    yield 1, f"payload {_short(item.payload)}"
    limits = {"attempts of a step": item.max_attempts, "steps": item.max_steps, "seconds a step": item.step_timeout}
    limits |= {"seconds in all": item.item_timeout}
    yield 1, "at most " + ", ".join(f"{most:g} {what}" for what, most in limits.items() if most is not None)
    if run.children:
        yield 1, "children: " + ", ".join(f"{count} {state}" for state, count in sorted(run.children.items()))
    yield from ((1, _call(call) + ", once for the whole run") for call in run.whole_run_calls)


def _step(step: Chapter) -> str:
    label = f" ({step.label})" if step.label else ""
    used = spent(step.tokens, step.cost)
    if step.committed_at is None:
        tried = f", {step.attempts} failed attempts" if step.attempts else ""
        return f"Step {step.step}{label}: not committed{tried}{used and ', for '}{used}."
    took = f" after {span(step.duration)}" if step.duration is not None else ""
    tried = f", at attempt {step.attempts}" if step.attempts > 1 else ""
    return f"Step {step.step}{label}: committed {moment(step.committed_at)}{took}{tried}{used and ', for '}{used}."


def _details(step: ToldStep) -> Iterator[str]:
    if step.taken_over_from:
        yield f"taken over from worker {step.taken_over_from}"
    if step.workers:
        yield f"on worker {' then '.join(step.workers)}"
    yield from map(_happening, step.chapter.happenings)
    yield from map(_call, step.calls)
    yield from map(_asked, step.asks)
    yield from (f"artifact {file.name!r} ({file.kind}, {file.size} bytes)" for file in step.files)
    if step.chapter.counts:
        yield ", ".join(f"{count} {what}" for what, count in step.chapter.counts.items())
    yield from (f"{count} more {what} are not listed" for what, count in step.more.items())


def _happening(one: Happening) -> str:
    kind = str(EventKind(one.kind).label) if one.kind in EventKind.values else one.kind
    by = f" by {one.actor}" if one.actor else ""
    because = f": {for_people(one.reason)}" if one.reason else ""
    unused = isinstance(one.data, dict) and one.data.get("unused")
    late = " - too late: the step ran without it" if unused else ""
    return f"{moment(one.at)} {kind}{by}{because}{_error(one)}{late}"


def _error(one: Happening) -> str:
    if one.kind not in (EventKind.RETRY, EventKind.FAILED) or not isinstance(one.data, dict):
        return ""
    category = f" ({one.data['category']})" if one.data.get("category") else ""
    return f" - {one.data.get('type', 'Error')}{category}: {_cut(str(one.data.get('message', '')))}"


def _call(call: Call) -> str:
    name = f" to {call.name}" if call.name else ""
    times = f", {call.attempts} times" if call.attempts > 1 else ""
    state = "IN DOUBT: it may have happened" if call.in_doubt else call.state
    return f"call {call.key!r}{name}{times}: {state}"


def _asked(asked: Asked) -> str:
    by = f" by {asked.by}" if asked.by else ""
    return f"asked for {asked.kind} {asked.key!r}: {WaitState(asked.state).label}{by}"


def _ending(run: Run) -> Iterator[tuple[int, str]]:
    item = run.item
    yield 0, f"Now: {run.now}"
    yield 1, totals(item)
    if item.state in TERMINAL and item.result is not None:
        yield 1, f"result {_short(item.result)}"


def _short(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text)} characters)"
