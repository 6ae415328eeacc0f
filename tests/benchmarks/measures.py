"""Everything that is measured, in the order in which it is."""

from __future__ import annotations

from collections.abc import Collection

from tests.benchmarks import api, backlog, console, enqueueing, idle, journal, latency, limits, memory, sqlite, steps
from tests.benchmarks.measure import Figure, Measure

_MODULES = (steps, enqueueing, latency, idle, memory, journal, sqlite, limits, backlog, console, api)


def measures(names: Collection[str] = ()) -> list[Measure]:
    """Return the measures that yield one of these figures, or all."""
    everything = [measure for module in _MODULES for measure in module.MEASURES]
    return [measure for measure in everything if not names or set(names) & set(measure.figures)]


def figures() -> dict[str, Figure]:
    """Return every figure by its name."""
    return {name: figure for measure in measures() for name, figure in measure.figures.items()}
