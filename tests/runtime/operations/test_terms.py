"""What an item keeps of its engine as it was at its enqueue, and what it takes as it is when a step has run."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.engine import Complete, Continue, Engine, Item, Snapshot, engine
from runtime.exceptions import InvalidInput
from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from runtime.testing import drain
from tests.runtime.worker.calling import read

pytestmark = pytest.mark.django_db


class Tuned(Engine):
    """Fails once where its item says so; then tells what it was given."""

    version = "1"
    retry = RetryPolicy(max_attempts=2, base=10, cap=10, jitter=0)
    step_timeout = 5.0
    snapshots = "full"
    model = "small"

    def config(self) -> Any:
        return {"model": self.model}

    def init_snapshot(self, item: Item) -> Any:
        return 0

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        if item.payload == "fail":
            raise ValueError("no")
        return Complete(item.config) if snapshot.data == 3 else Continue(snapshot.data + 1)


def refuse(payload: Any) -> None:
    if payload is None:
        raise InvalidInput("told needs a payload.")


@engine(config={"model": "small"}, check_payload=refuse)
async def told(state: Any, ctx: StepContext) -> Any:
    return Complete([state, ctx.item.config, str(ctx.item.id), ctx.item.engine])


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    settings.ROOST_ENGINES = {name: f"{__name__}.{found}" for name, found in (("tuned", "Tuned"), ("told", "told"))}


@pytest.fixture
def retuned(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Change the engine as a deploy does."""

    def retune() -> None:
        monkeypatch.setattr(Tuned, "model", "large")
        monkeypatch.setattr(Tuned, "version", "2")
        monkeypatch.setattr(Tuned, "retry", RetryPolicy(max_attempts=9, base=500, cap=500, jitter=0))
        monkeypatch.setattr(Tuned, "step_timeout", 99.0)
        monkeypatch.setattr(Tuned, "snapshots", "compact")

    return retune


def test_configuration_attempts_and_time_are_those_of_the_enqueue(retuned: Any) -> None:
    item = enqueue("tuned")
    retuned()
    drain()
    found = read(item)
    assert (found.result, found.engine_version) == ({"model": "small"}, "1")
    assert (found.max_attempts, found.step_timeout) == (2, 5.0)
    assert read(enqueue("tuned")).config == {"model": "large"}


def test_back_off_and_snapshots_are_those_of_today(retuned: Any) -> None:
    failing, item = enqueue("tuned", "fail"), enqueue("tuned")
    retuned()
    drain()
    found = read(failing)
    assert 490 < (found.run_at - found.updated_at).total_seconds() <= 500
    assert list(item.snapshots.values_list("version", flat=True)) == [read(item).version]


def test_a_function_gets_its_configuration_and_refuses_payloads() -> None:
    item = enqueue("told", 7)
    drain()
    assert read(item).result == [7, {"model": "small"}, str(item.pk), "told"]
    with pytest.raises(InvalidInput, match="needs a payload") as caught:
        enqueue("told")
    assert caught.value.field == "payload"
    assert WorkItem.objects.count() == 1
