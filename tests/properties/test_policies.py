"""Whatever is kept of an item and wherever, it comes to what its twin comes to, of which everything is kept in rows.

Two worlds live through one story: in the first, snapshots are kept by a policy, large values lie in the artifact
storage while the setting is on, and the storage is swept; in the second nothing of that is so.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from runtime import clock, offload
from runtime.choices import State
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.exceptions import PermanentError
from runtime.models import Offloaded, WorkItem
from runtime.models import Snapshot as Kept
from runtime.operations.enqueue import enqueue
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import fork
from runtime.operations.redrive import redrive
from runtime.operations.resume import resume
from runtime.queries import verify
from runtime.testing import drain
from tests.orphans import sweep_orphans

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1, seconds=1)
MENDED: set[UUID] = set()
"""Items whose step no longer fails."""


class Wandering(Engine):
    """Make `steps` steps through states of which some are large, and fail at one until the item is mended."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0, "trail": [], "text": grown(0, item.payload)}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        number = snapshot.data["n"] + 1
        if number == item.payload["fails_at"] and item.id not in MENDED:
            raise PermanentError("As asked.")
        assert snapshot.data["text"] == grown(snapshot.data["n"], item.payload)
        state = {
            "n": number,
            "trail": [*snapshot.data["trail"], len(item.payload["text"])],
            "text": grown(number, item.payload),
        }
        return Complete(state, state) if number >= item.payload["steps"] else Continue(state)


class WanderingAtomic(Wandering):
    """The same in the atomic lane."""

    def step(self, snapshot: Snapshot, item: Item) -> Any:  # type: ignore[override]
        step = super().step(snapshot, item)
        try:
            step.send(None)
        except StopIteration as ended:
            return ended.value
        raise AssertionError("It does not wait for anything.")


def grown(number: int, payload: Any) -> str:
    """Return the text of a state: two of three are large."""
    word = f"{payload['seed']}.{number} "
    return word * (offload.LEAST // 3) if (number + payload["seed"]) % 3 else word


PAYLOADS = st.fixed_dictionaries(
    {
        "steps": st.integers(1, 7),
        "fails_at": st.integers(0, 8),
        "seed": st.integers(0, 4),
        "text": st.sampled_from(["short", "-" * (offload.LEAST + 9)]),
    }
)
ACTIONS = st.one_of(
    st.tuples(st.just("go"), st.integers(0, 9), st.integers(1, 3)),
    st.tuples(st.just("fork"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("redrive"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("follow up"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("sweep"), st.just(0), st.just(0)),
    st.tuples(st.just("move"), st.integers(0, 1), st.just(0)),
)


class World:
    """Items that live through a story."""

    def __init__(self, engine: str, payload: Any, policy: str, *, moves: bool) -> None:
        self.engine, self.policy, self.moves, self.most = engine, policy, moves, offload.LEAST if moves else None
        with self:
            self.items = [enqueue(engine, payload, pause_after=1).pk]
            drain(engines=[engine])

    def __enter__(self) -> None:
        self._set = override_settings(ROOST_SNAPSHOTS={self.engine: self.policy}, ROOST_OFFLOAD_BYTES=self.most)
        self._set.enable()

    def __exit__(self, *_error: object) -> None:
        self._set.disable()

    def row(self, number: int) -> WorkItem:
        """Return an item by its number."""
        found: WorkItem = WorkItem.objects.get(pk=self.items[number % len(self.items)])
        return found

    def kept(self, number: int, chosen: int) -> int | None:
        """Return one of the versions that are kept of an item."""
        found = list(Kept.objects.filter(work_item=self.row(number)).order_by("version").values_list("version"))
        return found[chosen % len(found)][0] if found else None

    def play(self, what: str, number: int, value: int | None) -> None:
        """Do something; what cannot be done in this state is left out."""
        row = self.row(number)
        if what == "go" and row.state == State.PAUSED:
            resume(row.pk, steps=value)
        elif what == "fork" and value is not None:
            self.items.append(fork(row.pk, version=value).pk)
        elif what == "redrive" and row.state == State.FAILED and value is not None:
            MENDED.add(row.pk)
            redrive(row.pk, from_version=value)
        elif what == "follow up" and row.state in (State.DONE, State.FAILED):
            MENDED.add(row.pk)
            follow_up(row.pk)
        elif what == "sweep" and self.moves:
            sweep()
        elif what == "move" and self.moves:
            self.most = offload.LEAST if number else None
        with self:
            drain(engines=[self.engine])

    def end(self) -> None:
        """Let every item come to its end: one may pause, and fail, and pause once more."""
        while any(self._lift(number) for number in range(len(self.items))):
            with self:
                drain(engines=[self.engine])

    def _lift(self, number: int) -> bool:
        row = self.row(number)
        MENDED.add(row.pk)
        if row.state == State.PAUSED:
            resume(row.pk, steps=100)
        elif row.state == State.FAILED:
            redrive(row.pk)
        return row.state != State.DONE

    def told(self) -> list[tuple[Any, ...]]:
        """Return what came of the items."""
        rows = [self.row(number) for number in range(len(self.items))]
        return [
            (row.state, row.version, row.steps_total, offload.whole(row.payload), offload.whole(row.result))
            for row in rows
        ]


def sweep() -> None:
    """Sweep, a day later."""
    with clock.shifted(DAY):
        sweep_orphans("default", limit=1000)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the artifacts of all examples."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.mark.slow
@pytest.mark.scenario("S14", "S11", "S15")
@pytest.mark.parametrize("engine", ["wandering", "wandering_atomic"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payload=PAYLOADS,
    policy=st.sampled_from(["full", "interval(2)", "interval(3)", "compact"]),
    story=st.lists(ACTIONS, max_size=8),
)
def test_an_item_comes_to_what_its_twin_comes_to(
    place: Path, engine: str, payload: Any, policy: str, story: list[tuple[str, int, int]]
) -> None:
    folder = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(place)}}
    engines = {"wandering": f"{__name__}.Wandering", "wandering_atomic": f"{__name__}.WanderingAtomic"}
    with override_settings(STORAGES={"roost_artifacts": folder}, ROOST_ENGINES=engines), transaction.atomic():
        world = World(engine, payload, policy, moves=True)
        twin = World(engine, payload, "full", moves=False)
        for what, number, chosen in story:
            value = world.kept(number, chosen) if what in ("fork", "redrive") else chosen
            world.play(what, number, value)
            twin.play(what, number, value)
        world.end()
        twin.end()
        sweep()
        event(f"moved: {Offloaded.objects.exists()}")
        compare(world, twin)
        transaction.set_rollback(True)


def compare(world: World, twin: World) -> None:
    """Compare the ends, and each state that is still kept; and nothing may be wrong with either."""
    assert world.told() == twin.told()
    assert {state for state, *_ in world.told()} == {State.DONE}
    for mine, other in zip(world.items, twin.items, strict=True):
        assert verify.item(mine) == verify.item(other) == []
        whole = {one.version: one.data for one in Kept.objects.filter(work_item=other)}
        for one in Kept.objects.filter(work_item=mine):
            assert offload.whole(one.data) == whole[one.version]
    for mine in list(world.items):
        version = WorkItem.objects.get(pk=mine).version
        with world:
            copy = fork(mine, version=version)
            MENDED.add(copy.pk)
            drain(engines=[world.engine])
        copy.refresh_from_db()
        assert copy.state == State.DONE
