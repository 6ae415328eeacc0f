"""Artifacts of atomic steps: in the step's commit or nowhere, and never in the way of another step."""

from __future__ import annotations

import datetime as dt
import errno
import threading
from contextlib import nullcontext
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from runtime import artifacts, clock
from runtime.choices import Reason, State
from runtime.engine import Complete, Engine, Item, Snapshot
from runtime.exceptions import PermanentError
from runtime.models import Artifact, Blob
from runtime.operations.enqueue import enqueue
from runtime.step import current_context
from runtime.store import blobs
from runtime.testing import drain
from tests.orphans import sweep_orphans
from tests.runtime.places import contents

DAY = dt.timedelta(days=1, seconds=1)
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("folder")]


class Reporter(Engine):
    """Stores the payload's texts, all in one atomic step, and fails after it when asked to."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        for number, text in enumerate(item.payload["texts"]):
            current_context().artifact(f"{number}.txt", text)
        if item.payload.get("fail"):
            raise PermanentError("As asked.")
        return Complete()


class AsyncReporter(Reporter):
    """The same in the async lane."""

    async def step(self, snapshot: Snapshot, item: Item) -> Any:  # type: ignore[override]
        for number, text in enumerate(item.payload["texts"]):
            await current_context().aartifact(f"{number}.txt", text)
        return Complete()


@pytest.fixture(autouse=True)
def reporter(settings: Any) -> None:
    """Register the engines."""
    settings.ROOST_ENGINES = {"reporter": f"{__name__}.Reporter", "async reporter": f"{__name__}.AsyncReporter"}


def test_one_step_may_store_the_same_content_under_two_names() -> None:
    item = enqueue("reporter", {"texts": ["same", "same", "other"]})
    assert drain() == 1
    assert Artifact.objects.filter(work_item=item).count() == 3
    assert Blob.objects.count() == len(contents(artifacts.storage())) == 2


def test_a_step_that_fails_after_storing_leaves_no_artifact_and_its_bytes_are_swept() -> None:
    item = enqueue("reporter", {"texts": ["left over"], "fail": True})
    assert drain() == 1
    item.refresh_from_db()
    assert item.state == State.FAILED
    assert not Artifact.objects.exists()
    assert len(contents(artifacts.storage())) == 1
    blobs.adopt_strays("default", limit=10)
    with clock.shifted(DAY):
        assert sweep_orphans("default", limit=10) == 1
    assert contents(artifacts.storage()) == []


@pytest.mark.parametrize("engine", ["reporter", "async reporter"])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            OSError(errno.ENOSPC, "No space left on device"), marks=pytest.mark.scenario("F7"), id="full disk"
        ),
        pytest.param(ConnectionError("no route to storage"), marks=pytest.mark.scenario("F8"), id="storage away"),
    ],
)
def test_a_step_whose_artifact_cannot_be_stored_is_tried_again_and_leaves_nothing_till_then(
    engine: str, fault: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = enqueue(engine, {"texts": ["kept", "refused"]})
    sync, refusals = artifacts._sync, iter([False, True, True])

    def sync_if_there_is_room(path: Any) -> None:
        if path.is_file() and next(refusals, False):
            raise fault
        sync(path)

    monkeypatch.setattr(artifacts, "_sync", sync_if_there_is_room)
    for attempt in (1, 2):
        assert drain(max_steps=1, skip_delays=True) == 1
        item.refresh_from_db()
        assert (item.state, item.reason, item.attempt, item.version) == (State.QUEUED, Reason.RETRY, attempt, 0)
        assert (item.last_error["type"], item.last_error["category"]) == ("StorageUnavailable", "transient")
        assert not Artifact.objects.exists()
        assert len(contents(artifacts.storage())) == 1, "something was left half-written"
    assert drain(skip_delays=True) == 1
    item.refresh_from_db()
    assert (item.state, item.attempt) == (State.DONE, 0)
    assert [blobs.read_artifact(one) for one in Artifact.objects.order_by("name")] == [b"kept", b"refused"]


@pytest.mark.scenario("B9")
@pytest.mark.parametrize("in_a_step", [True, False])
def test_a_writer_waits_no_longer_than_the_lock_timeout_for_a_sweeper_whose_storage_hangs(
    settings: Any, in_a_step: bool
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no row locks; its one write lock has a timeout of its own")
    settings.ROOST_LOCK_TIMEOUT_MS = 100
    prepared = artifacts.prepare("a", b"content")
    blobs.store("default", prepared)
    held, released = threading.Event(), threading.Event()

    def hang() -> None:
        with transaction.atomic():
            Blob.objects.select_for_update().get(pk=prepared.sha256)
            held.set()
            released.wait(20)
        connections.close_all()

    sweeper = threading.Thread(target=hang)
    sweeper.start()
    assert held.wait(20)
    try:
        with (
            transaction.atomic() if in_a_step else nullcontext(),
            pytest.raises(OperationalError, match="lock timeout"),
        ):
            blobs.store("default", prepared)
    finally:
        released.set()
        sweeper.join()
