from __future__ import annotations

from typing import Any

import pytest

from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.testing import drain
from tests.factories import WorkItemFactory
from tests.runtime.management.cli import document, refused, run

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S11")]


@pytest.fixture
def done(settings: Any) -> WorkItem:
    """Return an item of the counter that is done."""
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter", "broken": "engines.nowhere.Engine"}
    item = enqueue("counter", {"count_to": 3})
    drain(engines=["counter"], skip_delays=True)
    return item


def test_replay_says_that_a_run_is_the_same(done: WorkItem) -> None:
    assert "3 steps made again" in run("replay", done.pk)
    assert "The same as recorded." in run("replay", done.pk, "--from", 1, "--to", 2)
    found = document("replay", done.pk, "--from", 2)
    assert (found["same"], found["steps"], found["divergence"], found["stopped"]) == (True, 1, None, None)


def test_replay_tells_the_first_divergence_and_ends_with_one(done: WorkItem) -> None:
    done.snapshots.filter(version=2).update(data={"count": "\x1b[2J"})
    code, message = refused("replay", done.pk)
    assert (code, message) == (1, "The run parts from its record at version 2.")


def test_replay_ends_with_two_where_nothing_can_be_replayed(done: WorkItem) -> None:
    assert refused("replay", enqueue("counter", {"count_to": 3}).pk)[0] == 2
    assert refused("replay", done.pk, "--from", 9)[0] == 2
    assert refused("replay", WorkItemFactory(done=True, engine="gone").pk)[0] == 2
    assert refused("replay", WorkItemFactory(done=True, engine="broken").pk)[0] == 2
    assert refused("replay", "ffffffff")[0] == 3
