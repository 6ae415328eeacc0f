"""Whoever reads large values, beside the steps, sees them as they were."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from runtime import artifacts, offload
from runtime.choices import State
from runtime.exceptions import CorruptArtifact, IdempotencyConflict, InvalidInput
from runtime.models import Blob, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.fork import fork
from runtime.operations.import_run import import_run
from runtime.operations.triggers import set_trigger
from runtime.queries import diff, values
from runtime.queries.export import export
from runtime.testing import drain
from runtime.worker.replay.dry import replay
from tests.runtime.places import contents
from tests.runtime.worker.growing import ENGINES, LONG, lose, state_sha

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("folder")]


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the engines, and move what is longer than 65,536 characters."""
    settings.ROOST_ENGINES = ENGINES
    settings.ROOST_OFFLOAD_BYTES = 65_536


def test_a_repeated_enqueue_finds_the_first_item_however_its_payload_is_kept(settings: Any) -> None:
    first = enqueue("growing", {"text": LONG, "n": 1}, idempotency_key="k")
    assert enqueue("growing", {"text": LONG, "n": 1}, idempotency_key="k").pk == first.pk
    assert enqueue("growing", {"n": 1.0, "text": LONG}, idempotency_key="k").pk == first.pk
    settings.ROOST_OFFLOAD_BYTES = None
    assert enqueue("growing", {"text": LONG, "n": 1}, idempotency_key="k").pk == first.pk
    with pytest.raises(IdempotencyConflict, match="another payload"):
        enqueue("growing", {"text": LONG, "n": 2}, idempotency_key="k")
    settings.ROOST_OFFLOAD_BYTES = 65_536
    with pytest.raises(IdempotencyConflict, match="another payload"):
        enqueue("growing", {"text": LONG, "n": 2}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match="another payload"):
        enqueue("growing", {"text": "short", "n": 1}, idempotency_key="k")


def test_triggers_look_at_large_values_as_they_were() -> None:
    set_trigger("next", engine="growing", target="atomic", condition="result.text", payload={"text": "$result.text"})
    item = enqueue("growing", {"text": LONG})
    drain()
    child = WorkItem.objects.get(parent=item, relation="trigger")
    assert offload.whole(child.payload) == {"text": LONG}
    assert child.state == State.DONE


def test_states_are_compared_whole_and_equal_references_without_the_storage(folder: Path) -> None:
    item = enqueue("growing", {"text": LONG})
    drain()
    changes = diff.snapshots(item.pk, 1, 2).difference.changes
    assert [(one.path, one.before, one.after) for one in changes] == [("/n", 1, 2)]
    copy = fork(item.pk, version=3)
    lose(folder, state_sha(item, 3))
    assert diff.snapshots(item.pk, 3, 0, other=copy.pk).difference.changes == ()
    with pytest.raises(CorruptArtifact, match=str(item.pk)):
        diff.snapshots(item.pk, 1, 3)


def test_an_exported_run_is_whole_and_its_copy_replays(settings: Any) -> None:
    item = enqueue("growing", {"text": LONG})
    drain()
    item.refresh_from_db()
    document = export(item.pk)
    assert document["item"]["payload"] == document["item"]["result"] == {"text": LONG}
    assert document["snapshots"][1]["data"] == {"n": 1, "text": LONG}
    copy = import_run(document)
    for run in (item, copy):
        assert replay(run).divergence is None


def test_a_dry_replay_stores_nothing(folder: Path) -> None:
    item = enqueue("atomic", {"text": LONG})
    drain()
    item.refresh_from_db()
    before = contents(artifacts.storage()), Blob.objects.count()
    assert replay(item).divergence is None
    assert (contents(artifacts.storage()), Blob.objects.count()) == before


def test_a_value_is_read_by_its_place(folder: Path) -> None:
    item = enqueue("growing", {"text": LONG})
    drain()
    found = values.read(item.pk, "payload")
    assert (found.value, found.moved and found.moved.size) == ({"text": LONG}, len(json.dumps({"text": LONG})) - 1)
    assert values.read(item.pk, "state", version=1).value == {"n": 1, "text": LONG}
    with pytest.raises(InvalidInput):
        values.read(item.pk, "config")
    with pytest.raises(InvalidInput):
        values.read(item.pk, "result", version=1)
    with pytest.raises(LookupError):
        values.read(item.pk, "state", version=9)
    with pytest.raises(LookupError):
        values.read(uuid.uuid4(), "payload")


@pytest.mark.parametrize("most", [None, 65_536])
def test_a_parent_is_told_of_a_large_result_as_it_is_without_the_setting(settings: Any, most: int | None) -> None:
    settings.ROOST_OFFLOAD_BYTES = most
    parent = enqueue("waiting", {"text": LONG})
    drain()
    parent.refresh_from_db()
    (told,) = parent.result
    assert (told["state"], told["result"], told.get("truncated")) == (State.DONE, None, True)
