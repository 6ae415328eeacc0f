"""A run that was exported comes back as it was, ended or paused; anything else is refused whole."""

from __future__ import annotations

import copy
import itertools
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from runtime.choices import EventKind, JournalState, Reason, State, WaitState
from runtime.exceptions import Forbidden, InvalidInput, NotFound
from runtime.models import Artifact, Event, JournalEntry, Snapshot, Wait, WorkItem
from runtime.models.workitem import new_id
from runtime.operations.import_run import import_run
from runtime.operations.resume import resume
from runtime.queries import verify
from runtime.queries.export import export, text_of
from runtime.store.blobs import read_artifact
from runtime.testing import drain
from tests.factories import ArtifactFactory, EventFactory, WorkItemFactory, now
from tests.runtime.operations.looking import fresh, last_event

pytestmark = pytest.mark.django_db

ODD = {"é": ["😀", 1, 2.5, -0.0, 10**30, True, None, {}], "lines": "a\nb\u2028\u200b", "token": "s3cret"}


def full(**values: Any) -> WorkItem:
    """Write an item that has something of everything."""
    item = WorkItemFactory(**{"failed": True, "version": 2, "payload": ODD, "config": {"model": "m"}, **values})
    item.snapshots.filter(version=2).update(data=ODD, state_schema=3)
    entry = {"input_hash": "h", "idempotency_key": "i", "epoch": 1, "started_at": now(), "base_version": 2}
    JournalEntry.objects.create(
        work_item=item,
        key="paid",
        state=JournalState.SUCCEEDED,
        result=ODD,
        call_id=uuid.uuid4(),
        ended_at=now(),
        **entry,
    )
    JournalEntry.objects.create(work_item=item, key="cut", state=JournalState.STARTED, call_id=uuid.uuid4(), **entry)
    for state in (WaitState.CONSUMED, WaitState.OPEN):
        Wait.objects.create(
            work_item=item, base_version=1, key=state, kind="input", state=state, created_at=now(), resolution=ODD
        )
    EventFactory(work_item=item, kind=EventKind.LOG, data=ODD, duration=0.25)
    return item


def taken(item: WorkItem) -> Any:
    """Return what must be the same in the copy, in order."""
    return [
        list(item.snapshots.order_by("version").values("version", "data", "state_schema", "label", "created_at")),
        list(item.events.order_by("seq").values("seq", "kind", "data", "duration", "created_at", "worker")),
        list(item.journal.order_by("id").values("base_version", "key", "state", "result", "idempotency_key")),
    ]


def through_text(item: WorkItem, **options: Any) -> str:
    """Return the item's run as text."""
    return text_of(export(item.pk, **options))


def test_an_ended_run_comes_back_as_it_was_under_a_new_id() -> None:
    item = fresh(full())
    made = import_run(through_text(item), actor="ann", reason="for support")
    assert made.pk != item.pk
    same = ("state", "reason", "version", "payload", "config", "result", "last_error", "attempt", "finished_at")
    for name in (*same, "namespace", "created_at", "steps_total", "engine", "engine_version", "epoch"):
        assert getattr(made, name) == getattr(item, name), name
    snapshots, events, calls = taken(made)
    assert (snapshots, events[:-1], calls) == tuple(taken(item))
    event = last_event(made)
    assert (event.kind, event.actor, event.reason) == (EventKind.IMPORTED, "ann", "for support")
    assert event.data == {"from": str(item.pk)}
    assert [wait.key for wait in made.waits.all()] == [WaitState.CONSUMED]
    assert verify.item(made.pk) == []


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "paused"])
def test_a_run_that_had_not_ended_is_paused_and_never_due_by_itself(state: str, settings: Any) -> None:
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}
    trait = {state: True} if state != "queued" else {}
    item = WorkItemFactory(
        **trait, version=1, payload={"count_to": 2}, idempotency_key="k", deadline_at=now(60), timeout_at=now(60)
    )
    made = import_run(through_text(item))
    assert (made.state, made.reason, made.paused_from) == (State.PAUSED, Reason.OPERATOR, State.QUEUED)
    assert (made.idempotency_key, made.deadline_at, made.timeout_at, made.parent_id) == (None, None, None, None)
    assert verify.item(made.pk) == []
    WorkItem.objects.filter(pk=item.pk).update(state=State.CANCELLED)
    assert drain() == 0
    resume(made.pk)
    drain(skip_delays=True)
    assert (fresh(made).state, fresh(made).result) == (State.DONE, {"count": 2})


def test_artifacts_come_with_their_bytes_or_not_at_all() -> None:
    item = WorkItemFactory(done=True)
    ArtifactFactory(work_item=item, name="a.txt", content=b"\x00bytes")
    without = import_run(through_text(item))
    assert (without.artifacts.count(), last_event(without).data["artifacts_left_out"]) == (0, 1)
    made = import_run(through_text(item, with_artifacts=True))
    [file] = made.artifacts.all()
    assert (file.name, read_artifact(file), file.version) == ("a.txt", b"\x00bytes", 1)
    assert verify.item(made.pk) == []


def test_secrets_are_taken_out_on_wish() -> None:
    item = full(last_error={"message": "GET https://ann:pw@host failed with Bearer abcdefgh"})
    document = export(item.pk, redact=True)
    text = json.dumps(document)
    assert "s3cret" not in text
    assert "abcdefgh" not in text
    assert "ann:pw" not in text
    assert document["item"]["payload"]["token"] == "[redacted]"
    assert document["item"]["tokens_total"] == 0
    assert import_run(document).payload["token"] == "[redacted]"
    with pytest.raises(InvalidInput, match="cannot be redacted"):
        export(item.pk, redact=True, with_artifacts=True)
    with pytest.raises(NotFound):
        export(new_id())


def test_secrets_in_columns_of_text_are_taken_out_too_and_the_rest_still_fits() -> None:
    secret = "postgres://ann:pw@h/db and Bearer abcdefgh"
    item = full()
    EventFactory(work_item=item, kind=EventKind.LOG, reason=secret, actor=secret)
    JournalEntry.objects.filter(work_item=item).update(name=("postgres://a:b@h/" + "x" * 200)[:200])
    Wait.objects.filter(work_item=item).update(prompt=secret, resolved_by=secret)
    text = text_of(export(item.pk, redact=True))
    assert not any(word in text for word in ("ann:pw", "abcdefgh", "//a:b@"))
    made = import_run(text)
    assert made.waits.get().prompt == "postgres://[redacted]@h/db and Bearer [redacted]"[: len(secret)]


def test_what_is_too_large_is_neither_exported_nor_imported(settings: Any) -> None:
    item = full()
    text = through_text(item)
    settings.ROOST_MAX_EXPORT_BYTES = 100
    with pytest.raises(InvalidInput, match="ROOST_MAX_EXPORT_BYTES"):
        export(item.pk)
    with pytest.raises(InvalidInput, match="ROOST_MAX_EXPORT_BYTES"):
        import_run(text)
    with pytest.raises(InvalidInput, match="ROOST_MAX_EXPORT_BYTES"):
        import_run(json.loads(text))


class Endless(dict[str, Any]):
    """A document whose keys never end: whoever reads all of it before looking at its size does not come back."""

    def items(self) -> Any:
        return ((str(number), "x" * 1000) for number in itertools.count())

    def __len__(self) -> int:
        return 1


def test_a_document_of_values_is_left_alone_once_it_is_too_large(settings: Any) -> None:
    settings.ROOST_MAX_EXPORT_BYTES = 10_000_000
    with pytest.raises(InvalidInput, match="ROOST_MAX_EXPORT_BYTES"):
        import_run(Endless(format="roost-run"))


def test_a_document_of_values_that_are_no_json_is_refused() -> None:
    ring: dict[str, Any] = {"format": "roost-run"}
    ring["item"] = ring
    for odd in (ring, {"format": "roost-run", "item": object()}, {"format": "roost-run", "item": {1, 2}}):
        with pytest.raises(InvalidInput, match="no JSON"):
            import_run(odd)


def _set(*path: Any) -> Callable[[Any], None]:
    *way, last, value = path

    def change(document: Any) -> None:
        for part in way:
            document = document[part]
        document[last] = value

    return change


def _wait(**values: Any) -> Callable[[Any], None]:
    return lambda document: document["waits"][0].update(values)


def _pruned(events: int) -> dict[str, Any]:
    return {"events_through": events, "pruned_at": "2030-01-01T00:00:00Z"}


TERMS: dict[str, Any] = {"children": [], "need": "all", "on_failure": "wait"}
DAMAGE = {
    "another format": _set("format", "other"),
    "a newer format": _set("format_version", 2),
    "no item": _set("item", None),
    "no such state": _set("item", "state", "flying"),
    "a number too large": _set("item", "version", 2**63),
    "an epoch that cannot go on": _set("item", "epoch", 2**63 - 2),
    "deaths that cannot go on": _set("item", "deaths", 2**31 - 1),
    "a pool that is no name": _set("item", "pool", "a\nb"),
    "no attempts": _set("item", "max_attempts", -5),
    "a negative count": _set("item", "attempt", -1),
    "a priority too high": _set("item", "priority", 40_000),
    "a text for a number": _set("item", "steps_total", "3"),
    "true for a number": _set("item", "steps_total", True),
    "no finite number": _set("item", "duration_total", float("inf")),
    "a time without a zone": _set("item", "created_at", "2026-01-01T00:00:00"),
    "no time": _set("item", "created_at", "2026-13-01T00:00:00Z"),
    "a namespace that is no name": _set("item", "namespace", "a/b"),
    "resources of no kind": _set("item", "resources", [{"nokey": 1}]),
    "a NUL": _set("item", "payload", {"a": "\x00"}),
    "a label too long": _set("snapshots", 0, "label", "x" * 201),
    "a gap in the events": _set("events", 1, "seq", 9),
    "no such kind of event": _set("events", 1, "kind", "exploded"),
    "a snapshot of the future": _set("snapshots", 0, "version", 7),
    "the last snapshot missing": lambda document: document["snapshots"].pop(),
    "a version twice": _set("snapshots", 0, "version", 1),
    "snapshots that are no array": _set("snapshots", {}),
    "a worker that is no id": _set("events", 0, "worker", "me"),
    "a key missing": lambda document: document["item"].pop("engine"),
    "a call twice": lambda document: document["journal"].append(document["journal"][0]),
    "an error that is no object": _set("item", "last_error", "it failed"),
    "an error whose message is no text": _set("item", "last_error", {"type": "E", "message": 5}),
    "an event that tells a list": _set("events", 1, "data", [1]),
    "an error of a call that is no object": _set("journal", 0, "error", ["no"]),
    "a schema that is none": _set("waits", 0, "schema", {"type": 5}),
    "a schema that is no object": _set("waits", 0, "schema", "any"),
    "votes of nobody": _set("waits", 0, "answers", ["ann"]),
    "spawned children that are none": _set("waits", 0, "spawned", [1]),
    "a wait for children that names none": _wait(kind="children"),
    "children that are no items": _wait(kind="children", data={**TERMS, "children": ["ann"]}),
    "a number of children that is none": _wait(kind="children", data={**TERMS, "need": True}),
    "ends of children that are none": _wait(kind="children", data=TERMS, state="resolved", resolution=[None]),
    "metadata that are no object": _set("artifacts", 0, "metadata", ["a"]),
    "other bytes": _set("artifacts", 0, "content", "AAAA"),
    "bytes that are no base64": _set("artifacts", 0, "content", "?"),
    "a name that leaves the folder": _set("artifacts", 0, "name", "../x"),
    "a type that is more than one header": _set("artifacts", 0, "content_type", "text/plain\r\nSet-Cookie: a=b"),
    "a file's metadata that are no object": _set("artifacts", 0, "metadata", "x"),
    "a file of no version": _set("artifacts", 0, "version", -1),
    "a time that no zone can show": _set("item", "run_at", "0001-01-01T00:00:00Z"),
    "a history that cannot go on": lambda document: document.update(events=[], pruned=_pruned(2**63 - 3)),
    "a negative end of what was removed": lambda document: document.update(pruned=_pruned(-1)),
    "a time at the end of the calendar": _set("item", "created_at", "9999-12-31T23:59:59Z"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_document_is_refused_and_nothing_is_stored(damage: str) -> None:
    item = full()
    ArtifactFactory(work_item=item, name="a.txt", content=b"bytes")
    document = json.loads(through_text(item, with_artifacts=True))
    import_run(copy.deepcopy(document))
    models = (WorkItem, Snapshot, Event, JournalEntry, Wait, Artifact)
    before = [model.objects.count() for model in models]
    DAMAGE[damage](document)
    with pytest.raises(InvalidInput):
        import_run(document)
    assert [model.objects.count() for model in models] == before


def test_a_column_that_is_missing_takes_its_default() -> None:
    document = json.loads(through_text(full()))
    for name in ("namespace", "pool", "engine_version", "fair_key", "version", "attempt", "deaths", "max_steps"):
        del document["item"][name]
    del document["snapshots"][1:]
    document |= {"events": [], "pruned": _pruned(7)}
    copied = import_run(document)
    assert (copied.namespace, copied.version, copied.max_steps) == ("default", 0, None)
    assert (copied.event_seq, copied.pruned.snapshots_through) == (8, 0)


def test_a_question_whose_schema_was_redacted_comes_without_it() -> None:
    item = full()
    schema = {"type": "object", "properties": {"password": {"type": "string"}}}
    item.waits.filter(state=WaitState.CONSUMED).update(schema=schema)
    assert import_run(through_text(item)).waits.get().schema == schema
    assert import_run(through_text(item, redact=True)).waits.get().schema is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, b"\xff"])
def test_what_is_no_document_is_refused(text: Any) -> None:
    with pytest.raises(InvalidInput):
        import_run(text)


def test_importing_needs_the_permission() -> None:
    with pytest.raises(Forbidden, match="import_workitem"):
        import_run("{}", by=User.objects.create(username="ann"))
