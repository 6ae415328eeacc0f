"""Put what a run of a step has used into its outcome, whatever the run came to."""

from __future__ import annotations

from dataclasses import replace

from runtime import usage
from runtime.jsondata import dumps, loads
from runtime.store.values import NewEvent, Outcome
from runtime.worker.run import Run


def counted(run: Run, outcome: Outcome) -> Outcome:
    """Return the outcome with what the run has used, to be added to its item's totals by the commit.

    It stands in the first event that tells how long the run took. A run that was never begun has used nothing.
    """
    tokens, cost = (0, 0) if run.used is None else run.used.totals
    if not tokens and not cost:
        return outcome
    events = list(outcome.events)
    place = next((number for number, event in enumerate(events) if event.duration is not None), None)
    if place is not None:
        events[place] = _told(events[place], tokens, cost)
    return replace(outcome, tokens=tokens, cost=cost, events=tuple(events))


def _told(event: NewEvent, tokens: int, cost: int) -> NewEvent:
    data = {} if event.data is None else loads(event.data)
    return replace(event, data=dumps({**data, usage.KEY: {"tokens": tokens, "cost": cost}}))
