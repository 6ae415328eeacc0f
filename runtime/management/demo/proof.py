"""Prove from the database alone that an item survived: nothing lost, nothing doubled, and the hand-over told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runtime.choices import EventKind, State
from runtime.exceptions import RoostError
from runtime.models import Artifact, Event, Snapshot, WorkItem
from runtime.queries import verify
from runtime.store.blobs import read_artifact


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """Something that must be true, and whether it is."""

    holds: bool
    text: str


def steps_once(item: WorkItem, events: Sequence[Event], *, steps: int) -> Iterator[Claim]:
    """Claim that the item is done, that each of its steps was committed exactly once, and that all invariants hold."""
    using = item._state.db or "default"
    yield Claim(holds=item.state == State.DONE, text=f"the item is {item.state}")
    told = [event.version for event in events if event.kind == EventKind.STEP]
    yield Claim(holds=told == list(range(1, steps + 1)), text=f"steps committed, each once: {_short(told)}")
    kept = Snapshot.objects.using(using).filter(work_item=item, version__gt=0).order_by("version")
    versions = list(kept.values_list("version", flat=True))
    yield Claim(holds=versions == list(range(1, steps + 1)), text=f"snapshots, without a gap: {_short(versions)}")
    problems = verify.item(item.pk, using=using)
    found = "; ".join(problem.text for problem in problems) or "none broken"
    yield Claim(holds=not problems, text=f"invariants (events, leases, claims, files): {found}")


def observed_once(item: WorkItem, *, checks: int) -> Iterator[Claim]:
    """Claim that every snapshot has exactly the observations of its step, none missing and none doubled."""
    using = item._state.db or "default"
    kept = Snapshot.objects.using(using).filter(work_item=item, version__gt=0).order_by("version")
    states = kept.values_list("data", flat=True)
    seen = [[observation["n"] for observation in state["observations"]] for state in states if state]
    wanted = [list(range(1, version + 1)) for version in range(1, checks + 1)]
    yield Claim(holds=seen == wanted, text=f"observations, none missing or doubled: {_short(seen[-1] if seen else [])}")


def handed_over(events: Sequence[Event], killed: uuid.UUID) -> Iterator[Claim]:
    """Claim that the event log tells of a recovery, and of another worker that went on."""
    recovered = next((event for event in events if event.kind == EventKind.RECOVERED), None)
    text = "no recovery" if recovered is None else f"event {recovered.seq} is its recovery"
    yield Claim(holds=recovered is not None, text=f"the hand-over is in the history: {text}")
    after = [event for event in events if recovered is not None and event.seq > recovered.seq]
    heirs = {event.worker for event in after if event.kind == EventKind.CLAIMED}
    steps = {event.worker for event in after if event.kind == EventKind.STEP}
    yield Claim(
        holds=bool(heirs) and bool(steps) and killed not in heirs | steps,
        text="after it, no step was made by the worker that was killed",
    )


def stored(artifact: Artifact) -> Iterator[Claim]:
    """Claim that the artifact's bytes are what its sha256 says."""
    try:
        size = len(read_artifact(artifact))
    except RoostError as error:
        yield Claim(holds=False, text=str(error))
    else:
        yield Claim(
            holds=size == artifact.size, text=f"{artifact.name}, {size} bytes, has the sha256 it is stored under"
        )


def _short(numbers: Sequence[int]) -> str:
    if numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 5:
        return f"1…{len(numbers)}"
    return ", ".join(map(str, numbers)) or "none"
