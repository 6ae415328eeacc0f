from __future__ import annotations

import pytest

from runtime.choices import WorkerState
from runtime.queries import workers
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


def test_a_worker_is_alive_while_its_heartbeat_is_younger_than_three_beats() -> None:
    rows.worker(beat=100), rows.worker(beat=1, started_at=rows.now())
    fresh, silent = workers.views()
    assert (fresh.alive, silent.alive) == (True, False)


def test_stopped_workers_are_shown_only_when_asked_for() -> None:
    rows.worker(state=WorkerState.OFFLINE)
    assert workers.views() == []
    [gone] = workers.views(offline=True)
    assert not gone.alive


def test_running_counts_live_leases_and_free_is_what_is_left() -> None:
    busy = rows.worker(capacity=3)
    rows.running(busy)
    fenced = rows.item()
    rows.lease(fenced, busy, revoked_at=rows.now())
    [view] = workers.views()
    assert (view.running, view.free) == (1, 2)


def test_a_worker_offers_its_engines_and_pools_and_an_empty_list_means_all() -> None:
    rows.worker(engines=["counter"], pools=["gpu"])
    [view] = workers.views()
    assert view.offers("counter", "gpu")
    assert not view.offers("counter", "default")
    assert not view.offers("watchlist", "gpu")
    view.worker.engines, view.worker.pools = [], []
    assert view.offers("watchlist", "default")


@pytest.mark.parametrize("field", ["state", "desired_state"])
def test_a_draining_worker_takes_no_work(field: str) -> None:
    rows.worker(**{field: WorkerState.DRAINING})
    assert workers.offering("counter", "default", among=workers.views()) == []
