"""An operator has a worker take no new work, and take work again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from runtime.choices import WorkerState
from runtime.exceptions import Conflict, Forbidden, NotFound
from runtime.models import Worker
from runtime.operations.drain_worker import drain_worker, resume_worker
from runtime.queries import workers
from tests.factories import WorkerFactory

pytestmark = pytest.mark.django_db


def test_a_worker_is_told_to_drain_and_to_go_on() -> None:
    worker = WorkerFactory()
    assert drain_worker(worker.pk).desired_state == WorkerState.DRAINING
    [view] = workers.views()
    assert (view.takes_work, view.drains) == (False, True)
    assert resume_worker(worker.pk).desired_state == WorkerState.ONLINE
    [view] = workers.views()
    assert (view.takes_work, view.drains) == (True, False)


def test_what_is_so_already_is_a_conflict() -> None:
    worker = WorkerFactory()
    with pytest.raises(Conflict, match="takes work already") as caught:
        resume_worker(worker.pk)
    assert caught.value.state == "online"
    drain_worker(worker.pk)
    with pytest.raises(Conflict, match="drains already"):
        drain_worker(worker.pk)


@pytest.mark.parametrize("turn", [drain_worker, resume_worker])
@pytest.mark.parametrize("state", [WorkerState.OFFLINE, WorkerState.DRAINING])
def test_a_worker_that_stops_is_told_nothing(turn: Callable[..., Worker], state: str) -> None:
    worker = WorkerFactory(state=state)
    with pytest.raises(Conflict, match=state):
        turn(worker.pk)
    assert Worker.objects.get().row_version == worker.row_version


def test_a_worker_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound, match="roost workers"):
        drain_worker(uuid.uuid4())


@pytest.mark.parametrize("turn", [drain_worker, resume_worker])
def test_it_takes_the_permission(turn: Callable[..., Any]) -> None:
    worker = WorkerFactory(desired_state="draining" if turn is resume_worker else "online")
    user = User.objects.create_user("ann")
    with pytest.raises(Forbidden, match="change_worker"):
        turn(worker.pk, by=user)
    user.user_permissions.add(Permission.objects.get(codename="change_worker"))
    assert turn(worker.pk, by=User.objects.get(pk=user.pk)).pk == worker.pk
