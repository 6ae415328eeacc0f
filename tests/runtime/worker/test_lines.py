"""The log's lines for items that have moved: one each, by its level, and none before the commit."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from dataclasses import replace
from typing import Any

import pytest

from runtime.choices import Reason, State
from runtime.compatibility import Incompatible
from runtime.engine import Complete, Continue, Engine, Fail, Item, Snapshot
from runtime.exceptions import RetryableError
from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.store import get_store
from runtime.store.values import ClaimRequest, Outcome
from runtime.tasks import drain_here
from runtime.worker import lines, outcomes
from runtime.worker.options import WorkerOptions
from runtime.worker.run import Run
from tests.runtime.worker.stepping import Stub, claimed, outcome_of

LOGGER = "roost.items"


class Scripted(Engine):
    """Do what the payload says: two steps, then the end that it names."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        return play(snapshot, item)


class AtomicScripted(Scripted):
    def step(self, snapshot: Snapshot, item: Item) -> Any:  # type: ignore[override]
        return play(snapshot, item)


def play(snapshot: Snapshot, item: Item) -> Any:
    if snapshot.data["n"] == 0:
        return Continue({"n": 1}, label="begun")
    if item.payload["end"] == "fail":
        return Fail("the card 4111 is refused", "card_refused")
    return Complete()


@pytest.fixture
def engines(settings: Any) -> None:
    both = {"scripted": f"{__name__}.Scripted", "atomicscripted": f"{__name__}.AtomicScripted"}
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, **both}


def run_of(**changes: Any) -> Run:
    return Run(claimed(**changes), Stub(lambda *_: None))


def outcome(run: Run, **changes: Any) -> Outcome:
    made = outcome_of(lambda *_: Continue({"n": 1}, label="one"))
    return replace(made, item=run.id, **changes)


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == LOGGER]


def told(record: logging.LogRecord, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in names)


def retry(run: Run) -> Outcome:
    return outcomes.fail(uuid.uuid4(), run, RetryableError("busy: secret 4111", retry_after=7, code="busy"))


@pytest.mark.plain
def test_a_failed_attempt_is_a_warning_with_the_delay_and_without_the_errors_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = run_of(engine="stub", step_label="before", version=3)
    made = retry(run)
    lines.say(run, made, State.QUEUED)
    [record] = records(caplog)
    assert (record.levelno, record.getMessage()) == (logging.WARNING, f"item {run.id} is tried again in 7.0 s: busy")
    assert told(record, "work_item", "engine", "engine_version", "step_label", "version", "attempt", "state") == (
        *(str(run.id), "stub", "1", "before", 3, 1, "queued"),
    )
    assert told(record, "worker", "code", "error_type", "fingerprint", "delay", "reason") == (
        *(str(made.worker), "busy", "RetryableError", made.fingerprint, 7.0, "retry"),
    )
    assert "4111" not in str(record.__dict__)


@pytest.mark.plain
def test_a_pause_that_took_effect_is_told_and_an_item_that_is_held_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    run = run_of()
    lines.say(run, outcome(run), State.PAUSED)
    lines.say(run, outcomes.fail(uuid.uuid4(), run, Incompatible("newer", code="newer_state")), State.PAUSED)
    assert [record.levelno for record in records(caplog)] == [logging.INFO, logging.WARNING]


@pytest.mark.plain
def test_an_outcome_that_the_database_refused_is_a_dead_letter(caplog: pytest.LogCaptureFixture) -> None:
    run = run_of(step_label="before")
    lines.say(run, outcome(run), State.FAILED)
    [record] = records(caplog)
    assert (record.levelno, *told(record, "code", "reason")) == (logging.ERROR, "unstorable_outcome", "")
    assert told(record, "version", "step_label") == (0, "before")


@pytest.mark.plain
def test_steps_and_ends_are_debug_and_cost_nothing_where_nobody_wants_them(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    run = run_of()
    with monkeypatch.context() as patched:
        patched.setattr(lines, "_write", lambda *_: pytest.fail("a line that nobody wants was made"))
        for state in (State.RUNNING, State.QUEUED, State.WAITING, State.DONE):
            lines.say(run, outcome(run, state=state), state)
    caplog.set_level(logging.DEBUG, LOGGER)
    lines.say(run, outcome(run), State.RUNNING)
    [record] = records(caplog)
    assert record.getMessage() == f"item {run.id} is running at version 1"
    assert told(record, "step_label", "version") == ("one", 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("engine", ["scripted", "atomicscripted"])
def test_a_worker_tells_of_each_commit_once(engines: None, engine: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    good, bad = (enqueue(engine, {"end": end}).pk for end in ("well", "fail"))
    drain_here(WorkerOptions.defaults(get_store().using, until_idle=True))
    heard = {item: [one for one in records(caplog) if one.work_item == str(item)] for item in (good, bad)}  # type: ignore[attr-defined]
    assert [(one.levelname, *told(one, "version", "state", "step_label")) for one in heard[good]] == [
        ("DEBUG", 1, "running", "begun"),
        ("DEBUG", 2, "done", ""),
    ]
    assert [(one.levelname, *told(one, "version", "state", "step_label", "code")) for one in heard[bad]] == [
        ("DEBUG", 1, "running", "begun", ""),
        ("ERROR", 1, "failed", "begun", "card_refused"),
    ]
    assert not any("4111" in str(one.__dict__) for one in heard[bad])


@pytest.mark.django_db(transaction=True)
def test_what_the_sweep_sends_to_the_dead_letters_is_told_after_its_commit(caplog: pytest.LogCaptureFixture) -> None:
    late = enqueue("hop", {"steps": 1}, delay=60, deadline=dt.timedelta(seconds=90)).pk
    WorkItem.objects.filter(pk=late).update(deadline_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    get_store().sweep(dead_workers=frozenset(), living_workers=frozenset(), only_dead=False, batch=10)
    [record] = records(caplog)
    assert (record.levelno, record.getMessage()) == (logging.ERROR, f"item {late} failed: deadline")
    assert told(record, "work_item", "engine", "code", "state") == (str(late), "hop", "deadline", "failed")


@pytest.mark.django_db(transaction=True)
def test_poison_is_told_with_the_worker_that_it_killed_last(caplog: pytest.LogCaptureFixture, settings: Any) -> None:
    settings.ROOST_MAX_DEATHS = 1
    store, worker = get_store(), uuid.uuid4()
    item = enqueue("hop", {"steps": 1}).pk
    WorkItem.objects.filter(pk=item).update(deaths=2)
    request = ClaimRequest(worker=worker, engines=("hop",), pools=(), limit=1, alone=True)
    assert [one.id for one in store.claim(request)] == [item]
    store.sweep(dead_workers=frozenset({worker}), living_workers=frozenset(), only_dead=False, batch=10)
    assert WorkItem.objects.get(pk=item).reason == Reason.POISON
    [record] = records(caplog)
    assert (record.levelno, record.getMessage()) == (logging.ERROR, f"item {item} failed: poison")
    assert told(record, "worker", "code", "fingerprint") == (str(worker), "poison", "poison")
