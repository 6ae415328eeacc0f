"""Items of the engines that come with Roost, run through the real store: what is seen and stored is seen once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.watchlist.engine import EVIDENCE
from runtime import artifacts
from runtime.choices import EventKind, Reason, State
from runtime.models import Artifact, Blob, Event, Snapshot, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.store import blobs, get_store
from runtime.store.values import ClaimRequest
from runtime.testing import drain, expire_leases
from tests.engines.pages import Site, serving
from tests.factories import WorkerFactory
from tests.runtime.places import LOCAL, PLACES, contents

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve pages on loopback."""
    with serving() as found:
        yield found


@pytest.fixture
def use_storage(settings: Any, tmp_path: Path) -> Callable[[str], None]:
    """Switch the artifact storage: "local" is an empty folder, "down" is away."""

    def switch(kind: str) -> None:
        chosen = {
            "local": {**LOCAL, "OPTIONS": {"location": str(tmp_path)}},
            "down": {"BACKEND": f"{PLACES}.DownStorage"},
        }
        settings.STORAGES = {**settings.STORAGES, "roost_artifacts": chosen[kind]}

    switch("local")
    return switch


def watch(site: Site, page: str = "/", checks: int = 3) -> WorkItem:
    payload = {"url": site.url(page), "claim": "It is up.", "checks_required": checks, "delay_seconds": 5}
    return enqueue("watchlist", payload)


def kinds(item: WorkItem) -> list[str]:
    return list(Event.objects.filter(work_item=item).order_by("seq").values_list("kind", flat=True))


@pytest.mark.scenario("L1", "L37")
@pytest.mark.usefixtures("use_storage")
def test_a_flipping_page_is_watched_to_its_verdict_with_one_snapshot_a_look(site: Site) -> None:
    item = watch(site, "/flip", checks=4)
    assert drain() == 1, "the next look waits for its delay"
    assert drain(skip_delays=True) == 3
    item.refresh_from_db()
    assert (item.state, item.version, item.result["verdict"]) == (State.DONE, 4, "unstable")
    lengths = [len(one.data["observations"]) for one in Snapshot.objects.filter(work_item=item).order_by("version")]
    assert lengths == [0, 1, 2, 3, 4]
    evidence = Artifact.objects.get(work_item=item)
    assert (evidence.name, evidence.sha256, evidence.version) == (EVIDENCE, item.result["artifact"], 4)
    told = json.loads(blobs.read_artifact(evidence))
    assert [(one["n"], one["ok"]) for one in told["observations"]] == [(1, True), (2, False), (3, True), (4, False)]
    assert kinds(item).count(EventKind.ARTIFACT) == 1


@pytest.mark.usefixtures("use_storage")
def test_a_worker_that_dies_between_two_looks_costs_none_and_doubles_none(site: Site) -> None:
    item = watch(site, checks=3)
    drain(max_steps=1)
    before = Snapshot.objects.get(work_item=item, version=1).data
    WorkItem.objects.filter(pk=item.pk).update(run_at=item.created_at)
    request = ClaimRequest(worker=WorkerFactory().pk, engines=None, pools=(), limit=1)
    assert len(get_store().claim(request)) == 1
    assert expire_leases() == 1
    drain(skip_delays=True)
    item.refresh_from_db()
    assert (item.state, item.version) == (State.DONE, 3)
    final = Snapshot.objects.get(work_item=item, version=3).data["observations"]
    assert [one["n"] for one in final] == [1, 2, 3]
    assert final[:1] == before["observations"]
    assert EventKind.RECOVERED in kinds(item)


def test_a_step_whose_artifact_cannot_be_stored_is_retried_and_shows_nothing_half_written(
    site: Site, use_storage: Callable[[str], None]
) -> None:
    item = watch(site, checks=1)
    use_storage("down")
    assert drain() == 1
    item.refresh_from_db()
    assert (item.state, item.reason, item.version, item.attempt) == (State.QUEUED, Reason.RETRY, 0, 1)
    assert item.last_error["code"] == "storage_unavailable"
    assert "no route to storage" in item.last_error["message"]
    assert not Artifact.objects.exists()
    use_storage("local")
    assert drain(skip_delays=True) == 1
    item.refresh_from_db()
    assert (item.state, item.last_error) == (State.DONE, None)
    assert Artifact.objects.count() == Blob.objects.filter(pk=item.result["artifact"]).count() == 1
    assert contents(artifacts.storage()) == [artifacts.path_of(item.result["artifact"])]


@pytest.mark.scenario("L6", "L24")
def test_a_counter_that_fails_once_goes_on_after_its_backoff_and_forgets_the_error() -> None:
    item = enqueue("counter", {"count_to": 4, "fail_at": 3, "fail_times": 2})
    assert drain(skip_delays=True) == 6
    item.refresh_from_db()
    assert (item.state, item.result, item.version, item.last_error) == (State.DONE, {"count": 4}, 4, None)
    retries = Event.objects.filter(work_item=item, kind=EventKind.RETRY).order_by("seq")
    assert [event.data["attempt"] for event in retries] == [1, 2]


@pytest.mark.scenario("L7")
def test_a_counter_that_fails_for_ever_ends_as_a_dead_letter_with_its_progress_kept() -> None:
    item = enqueue("counter", {"count_to": 4, "fail_at": 2, "fail_times": 100}, max_attempts=3)
    assert drain(skip_delays=True) == 4
    item.refresh_from_db()
    assert (item.state, item.reason, item.version) == (State.FAILED, Reason.ATTEMPTS_EXHAUSTED, 1)


@pytest.mark.scenario("L8")
def test_a_counter_with_a_permanent_error_is_a_dead_letter_at_once() -> None:
    item = enqueue("counter", {"count_to": 4, "fail_at": 2, "fail_with": "permanent"})
    assert drain() == 2
    item.refresh_from_db()
    assert (item.state, item.reason, item.last_error["code"]) == (State.FAILED, Reason.PERMANENT_ERROR, "asked_to_fail")


@pytest.mark.scenario("L2")
def test_a_counter_to_one_is_done_on_its_first_step() -> None:
    item = enqueue("counter", {"count_to": 1})
    assert drain() == 1
    item.refresh_from_db()
    assert (item.state, item.version) == (State.DONE, 1)
