"""Read what belongs to the steps of a run besides its events: recorded calls, what was asked, artifacts."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from runtime.choices import JournalState, State
from runtime.models import Artifact, JournalEntry, Wait, WorkItem
from runtime.queries.chapters import MOST_LISTED

T = TypeVar("T")

MOST_ROWS = 1000
WHOLE_RUN = 0
"""The step under which calls stand that are recorded for the item's whole life."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A recorded call of a step. `in_doubt`: it began and nobody knows whether it happened."""

    id: int
    key: str
    name: str
    state: str
    attempts: int
    in_doubt: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a step waited for, and what came of it."""

    id: uuid.UUID
    key: str
    kind: str
    state: str
    prompt: str
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """An artifact of a step."""

    id: uuid.UUID
    name: str
    kind: str
    size: int


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """The first rows of a step, and how many there are besides (of those that were read)."""

    rows: tuple[T, ...] = ()
    left: int = 0


ByStep = dict[int, Listed[T]]


def calls(item: WorkItem, steps: Sequence[int], using: str) -> ByStep[Call]:
    """Return the recorded calls of these steps."""
    entries = JournalEntry.objects.using(using).filter(work_item_id=item.pk, base_version__in=_bases(steps))
    columns = ("base_version", "key", "name", "state", "attempts", "epoch")
    found = entries.only(*columns).order_by("id")[:MOST_ROWS]
    return _by_step((entry.base_version + 1, _call(item, entry)) for entry in found)


def _call(item: WorkItem, entry: JournalEntry) -> Call:
    being_made = item.state == State.RUNNING and entry.epoch == item.epoch
    doubt = entry.state == JournalState.STARTED and not being_made
    return Call(id=entry.pk, key=entry.key, name=entry.name, state=entry.state, attempts=entry.attempts, in_doubt=doubt)


def asks(item: WorkItem, steps: Sequence[int], using: str) -> ByStep[Asked]:
    """Return what these steps asked for."""
    waits = Wait.objects.using(using).filter(work_item_id=item.pk, base_version__in=_bases(steps))
    return _by_step((wait.base_version + 1, _asked(wait)) for wait in waits.order_by("created_at", "id")[:MOST_ROWS])


def _asked(wait: Wait) -> Asked:
    return Asked(id=wait.pk, key=wait.key, kind=wait.kind, state=wait.state, prompt=wait.prompt, by=wait.resolved_by)


def files(item: WorkItem, steps: Sequence[int], using: str) -> ByStep[File]:
    """Return the artifacts of these steps."""
    kept = Artifact.objects.using(using).filter(work_item_id=item.pk, version__in=list(steps)).order_by("id")
    return _by_step((row.version, _file(row)) for row in kept[:MOST_ROWS])


def _file(row: Artifact) -> File:
    return File(id=row.pk, name=row.name, kind=row.kind, size=row.size)


def children(item: WorkItem, using: str) -> dict[str, int]:
    """Return how many children the item has in each state, of the first ones."""
    counts: dict[str, int] = {}
    for state in WorkItem.objects.using(using).filter(parent_id=item.pk).values_list("state", flat=True)[:MOST_ROWS]:
        counts[state] = counts.get(state, 0) + 1
    return counts


def _bases(steps: Sequence[int]) -> list[int]:
    return [step - 1 for step in steps]


def _by_step(rows: Iterable[tuple[int, T]]) -> ByStep[T]:
    found: dict[int, list[T]] = {}
    for step, row in rows:
        found.setdefault(step, []).append(row)
    return {
        step: Listed(tuple(of_step[:MOST_LISTED]), max(0, len(of_step) - MOST_LISTED))
        for step, of_step in found.items()
    }
