"""Make answers of runs that are told: in sentences, and step by step."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from console.api import shapes
from console.api.masking import masked_text
from console.callers import Caller
from runtime.queries import telling
from runtime.queries.chapters import Happening
from runtime.queries.explain import Run, ToldStep


def story(run: Run, caller: Caller) -> dict[str, Any]:
    """Return a page of a run; what products, agents and people put in is masked."""
    return {
        "item": run.item.pk,
        "now": run.now,
        "text": [f"{'  ' * depth}{masked_text(line)}" for depth, line in telling.sentences(run)],
        "enqueued_by": run.enqueued_by,
        "enqueued_because": masked_text(run.enqueued_because),
        "children": run.children,
        "whole_run_calls": [_values(call) for call in run.whole_run_calls],
        "steps": [_step(step, caller) for step in run.steps],
    }


def _step(step: ToldStep, caller: Caller) -> dict[str, Any]:
    chapter = step.chapter
    return {
        **_values(chapter),
        "attempts": chapter.attempts,
        "label": masked_text(chapter.label),
        "workers": list(step.workers),
        "taken_over_from": step.taken_over_from,
        "happenings": [_happening(one, caller) for one in chapter.happenings],
        "calls": [_values(call) for call in step.calls],
        "asks": [{**_values(ask), "prompt": masked_text(ask.prompt)} for ask in step.asks],
        "files": [_values(file) for file in step.files],
        "more": step.more,
    }


def _happening(found: Happening, caller: Caller) -> dict[str, Any]:
    return {**_values(found), "reason": masked_text(found.reason), "data": shapes.contents(found.data, caller)}


def _values(found: Any) -> dict[str, Any]:
    return {field.name: getattr(found, field.name) for field in fields(found)}
