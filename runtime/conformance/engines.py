"""Check an engine: walk through its steps as a worker would that is killed after each, and look what is the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction

from runtime import jsondata, registry
from runtime.asks import Answer, AwaitChildren, Timer
from runtime.conformance.report import Finding, Report, Verdict
from runtime.conformance.trial import Trial, let_go, parts, trial
from runtime.engine import Continue, Engine, Snapshot, WaitFor
from runtime.exceptions import JournalMismatch, NotJSON, RetryableError
from runtime.journal.memory import MemoryJournal
from runtime.journal.outside import Journal
from runtime.store import work_database
from runtime.testing import answer, first_snapshot, make_item

MOST_STEPS, MOST_ATTEMPTS = 20, 3
PROMISES = {
    "begin": "the same item begins with the same state",
    "pure": "the same snapshot leads to the same outcome",
    "JSON": "states, results and details are plain JSON",
    "idempotent": "a recorded call is made once for its key",
    "cancel": "a cancellation, and a wait, is let through",
}


def check_engine(
    engine: Engine | str,
    payloads: Sequence[Any],
    *,
    answers: Mapping[str, Any] | None = None,
    most_steps: int = MOST_STEPS,
) -> Report:
    """Make the steps of an item for each payload, each of them several times, and report.

    Recorded calls are really made, once for a key: give payloads whose calls may be made. `answers` are values for
    what steps ask for, by key; without one the walk ends there. Steps of the atomic lane run in a transaction on the
    work database that is rolled back. Nothing of Roost's own is stored. `engine` may be a registered name.
    """
    name, found = (engine, registry.get(engine)) if isinstance(engine, str) else (engine.engine_id, engine)
    subject = f"{name or type(found).__name__} ({type(found).__module__}.{type(found).__qualname__})"
    walks = [_Walk(found, payload, answers or {}, most_steps) for payload in payloads]
    for walk in walks:
        walk.go()
    return Report(subject=subject, findings=[finding for walk in walks for finding in walk.findings()])


class _Walk:
    """One item's steps, and what is wrong with them by promise."""

    def __init__(self, engine: Engine, payload: Any, answers: Mapping[str, Any], most_steps: int) -> None:
        self.engine = engine
        self.item = make_item(copy.deepcopy(payload), engine=engine.engine_id or "conformance")
        self.answers = answers
        self.most_steps = most_steps
        self.journals: dict[int, Journal] = {}
        self.troubles: dict[str, str] = {}
        self.looked: set[str] = set()
        self.ended = ""

    def findings(self) -> Iterator[Finding]:
        """Tell each promise."""
        for level, promise in PROMISES.items():
            trouble = self.troubles.get(level)
            verdict: Verdict = "broken" if trouble else "kept" if level in self.looked else "untold"
            detail = trouble or (self.ended if level == "pure" else "")
            yield Finding(level=level, promise=promise, verdict=verdict, detail=detail)

    def go(self) -> None:
        """Walk, in a transaction that is rolled back."""
        with transaction.atomic(using=work_database()):
            snapshot = self._begin()
            given: Mapping[str, Answer] = {}
            for _ in range(self.most_steps):
                following = self._step(snapshot, given) if snapshot is not None else None
                if following is None:
                    break
                snapshot, given = following
            transaction.set_rollback(True, using=work_database())

    def _say(self, promise: str, holds: object, text: str) -> bool:
        """Note what is wrong, the first of each promise."""
        self.looked.add(promise)
        if not holds:
            self.troubles.setdefault(promise, text)
        return bool(holds)

    def _begin(self) -> Snapshot | None:
        try:
            self.engine.check_payload(copy.deepcopy(self.item.payload))
            first, second = (first_snapshot(self.engine, copy.deepcopy(self.item)) for _ in range(2))
        except Exception as error:  # noqa: BLE001 - an engine that cannot begin is told of, whatever it raises
            self._say("begin", False, f"{type(error).__name__}: {error}")
            return None
        if not self._is_json("the first state", first.data):
            return None
        self._say("begin", jsondata.same_json(first.data, second.data), f"once {first.data}, once {second.data}")
        return first

    def _step(self, snapshot: Snapshot, given: Mapping[str, Answer]) -> tuple[Snapshot, Mapping[str, Answer]] | None:
        """Make the step on trial; return the next snapshot with the answers to what the step asked for, if any."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            tried = self._tried(snapshot, given, attempt)
            if tried.asks:
                more = self._given(tried.asks)
                return None if more is None else (snapshot, {**given, **more})
            if not isinstance(tried.error, RetryableError):
                break
        self._cancelled(snapshot, given)
        return self._next(snapshot, tried) if tried.error is None else None

    def _tried(self, snapshot: Snapshot, given: Mapping[str, Answer], attempt: int) -> Trial:
        """Run the step, and again as after a crash before its commit: the same journal, the same attempt."""
        where = f"step {snapshot.version + 1}"
        journal = self.journals.setdefault(snapshot.version, Journal(MemoryJournal(), self.item.id))
        with transaction.atomic(using=work_database()):
            first = trial(self.engine, self.item, snapshot, journal=journal, answers=given, attempt=attempt)
            calls = journal.store.calls()
            transaction.set_rollback(True, using=work_database())
        with transaction.atomic(using=work_database()):
            again = trial(self.engine, self.item, snapshot, journal=journal, answers=given, attempt=attempt)
            # What a step wrote before it failed or asked is rolled back in a worker, too.
            transaction.set_rollback(again.decision is None, using=work_database())
        self._say("pure", not first.changed_snapshot, f"{where} changed the snapshot that it was given")
        if self._outcome_is_json(where, first):
            same = jsondata.same_json(_listed(first.outcome), _listed(again.outcome))
            self._say("pure", same, f"{where} came to {first.outcome[0]}, and then to {again.outcome[0]}")
        if calls or journal.store.calls():
            repeated = [key for key, count in journal.store.calls().items() if count != calls.get(key)]
            mismatch = isinstance(again.error, JournalMismatch)
            text = f"{where}, run again, made other calls: {', '.join(repeated) or again.error}"
            self._say("idempotent", not repeated and not mismatch, text)
        self._say("cancel", not again.swallowed, f"{where} kept {again.swallowed} to itself; let it through")
        return again

    def _cancelled(self, snapshot: Snapshot, given: Mapping[str, Answer]) -> None:
        """Run the step of an item that was cancelled: it may end of itself, but must not go on against its word."""
        where = f"step {snapshot.version + 1}"
        with transaction.atomic(using=work_database()):
            journal = self.journals[snapshot.version]
            told = trial(self.engine, self.item, snapshot, journal=journal, answers=given, cancelled=True).swallowed
            transaction.set_rollback(True, using=work_database())
        self._say("cancel", not told, f"{where} kept {told} to itself; let it through")
        if self.engine.is_async and not given:
            wrong = let_go(self.engine, self.item, snapshot, journal)
            self._say("cancel", not wrong, f"{where}: {wrong}")

    def _outcome_is_json(self, where: str, tried: Trial) -> bool:
        named = [self._is_json(f"the {name} of {where}", value) for name, value in parts(tried.decision).items()]
        return all(named)

    def _is_json(self, what: str, value: Any) -> bool:
        try:
            jsondata.check(value, what)
        except NotJSON as error:
            return self._say("JSON", False, str(error))
        return self._say("JSON", True, "")

    def _next(self, snapshot: Snapshot, tried: Trial) -> tuple[Snapshot, Mapping[str, Answer]] | None:
        decision, number = tried.decision, snapshot.version + 1
        match decision:
            case Snapshot(finished=False):
                return Snapshot(data=decision.data, version=number), {}
            case Continue():
                return Snapshot(data=decision.state, version=number), {}
            case WaitFor():
                given = self._given(decision.asks)
                kept = snapshot if decision.keeps_state else Snapshot(data=decision.state, version=number)
                return None if given is None else (kept, given)
        return None

    def _given(self, asks: Sequence[Any]) -> Mapping[str, Answer] | None:
        """Return the answers to what is asked; None when there is none for one of them."""
        given = {}
        for ask in asks:
            if ask.key in self.answers:
                given[ask.key] = _answer(ask, self.answers[ask.key])
            elif isinstance(ask, Timer):
                given[ask.key] = answer(ask.key, kind="timer")
            else:
                self.ended = f"looked at up to the step that asks for {ask.key!r}; give answers to see more"
                return None
        return given


def _answer(ask: Any, value: Any) -> Answer:
    kind = "children" if isinstance(ask, AwaitChildren) else type(ask).__name__.removeprefix("Await").lower()
    return answer(ask.key, value, kind=kind)


def _listed(value: Any) -> Any:
    """Return the value with lists for tuples, as JSON would give it back."""
    if isinstance(value, list | tuple):
        return [_listed(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items()}
    return value
